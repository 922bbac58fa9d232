"""The ASGI application of the stream process: one coroutine for each connection.

A request runs through Django first, in a thread, with the middleware and the view that
the web server has; what is refused is answered there. A stream that may begin costs a
connection no more of Django after that.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.db import Error

from conversations.events import feed
from conversations.stream import frames
from conversations.stream.hub import PAGE, PAGE_BYTES, Channel, Hub
from conversations.stream.listener import Listener
from conversations.stream.opening import Opening, StreamRequest
from rest.headers import harmless_scope
from rest.request_id import name_request

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
logger = logging.getLogger(__name__)

# A client that takes nothing for so long while it catches up is cut off.
_SEND_SECONDS = 30.0
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    # nginx would collect the events otherwise, until they are worth sending.
    (b"x-accel-buffering", b"no"),
    # A proxy that passes connections on may not take the next request here.
    (b"connection", b"close"),
]
# What the view's empty answer has, and a stream has otherwise or not at all.
_NOT_OF_A_STREAM = (b"content-type", b"content-length", b"cache-control")


@dataclass(frozen=True)
class Answer:
    """What Django said; `asked` is when, by the clock of the loop.

    In a crowd a request may wait for a thread longer than a right is taken for granted.
    """

    status: int
    headers: Headers
    body: bytes
    opening: Opening | None
    asked: float

    @property
    def request_id(self) -> bytes:
        return dict(self.headers)[b"x-request-id"]


class Application:
    """Serves the routes of `urlconf`; `abort` of a call ends its connection at once."""

    def __init__(self, hub: Hub, *, urlconf: str) -> None:
        self.hub = hub
        self._urlconf = urlconf
        self._django = BaseHandler()
        self._django.load_middleware()

    async def __call__(
        self, scope: Message, receive: Receive, send: Send, *, abort: Callable[[], None]
    ) -> None:
        answer = await self.hub.threads.read_for_one(self._ask_django, scope)
        name_request(answer.request_id.decode())
        if answer.opening is None:
            await _send_whole(send, answer)
            return
        try:
            await self._stream(answer, answer.opening, receive, send, abort)
        finally:
            self.hub.room.give_back(answer.opening.caller)

    async def _stream(
        self,
        answer: Answer,
        opening: Opening,
        receive: Receive,
        send: Send,
        abort: Callable[[], None],
    ) -> None:
        listener = _listener(opening, abort)
        channel = self.hub.channel(listener.project_id, opening.end)
        channel.join(listener)
        self.hub.add(listener, checked=answer.asked)
        watching = asyncio.create_task(_watch(receive, listener))
        began = time.monotonic()
        try:
            await _start(send, answer)
            # The count comes before all events, those that are caught up with as well.
            await _send_some(send, listener.take())
            await self._catch_up(listener, channel, send)
            await _write(listener, send)
        finally:
            watching.cancel()
            listener.close()
            self.hub.remove(listener)
            logger.info(
                "The stream of project %s ended after %.0f s: %s",
                listener.project_id,
                time.monotonic() - began,
                listener.ended,
            )

    def _ask_django(self, scope: Message) -> Answer:
        asked = time.monotonic()
        request_started.send(sender=type(self), scope=scope)
        # A body is not looked at: nothing that is served here has one.
        request = StreamRequest(harmless_scope(scope), BytesIO())
        request.urlconf = self._urlconf
        request.take_room = self.hub.room.take
        response: Any = self._django.get_response(request)
        try:
            body = b"".join(response)
        finally:
            response.close()
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in [
                *response.items(),
                *(("set-cookie", cookie.OutputString()) for cookie in response.cookies.values()),
            ]
        ]
        return Answer(response.status_code, headers, body, request.opening, asked)

    async def _catch_up(self, listener: Listener, channel: Channel, send: Send) -> None:
        """Reads for this one alone, as fast as it takes it, until it is where all are.

        No await lies between the last look at the channel's place and joining in, so
        that nothing is left out there; what both read, the channel does not tell twice.
        """
        while listener.ended is None and listener.place < channel.place:
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    await _until_taken(send)
            except TimeoutError:
                listener.cut_off("its client reads too slowly")
                return
            try:
                page = await self.hub.threads.read_for_one(
                    feed.read, listener.project_id, listener.place, PAGE, PAGE_BYTES
                )
            except Error as error:
                listener.end(f"its events could not be read: {error}")
                return
            listener.place = page.place
            body = b"".join(map(frames.of_event, page.events)) + listener.take()
            await _send_some(send, body)
        listener.has_caught_up = True


def _listener(opening: Opening, abort: Callable[[], None]) -> Listener:
    listener = Listener(
        project_id=opening.project_id,
        caller=opening.caller,
        place=opening.place,
        count=opening.count,
        abort=abort,
    )
    listener.offer(frames.of_count(opening.count))
    return listener


async def _watch(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end("its client went")


async def _start(send: Send, answer: Answer) -> None:
    of_django = [header for header in answer.headers if header[0] not in _NOT_OF_A_STREAM]
    headers = [*of_django, *_HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _write(listener: Listener, send: Send) -> None:
    while True:
        await listener.wait()
        # What waits for the client before it is taken is what it is cut off for.
        await _until_taken(send)
        await _send_some(send, listener.take())
        if listener.ended is not None:
            # To a connection that was cut this sends nothing.
            await send({"type": "http.response.body", "body": listener.take()})
            return


async def _until_taken(send: Send) -> None:
    """Returns when the client has read nearly all that was sent, or is gone.

    Uvicorn waits for that before it writes, not after; here there is nothing to write.
    """
    await send({"type": "http.response.body", "body": b"", "more_body": True})


async def _send_some(send: Send, body: bytes) -> None:
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _send_whole(send: Send, answer: Answer) -> None:
    headers = [*answer.headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
