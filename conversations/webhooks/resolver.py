"""The way to a webhook's receiver, past whatever name servers say.

Apart from `addresses`, since the web processes need no aiohttp, which is a tenth of the time
in which they start.
"""

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from aiohttp.abc import AbstractResolver, ResolveResult

from conversations.webhooks.addresses import is_allowed

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
