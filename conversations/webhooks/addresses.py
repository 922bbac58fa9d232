"""Which addresses a webhook may lead to: those of the public internet.

What is checked is the address of each connection before it is opened, not the URL: a
name may lead anywhere, and elsewhere the next time it is asked for (DNS rebinding), and
`127.1`, `0x7f000001` and `[::ffff:127.0.0.1]` are the same place.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from django.conf import settings

from conversations.webhooks.models import MAX_URL

# RFC 4291, section 2.4: what is not in here is not assigned to anybody, but for NAT64.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Documented as of special purpose after the oldest Python that we run on was (RFC 9637), and
# 6to4 (RFC 3056), which has an IPv4 address within.
_SPECIAL = (IPv6Network("2002::/16"), IPv6Network("3fff::/20"))
# Of protocols (RFC 6890), of which older Pythons take a part for public; clouds answer there.
_OF_PROTOCOLS = IPv4Network("192.0.0.0/24")
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether this is the address of a host on the public internet, by IANA's registries of
    special-purpose addresses (RFC 6890); an IPv4 address within one of IPv6 counts."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        within = parsed.ipv4_mapped
        if within is None and parsed in _NAT64:
            within = IPv4Address(int(parsed) & 0xFFFFFFFF)
        if within is None:
            ordinary = parsed in _GLOBAL_UNICAST
            return ordinary and parsed.is_global and not any(parsed in net for net in _SPECIAL)
        parsed = within
    is_special = parsed.is_multicast or parsed.is_reserved or parsed in _OF_PROTOCOLS
    return parsed.is_global and not is_special


def is_allowed(address: str) -> bool:
    return settings.WEBHOOK_ALLOW_PRIVATE or is_public(address)


class BadUrl(ValueError):
    """The URL can not be a webhook's; the message says why."""


def check_url(url: str) -> None:
    """Raises BadUrl. Where its host leads is found out when it is connected to; an address
    that stands in the URL itself is refused here already."""
    if len(url) > MAX_URL:
        raise BadUrl(f"At most {MAX_URL} characters.")
    if not url.isprintable() or " " in url or "\\" in url:
        raise BadUrl("A URL has no spaces, control characters or backslashes.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadUrl("This is not a URL.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise BadUrl("Must be an http or https URL, such as https://example.com/hook.")
    if "@" in parts.netloc:
        raise BadUrl("Must have no credentials: the signature says whose request it is.")
    if parts.fragment or port == 0:
        raise BadUrl("Must have no fragment, and a port above 0.")
    try:
        host.encode("idna")
    except UnicodeError:
        raise BadUrl("This host can not be one.") from None
    if _is_address(host) and not is_allowed(host):
        raise BadUrl("The address is not on the public internet.")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
