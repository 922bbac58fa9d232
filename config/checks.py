"""Combinations of settings that are allowed, and dangerous.

An error keeps `manage.py migrate`, and so a deployment, from going on.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  (Django's name)

from config import embedded

MIN_SECRET_KEY_LENGTH = 32


@register(Tags.security)
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    return [*_secret_key(), *_hosts(), *_encryption(), *_proxies(), *_mail()]


def _secret_key() -> Iterator[CheckMessage]:
    if settings.SECRET_KEY == settings.DEFAULT_SECRET_KEY:
        if not settings.DEBUG:
            yield Error(
                "SECRET_KEY is the default, which everybody knows who has this code.",
                hint="Set SECRET_KEY to a long random text. With the default, anybody can sign a "
                "session or a link to set a password.",
                id="conversations.E001",
            )
    elif len(settings.SECRET_KEY) < MIN_SECRET_KEY_LENGTH:
        yield Warning(
            f"SECRET_KEY has fewer than {MIN_SECRET_KEY_LENGTH} characters.",
            hint="Set it to a long random text: what it signs is as safe as it is hard to guess.",
            id="conversations.W001",
        )


def _hosts() -> Iterator[CheckMessage]:
    public = [host for host in settings.ALLOWED_HOSTS if not _is_private(host)]
    if settings.DEBUG and public:
        yield Error(
            f"DEBUG is on, and ALLOWED_HOSTS has a public host: {', '.join(public)}.",
            hint="Turn DEBUG off: its error pages show settings and source code to everybody.",
            id="conversations.E002",
        )
    if not settings.DEBUG and "*" in settings.ALLOWED_HOSTS:
        yield Warning(
            "ALLOWED_HOSTS has '*', so that a request may name any host, and links follow it.",
            hint="List the names under which the service is reached, or set PUBLIC_URL.",
            id="conversations.W002",
        )


def _encryption() -> Iterator[CheckMessage]:
    url = urlsplit(settings.PUBLIC_URL)
    if url.scheme == "https" and not settings.SECURE_COOKIES:
        yield Warning(
            "PUBLIC_URL is https, and SECURE_COOKIES is off.",
            hint="Leave SECURE_COOKIES out: with an https PUBLIC_URL it is on. Without it, "
            "browsers send agents' sessions over http, too.",
            id="conversations.W003",
        )
    if url.scheme == "http" and settings.SECURE_COOKIES:
        yield Warning(
            "PUBLIC_URL is http, and SECURE_COOKIES is on.",
            hint="Nobody can log in over http with them. Serve https, or leave SECURE_COOKIES out.",
            id="conversations.W004",
        )
    if url.scheme == "http" and not settings.DEBUG and not _is_loopback(url.hostname or ""):
        yield Warning(
            "PUBLIC_URL is http: keys and passwords travel unencrypted.",
            hint="Put a proxy with TLS in front, and set PUBLIC_URL to its https address.",
            id="conversations.W005",
        )


def _proxies() -> Iterator[CheckMessage]:
    is_for_one_person = embedded.running() is not None
    if not (settings.DEBUG or settings.TRUSTED_PROXIES or settings.PUBLIC_URL or is_for_one_person):
        yield Warning(
            "Neither TRUSTED_PROXIES nor PUBLIC_URL is set.",
            hint="Behind a proxy all customers share its address, and its limit, until "
            "TRUSTED_PROXIES names it; and links begin with what each request names as its host "
            "until PUBLIC_URL is set.",
            id="conversations.W006",
        )


def _mail() -> Iterator[CheckMessage]:
    is_printed = settings.EMAIL_BACKEND == "django.core.mail.backends.console.EmailBackend"
    host = urlsplit(settings.PUBLIC_URL).hostname
    if is_printed and host and not _is_loopback(host) and not settings.DEBUG:
        yield Warning(
            "EMAIL_URL is console: nobody gets mail.",
            hint="Set EMAIL_URL to a mail server. Until then mails are printed to the worker's "
            "output, with the addresses and the links in them.",
            id="conversations.W007",
        )


def _is_private(host: str) -> bool:
    """Whether the host can only be this machine, or one in its own network."""
    address = _address(host)
    return _is_loopback(host) or (address is not None and address.is_private)


def _is_loopback(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
