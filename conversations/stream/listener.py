"""One who listens: what waits to be written to them, and how it ends."""

import asyncio
from collections.abc import Callable

from conversations.events.feed import Place
from projects.callers import Caller

# Somebody for whom more bytes wait than this gets no more. What comes at once, and finds
# nobody waiting for anything, may be larger: all get the same bytes, kept once.
MAX_WAITING = 1024 * 1024
# How long the end of a stream may wait for a client that does not read.
_END_SECONDS = 3.0


class Listener:
    """A client's place in the events, the count that it knows, and its bounded buffer.

    `has_caught_up` says that it gets what is read for all; until then it reads for
    itself. Not for use by several threads.
    """

    def __init__(
        self,
        *,
        project_id: int,
        caller: Caller,
        place: Place,
        count: int,
        abort: Callable[[], None],
    ) -> None:
        self.project_id = project_id
        self.caller = caller
        self.place = place
        self.count = count
        self.has_caught_up = False
        self.ended: str | None = None
        self._abort = abort
        self._waiting: list[bytes] = []
        self._size = 0
        self._ready = asyncio.Event()
        self._forced_end: asyncio.TimerHandle | None = None

    def offer(self, data: bytes) -> None:
        """Adds to what waits to be written; ends the stream of who does not read."""
        if self.ended is not None:
            return
        if self._size > MAX_WAITING:
            self.cut_off("its client reads too slowly")
            return
        self._waiting.append(data)
        self._size += len(data)
        self._ready.set()

    async def wait(self) -> None:
        """Until there is something to be taken, or the stream has ended."""
        await self._ready.wait()

    def take(self) -> bytes:
        """What waits now, perhaps nothing."""
        data, self._waiting, self._size = b"".join(self._waiting), [], 0
        if self.ended is None:
            self._ready.clear()
        return data

    def end(self, why: str) -> None:
        """Ends the stream after what waits; who does not read that is cut off."""
        if self.ended is None:
            self.ended = why
            self._ready.set()
            self._forced_end = asyncio.get_running_loop().call_later(_END_SECONDS, self._abort)

    def cut_off(self, why: str) -> None:
        """Ends the connection at once, with all that waits."""
        if self.ended is None:
            self.ended = why
            self._waiting.clear()
            self._ready.set()
        self._abort()

    def close(self) -> None:
        """Its connection has ended."""
        if self._forced_end is not None:
            self._forced_end.cancel()
