"""Who is at the other end of the connection, where proxies that are trusted stand between."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxiesMiddleware:
    """Takes address and scheme of the client from X-Forwarded-For and X-Forwarded-Proto.

    Anybody can send these headers, so they count only as far as proxies of
    TRUSTED_PROXIES have written them: the client is the last address in
    X-Forwarded-For that is none of theirs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        see_through_proxies(request.META)
        return self.get_response(request)


def see_through_proxies(environ: dict[str, Any]) -> None:
    """Puts the client in the place of the proxies; once more changes nothing."""
    trusted: Sequence[Network] = settings.TRUSTED_PROXIES
    if not trusted or not _is_in(_address(environ.get("REMOTE_ADDR", "")), trusted):
        return
    for text in reversed(environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        address = _address(text)
        if address is None:
            break
        environ["REMOTE_ADDR"] = str(address)
        if not _is_in(address, trusted):
            break
    scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")[-1].strip().lower()
    if scheme in ("http", "https"):
        environ["wsgi.url_scheme"] = scheme


def client_network(request: HttpRequest) -> str:
    """What a limit for an address counts by: of IPv6 the /64 that one customer commonly has."""
    address = _address(request.META.get("REMOTE_ADDR", ""))
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _is_in(address: _Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> _Address | None:
    """An address as proxies write it: alone, with a port, or in brackets; None for what is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
