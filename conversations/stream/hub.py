"""All who listen, in one process, and what is read for them.

However many listen to a project, its events and its count are read once. Whoever comes
with an older place reads for themself until they are where all are.

It looks when it is told to (see `wake`), and by itself every few seconds, since what it
is told by Redis may be lost.
"""

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import ParamSpec, TypeVar

import redis.asyncio
from django.conf import settings
from django.db import Error, close_old_connections
from redis.exceptions import RedisError

from conversations import unread
from conversations.events import feed
from conversations.stream import SCOPE, frames, wake
from conversations.stream.listener import Listener
from projects.callers import Caller, KeyCaller, still_allowed

P = ParamSpec("P")
T = TypeVar("T")
logger = logging.getLogger(__name__)

# What is read at once: so many events, and about so many bytes. A client has no more than a
# page on its way besides what waits for it, see `Listener`.
PAGE, PAGE_BYTES = 100, 512 * 1024
# Each thread may keep a connection to PostgreSQL: those that read for all, and those in
# which streams are opened and catch up, so that a crowd of these delays nobody else.
_READERS, _OPENERS = 2, 4
# How often it looks by itself: while Redis tells, and while it does not.
_LOOK_SECONDS, _LOOK_SECONDS_UNTOLD = 5.0, 1.0
# Between two looks at one project; the first of them is never delayed.
_LEAST_PAUSE = 0.02
# Until it looks again for an event that waits for other transactions: longer each time.
_FIRST_WAIT, _LONGEST_WAIT = 0.01, 1.0
_RETRY_SECONDS = 1.0
# A right that was not found valid within so long ends the stream. With the three seconds
# that a client has to take the end, it is over within 15 after the right is (contract, 8).
_CHECK_SECONDS, _UNCHECKED_SECONDS = 4.0, 10.0


class Threads:
    """Where what waits for PostgreSQL runs; each keeps its connection as a request would."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="reader")
        self._openers = ThreadPoolExecutor(_OPENERS, thread_name_prefix="opener")

    async def read(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What is read for all."""
        return await self._run(self._readers, call, *args, **kwargs)

    async def read_for_one(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(self._openers, call, *args, **kwargs)

    async def _run(
        self, pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        def run() -> T:
            close_old_connections()
            try:
                return call(*args, **kwargs)
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(pool, run)

    def close(self) -> None:
        # One that waits for a PostgreSQL that hangs must not keep the process.
        for pool in (self._readers, self._openers):
            pool.shutdown(wait=False, cancel_futures=True)


class Room:
    """How many streams each key or agent has; for use by several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, caller: Caller) -> bool:
        """Whether there was room for one more, which is taken then until `give_back`."""
        with self._lock:
            has_room = self._taken[caller.holder] < self._most
            self._taken[caller.holder] += has_room
            return has_room

    def give_back(self, caller: Caller) -> None:
        with self._lock:
            self._taken[caller.holder] -= 1
            if not self._taken[caller.holder]:
                del self._taken[caller.holder]


class Hub:
    """Who listens to what. `run` is what keeps it going."""

    def __init__(self, *, keepalive_seconds: float) -> None:
        self.threads = Threads()
        self._keepalive_seconds = keepalive_seconds
        self._channels: dict[int, Channel] = {}
        # Of each caller: their streams, and when they were last found allowed to have them.
        self._streams_of: dict[Caller, set[Listener]] = {}
        self._checked: dict[Caller, float] = {}
        self.room = Room(settings.STREAMS_PER_CALLER)
        self._is_told: bool | None = None
        self._is_stopping = False

    def __len__(self) -> int:
        return sum(len(streams) for streams in self._streams_of.values())

    def channel(self, project_id: int, end: feed.Place) -> "Channel":
        """The one for this project; a new one goes on from `end`."""
        if project_id not in self._channels:
            self._channels[project_id] = Channel(project_id, end, self.threads)
        return self._channels[project_id]

    def add(self, listener: Listener, *, checked: float) -> None:
        """`checked` is when, by the loop's clock, the caller's right was looked at."""
        self._streams_of.setdefault(listener.caller, set()).add(listener)
        self._checked.setdefault(listener.caller, checked)
        if self._is_stopping:
            listener.end("the service stops")

    def remove(self, listener: Listener) -> None:
        streams = self._streams_of.get(listener.caller, set())
        streams.discard(listener)
        if not streams:
            self._streams_of.pop(listener.caller, None)
            self._checked.pop(listener.caller, None)
        channel = self._channels.get(listener.project_id)
        if channel is not None and channel.leave(listener):
            del self._channels[listener.project_id]

    def stop(self) -> None:
        """Ends all streams, and each that begins from now on."""
        self._is_stopping = True
        self._end(self._listeners(), "the service stops")

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._be_told())
            tasks.create_task(self._look())
            tasks.create_task(self._keep_alive())
            tasks.create_task(self._check())
            tasks.create_task(self._end_unchecked())

    # --- What makes a channel look ---

    async def _be_told(self) -> None:
        """Follows what other processes publish; whatever becomes of Redis."""
        while True:
            try:
                await self._follow_redis()
            except (RedisError, OSError) as error:
                if self._is_told is not False:
                    logger.warning("Redis failed; the streams look by themselves: %s", error)
                self._is_told = False
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow_redis(self) -> None:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=3, socket_keepalive=True
        )
        async with client, client.pubsub(ignore_subscribe_messages=True) as messages:
            await messages.subscribe(wake.channel())
            if self._is_told is False:
                logger.info("Redis tells the streams again what to look at")
            self._is_told = True
            # What was published before is lost.
            self._wake(self._channels)
            async for message in messages.listen():
                with contextlib.suppress(ValueError):
                    self._wake([int(message["data"])])

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS if self._is_told else _LOOK_SECONDS_UNTOLD)
            places = {channel.project_id: channel.place for channel in self._channels.values()}
            if not places:
                continue
            with _tried_again("look at the projects"):
                news = await self.threads.read(feed.with_news, places)
                counts = await self.threads.read(unread.recounts, list(places))
                news |= {
                    project_id
                    for project_id, count in counts.items()
                    if project_id in self._channels and self._channels[project_id].count != count
                }
                self._wake(news)

    def _wake(self, project_ids: Iterable[int]) -> None:
        for project_id in project_ids:
            if project_id in self._channels:
                self._channels[project_id].wake()

    # --- Signs of life, and rights ---

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._keepalive_seconds)
            for listener in self._listeners():
                listener.offer(frames.COMMENT)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            callers, now = set(self._streams_of), asyncio.get_running_loop().time()
            with _tried_again("check the rights of who listens"):
                allowed = await self.threads.read(still_allowed, callers, SCOPE)
                for caller in callers & self._streams_of.keys():
                    if caller in allowed:
                        self._checked[caller] = now
                    else:
                        self._end(self._streams_of[caller], "the key or session has ended")

    async def _end_unchecked(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            long_ago = asyncio.get_running_loop().time() - _UNCHECKED_SECONDS
            for caller, checked in list(self._checked.items()):
                if isinstance(caller, KeyCaller) and caller.is_expired():
                    self._end(self._streams_of[caller], "the key has expired")
                elif checked < long_ago:
                    self._end(self._streams_of[caller], "its right could not be checked")

    def _listeners(self) -> list[Listener]:
        return [listener for streams in self._streams_of.values() for listener in streams]

    def _end(self, listeners: Iterable[Listener], why: str) -> None:
        for listener in list(listeners):
            listener.end(why)


class Channel:
    """One project, followed once for all who listen to it."""

    def __init__(self, project_id: int, place: feed.Place, threads: Threads) -> None:
        self.project_id = project_id
        # All before it was told to those who have caught up.
        self.place = place
        self.count: int | None = None
        self._threads = threads
        self._listeners: set[Listener] = set()
        self._wake = asyncio.Event()
        # What it logs is not of the request that happened to be the first.
        self._following = asyncio.create_task(self._follow(), context=Context())

    def join(self, listener: Listener) -> None:
        self._listeners.add(listener)
        # Its count may be older than ours, or newer: a look now says which.
        self.wake()

    def leave(self, listener: Listener) -> bool:
        """Whether nobody listens any more; then it follows no longer."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._following.cancel()
        return not self._listeners

    def wake(self) -> None:
        """Looks, as soon as it can."""
        self._wake.set()

    async def _follow(self) -> None:
        wait = _FIRST_WAIT
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                page = await self._threads.read(
                    feed.read, self.project_id, self.place, PAGE, PAGE_BYTES
                )
                count = await self._threads.read(unread.count, self.project_id)
            except Exception as error:
                _log_failure(f"read the events of project {self.project_id}", error)
                self._wake_later(_RETRY_SECONDS)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._tell_events(page)
            self._tell_count(count)
            if page.events:
                wait = _FIRST_WAIT
            if not page.is_last:
                self.wake()
            elif page.is_waiting:
                self._wake_later(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                wait = _FIRST_WAIT
            await asyncio.sleep(_LEAST_PAUSE)

    def _wake_later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.wake)

    def _tell_events(self, page: feed.Page) -> None:
        before, self.place = self.place, page.place
        told = [(event.place, frames.of_event(event)) for event in page.events]
        if not told:
            return
        for_all = b"".join(frame for _, frame in told)
        for listener in self._listeners:
            if not listener.has_caught_up:
                continue
            if listener.place <= before:
                listener.offer(for_all)
                continue
            # It has read further by itself than we had.
            new = b"".join(frame for place, frame in told if place > listener.place)
            if new:
                listener.offer(new)

    def _tell_count(self, count: int) -> None:
        self.count = count
        for listener in self._listeners:
            if listener.count != count:
                listener.count = count
                listener.offer(frames.of_count(count))


@contextlib.contextmanager
def _tried_again(what: str) -> Iterator[None]:
    """Whatever goes wrong, the next time may go well; no stream would learn of it otherwise."""
    try:
        yield
    except Exception as error:
        _log_failure(what, error)


def _log_failure(what: str, error: Exception) -> None:
    """What PostgreSQL refuses is told in one line, since it repeats; a mistake of ours whole."""
    ours = not isinstance(error, Error)
    logger.warning("Could not %s, and will again: %s", what, error, exc_info=ours)
