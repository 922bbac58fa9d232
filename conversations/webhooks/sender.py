"""Sends the deliveries that are due: a task of the worker, beside the threads of its jobs.

Waiting for a receiver costs no thread, so that hundreds of slow ones keep nobody waiting
who answers. Each process of the worker has one of these, and any number may run.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import Barrier
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import psycopg
from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone

from conversations.events.serializers import event_json
from conversations.events.verbs import DELIVERIES_DUE
from conversations.webhooks import verbs
from conversations.webhooks.models import Delivery
from conversations.webhooks.resolver import Forbidden, NotFoundInTime, Resolver, asker, open_socket
from conversations.webhooks.signatures import signature
from conversations.webhooks.verbs import Outcome
from rest.json import dumps, timestamp

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Of one attempt, from looking up the host to the last byte of the answer that is read.
TIMEOUT = 15.0
# What is kept of an answer; no more of it is read.
KEPT_BYTES = 1024
# In one process: bounded by the files that it may have open.
MOST_UNDER_WAY = 400
# Those that claim and write down; waiting for receivers needs none.
_THREADS = 4
# How often it looks for what has become due; of what is new it is told.
_LOOK_SECONDS = 1.0
# New ones that come this close together are claimed together.
_GATHER_SECONDS = 0.02
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Message:
    """A delivery as it is sent this time."""

    id: UUID
    project_id: int
    webhook_id: UUID
    attempts: int
    url: str
    secrets: list[str]
    body: bytes

    @classmethod
    def of(cls, delivery: Delivery) -> "Message":
        event = delivery.event
        body = {
            "type": event.type,
            "timestamp": timestamp(event.created_at),
            "data": event_json(event),
        }
        webhook = delivery.webhook
        secrets = webhook.signing_secrets(timezone.now())
        return cls(
            delivery.pk,
            delivery.project_id,
            webhook.pk,
            delivery.attempts,
            webhook.url,
            secrets,
            dumps(body),
        )

    def headers(self) -> dict[str, str]:
        now = int(time.time())
        return {
            "content-type": "application/json",
            "user-agent": "Conversations-Webhooks/1.0",
            "webhook-id": str(self.id),
            "webhook-timestamp": str(now),
            "webhook-signature": signature(
                self.secrets, message_id=str(self.id), timestamp=now, body=self.body
            ),
        }


async def send_until(stop: asyncio.Event, connection_parameters: dict[str, Any]) -> None:
    """Sends what is due until it is told to stop, whatever becomes of PostgreSQL; then ends
    when the attempts under way have ended.

    The parameters are those of a connection past PgBouncer, on which to listen.
    """
    wake = asyncio.Event()
    async with _sender(wake) as sender:
        listening = asyncio.create_task(_listen(connection_parameters, wake))
        stopping = asyncio.create_task(_wake_when(stop, wake))
        clearing = asyncio.create_task(sender.clear_away_until(stop))
        try:
            while not stop.is_set():
                wake.clear()
                await sender.start_what_is_due()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), _LOOK_SECONDS)
                await asyncio.sleep(_GATHER_SECONDS)
        finally:
            listening.cancel()
            stopping.cancel()
            await asyncio.gather(listening, stopping, return_exceptions=True)
        await sender.wait()
        await clearing


async def send_what_is_due() -> None:
    """Sends until nothing is due, and clears away what is left of webhooks."""
    wake = asyncio.Event()
    async with _sender(wake) as sender:
        while await sender.start_what_is_due() or sender.under_way:
            await sender.wait_for_one()
        while await sender.clear_some_away():
            pass


@contextlib.asynccontextmanager
async def _sender(wake: asyncio.Event) -> "AsyncIterator[Sender]":
    resolver = Resolver()
    # A connection for each attempt: one that was kept may lead where it no longer should.
    connector = aiohttp.TCPConnector(
        resolver=resolver,
        socket_factory=open_socket,
        use_dns_cache=False,
        force_close=True,
        limit=0,
    )
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="deliveries")
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        try:
            yield Sender(session, threads, wake)
        finally:
            await resolver.close()
            # Each thread has a connection, and waits until all of them have been reached.
            barrier = Barrier(_THREADS)
            for _ in range(_THREADS):
                threads.submit(_leave, barrier)
            threads.shutdown(wait=True)


class Sender:
    """The attempts of this process that are under way."""

    def __init__(
        self, session: aiohttp.ClientSession, threads: ThreadPoolExecutor, wake: asyncio.Event
    ) -> None:
        self.session, self.threads, self.wake = session, threads, wake
        self.under_way: set[asyncio.Task[None]] = set()

    async def start_what_is_due(self) -> int:
        """Begins an attempt of each delivery that is due and may be made now; how many."""
        room = MOST_UNDER_WAY - len(self.under_way)
        if room <= 0:
            return 0
        try:
            messages = await self._in_thread(_claim, room)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Deliveries can not be looked for, and will be again: %r", error)
            await asyncio.sleep(_PAUSE_SECONDS)
            return 0
        for message in messages:
            task = asyncio.create_task(self._attempt(message))
            self.under_way.add(task)
            task.add_done_callback(self._done)
        return len(messages)

    async def clear_away_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if not await self.clear_some_away():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)

    async def clear_some_away(self) -> bool:
        try:
            return await self._in_thread(verbs.clear_away)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Webhooks can not be cleared away, and will be again: %r", error)
            return False

    async def wait(self) -> None:
        await asyncio.gather(*self.under_way, return_exceptions=True)

    async def wait_for_one(self) -> None:
        if self.under_way:
            await asyncio.wait(self.under_way, return_when=asyncio.FIRST_COMPLETED)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.under_way.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("An attempt broke off, and will be repeated", exc_info=error)
        self.wake.set()

    async def _attempt(self, message: Message) -> None:
        outcome = await attempt(self.session, message)
        # As long as nobody else repeats it, it is worth trying to say how it went.
        until = time.monotonic() + verbs.CLAIM.total_seconds() - TIMEOUT
        while True:
            try:
                await self._in_thread(
                    verbs.finish,
                    delivery_id=message.id,
                    attempts=message.attempts,
                    outcome=outcome,
                )
            except (DatabaseError, InterfaceError) as error:
                if time.monotonic() > until:
                    logger.warning("Delivery %s will be repeated: %r", message.id, error)
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _in_thread(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, lambda: _run(call, *args, **kwargs))


def _run(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    # As at the bounds of a request: a connection that PostgreSQL ended is opened anew.
    close_old_connections()
    try:
        return call(*args, **kwargs)
    finally:
        close_old_connections()


def _leave(barrier: Barrier) -> None:
    connections.close_all()
    barrier.wait()


def _claim(most: int) -> list[Message]:
    # One that has been disabled since is told of these, as of those that are under way.
    return [Message.of(delivery) for delivery in verbs.claim(most)]


# --- One attempt -------------------------------------------------------------


async def attempt(session: aiohttp.ClientSession, message: Message) -> Outcome:
    """Sends a message once. Never raises: whatever a receiver does is an outcome."""
    asker.set((message.project_id, message.webhook_id))
    began = time.monotonic()
    answer: _Answer | None = None
    error: str | None = None
    try:
        async with asyncio.timeout(TIMEOUT):
            answer = await _post(session, message)
        if not 200 <= answer.status < 300:
            error = f"The receiver answered {answer.status}."
        elif answer.error:
            error = answer.error
    except TimeoutError:
        error = f"No whole answer within {TIMEOUT:.0f} seconds."
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        error = _reason(exc)
    except Exception as exc:
        # Its text and its trace might show the secrets, or what the receiver was told.
        logger.error("The attempt of delivery %s broke off: %s", message.id, type(exc).__name__)
        error = "The attempt broke off."
    duration = timedelta(seconds=time.monotonic() - began)
    if answer is None:
        return Outcome(duration, error=error)
    return Outcome(duration, answer.status, answer.body, error, answer.retry_after)


@dataclass
class _Answer:
    status: int
    body: str = ""
    error: str | None = None
    retry_after: timedelta | None = None


async def _post(session: aiohttp.ClientSession, message: Message) -> _Answer:
    async with session.post(
        message.url, data=message.body, headers=message.headers(), allow_redirects=False
    ) as response:
        answer = _Answer(
            response.status, retry_after=_retry_after(response.headers.get("Retry-After"))
        )
        content = b""
        try:
            while chunk := await response.content.read(KEPT_BYTES - len(content)):
                content += chunk
        except aiohttp.ClientError as exc:
            answer.error = _reason(exc)
        # A NUL is text to Python, and not to PostgreSQL.
        answer.body = content.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        return answer


def _reason(error: BaseException) -> str:
    """What went wrong, for the owner of the webhook: no address that our network gave away."""
    causes = [error, error.__cause__, getattr(error, "os_error", None)]
    if any(isinstance(cause, Forbidden) for cause in causes):
        return "The host has no public address."
    if any(isinstance(cause, NotFoundInTime) for cause in causes):
        return NotFoundInTime.__doc__ or ""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "The host was not found."
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "The connection could not be encrypted: the certificate or TLS is wrong."
        case aiohttp.InvalidURL():
            return "The URL can not be connected to."
        case aiohttp.ClientConnectorError():
            return "The connection was refused, or could not be made."
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError():
            return "The connection was closed before the answer was whole."
        case aiohttp.ClientResponseError():
            return "The answer was not HTTP."
    return "The connection broke off."


def _retry_after(value: str | None) -> timedelta | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return timedelta(seconds=min(int(value[:10]), 10**9))
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        # Its zone may be more than a day from UTC, or more than any number of days.
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)


# --- New deliveries ----------------------------------------------------------


async def _listen(parameters: dict[str, Any], wake: asyncio.Event) -> None:
    # What is missed while there is no connection is found by looking.
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            async with connection:
                await connection.execute(f"LISTEN {DELIVERIES_DUE}")
                async for _ in connection.notifies():
                    wake.set()
        except psycopg.Error as error:
            logger.debug("Listening for deliveries begins again: %r", error)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _wake_when(stop: asyncio.Event, wake: asyncio.Event) -> None:
    await stop.wait()
    wake.set()
