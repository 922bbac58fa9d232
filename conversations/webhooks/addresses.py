"""Which addresses a webhook may lead to: those of the public internet.

What is checked is the address of each connection before it is opened, not the URL: a
name may lead anywhere, and elsewhere the next time it is asked for (DNS rebinding), and
`127.1`, `0x7f000001` and `[::ffff:127.0.0.1]` are the same place.
"""

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from weakref import WeakValueDictionary

from aiohttp.abc import AbstractResolver, ResolveResult
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
# A name server that does not answer keeps a thread for half a minute, whatever becomes of
# the attempt. So nobody has more than a share of them: a webhook, a project, of all.
WEBHOOK_SHARE, PROJECT_SHARE, _RESOLVER_THREADS = 2, 16, 256
# Of the time of an attempt.
LOOK_UP_SECONDS = 5.0

# On whose behalf a task looks names up: the ids of the project and the webhook.
asker: ContextVar[tuple[int, UUID] | None] = ContextVar("asker", default=None)


class Forbidden(OSError):
    """The host has no public address."""


class NotFoundInTime(OSError):
    """The name servers of the host do not answer."""


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


def open_socket(address: Any) -> socket.socket:
    """A socket for aiohttp to connect to this address, and no other; raises Forbidden."""
    family, kind, protocol, _, place = address
    if not is_allowed(place[0]):
        raise Forbidden(Forbidden.__doc__)
    return socket.socket(family, kind, protocol)


class Resolver(AbstractResolver):
    """The system's, in threads of its own: those of the event loop are for jobs."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="resolve")
        # As long as somebody looks up, or waits to.
        self._shares: WeakValueDictionary[Any, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises Forbidden unless every address that the name has is allowed, and
        NotFoundInTime; waits until the share of the asker has room."""
        shares = await self._take_shares()
        loop = asyncio.get_running_loop()
        looking = self._threads.submit(look_up, host, port, family)
        # Not when the attempt has had enough, but when the thread has.
        looking.add_done_callback(lambda _: _give_back(shares, loop))
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await asyncio.wrap_future(looking)
        except TimeoutError:
            raise NotFoundInTime(NotFoundInTime.__doc__) from None
        results = [
            ResolveResult(
                hostname=host, host=str(place[0]), port=port, family=kind, proto=protocol, flags=0
            )
            for kind, _, protocol, _, place in found
        ]
        if not all(is_allowed(result["host"]) for result in results):
            raise Forbidden(Forbidden.__doc__)
        return results

    async def _take_shares(self) -> list[asyncio.Semaphore]:
        if (ids := asker.get()) is None:
            return []
        project, webhook = ids
        wanted = [self._share(webhook, WEBHOOK_SHARE), self._share(project, PROJECT_SHARE)]
        taken = []
        try:
            for share in wanted:
                await share.acquire()
                taken.append(share)
        except asyncio.CancelledError:
            for share in taken:
                share.release()
            raise
        return taken

    def _share(self, whose: int | UUID, size: int) -> asyncio.Semaphore:
        share = self._shares.get(whose)
        if share is None:
            share = self._shares[whose] = asyncio.Semaphore(size)
        return share

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _give_back(shares: list[asyncio.Semaphore], loop: asyncio.AbstractEventLoop) -> None:
    # The loop may have ended before the thread has.
    with contextlib.suppress(RuntimeError):
        for share in shares:
            loop.call_soon_threadsafe(share.release)


def look_up(host: str, port: int, family: socket.AddressFamily) -> Any:
    return socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


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
