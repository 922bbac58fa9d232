"""The one port of `make run`: `python -m config.router` passes streams to the stream process, and
all else to the web server. In production a proxy does that, see docker-compose.yml.

It looks at the head of each request and passes bytes on. A client has a connection of its own to
each server, so that what one sends can not end up in the request of another. Of who sends several
requests without waiting for answers, none but the first should ask for a stream.
"""

import argparse
import asyncio
import ipaddress
import re
import signal
import sys
from typing import Any

# Larger heads are not looked at; the web server refuses them.
_MAX_HEAD = 64 * 1024
_IS_STREAM = re.compile(
    rb"[A-Z]+ /api/(?:projects|environments)/[^/?# ]+/conversations/stream/?[? ]"
)
# What decides where the request ends: RFC 9112, section 6.
_BODY = re.compile(
    rb"\r\n(content-length|transfer-encoding)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n|$)",
    re.IGNORECASE,
)
_HEAD_END = b"\r\n\r\n"
_CONNECTION = re.compile(rb"\r\nconnection[ \t]*:[^\r\n]*", re.IGNORECASE)
# A server may take it for the end of a line, where this process sees none: RFC 9112, section 2.2.
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
# How long a client may take for the head of a request.
_HEAD_SECONDS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.router", description=__doc__)
    parser.add_argument("--web", type=int, required=True, metavar="PORT", help="on 127.0.0.1")
    parser.add_argument("--stream", type=int, required=True, metavar="PORT", help="on 127.0.0.1")
    arguments = parser.parse_args()
    try:
        from config import settings
    except ValueError as error:
        sys.exit(f"A setting is wrong: {error}")
    router = Router(arguments.web, arguments.stream, trusted=settings.TRUSTED_PROXIES)
    asyncio.run(route(router, settings.HOST, settings.PORT))


async def route(router: "Router", host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Client(router), host, port, backlog=1024)
    await stop.wait()
    server.close()


class Router:
    """Where requests go; `trusted` are the proxies whose X-Forwarded-Proto counts."""

    def __init__(self, web: int, stream: int, *, trusted: list[Any]) -> None:
        self.web = web
        self.stream = stream
        self._trusted = trusted

    def headers_for(self, address: str) -> bytes:
        """What the servers are told of who is at the other end, as the last of the head."""
        headers = f"\r\nX-Forwarded-For: {address}"
        client = ipaddress.ip_address(address.partition("%")[0])
        # The servers believe this process, so it must not pass on what anybody can say.
        if not any(client in network for network in self._trusted):
            headers += "\r\nX-Forwarded-Proto: http"
        return headers.encode() + _HEAD_END


class Side(asyncio.Protocol):
    """One of two connections; what comes faster than the other takes it has to wait."""

    transport: asyncio.Transport
    other: "Side | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            # What was sent before still arrives.
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()


class Server(Side):
    """The connection to a server, for one client."""

    def __init__(self, client: "Client") -> None:
        self.other = client
        self._to_client = client.transport

    def data_received(self, data: bytes) -> None:
        self._to_client.write(data)


class Client(Side):
    """A client's connection, from request to request."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._unread = b""
        # Of the body of the request that is being passed on; None: all that comes from now on.
        self._left: int | None = 0
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._expect_head()
        self._last_headers = self._router.headers_for(transport.get_extra_info("peername")[0])

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_timer()
        if self._connecting is not None:
            self._connecting.cancel()

    def _expect_head(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        self._unread = self._unread + data if self._unread else data
        if self._connecting is None:
            self._pass_on()

    def _pass_on(self) -> None:
        while data := self._unread:
            if self._left is None or self._left:
                self._pass_on_body(data)
                continue
            end = data.find(_HEAD_END)
            if _BARE_LINE_FEED.search(data, 0, end if end >= 0 else len(data)):
                self.transport.close()
                self._unread = b""
                return
            if end < 0:
                if len(data) > _MAX_HEAD:
                    self._left = None
                    continue
                self._expect_head()
                return
            self._end_timer()
            is_stream = _IS_STREAM.match(data) is not None
            if self.other is None or is_stream:
                # Comes back here when the server is there.
                self._connect(self._router.stream if is_stream else self._router.web, end)
                return
            self._pass_on_head(end)

    def _pass_on_head(self, end: int) -> None:
        data = self._unread
        assert self.other is not None
        head = data[:end]
        found = _BODY.findall(head)
        self._unread = data[end + len(_HEAD_END) :]
        if not found:
            self._left = 0
        elif len(found) == 1 and found[0][0].lower() == b"content-length" and found[0][1].isdigit():
            self._left = int(found[0][1])
        else:
            # A chunked body ends where only the server sees it. What follows is passed on
            # unseen, with headers that the client has made up, so it must not be a request.
            self._left = None
            head = _CONNECTION.sub(b"", head) + b"\r\nConnection: close"
        self.other.transport.write(head + self._last_headers)

    def _pass_on_body(self, data: bytes) -> None:
        if self.other is None:
            self.transport.close()
            self._unread = b""
            return
        if self._left is None:
            self.other.transport.write(data)
            self._unread = b""
            return
        self.other.transport.write(data[: self._left])
        self._unread = data[self._left :]
        self._left -= len(data) - len(self._unread)

    def _connect(self, port: int, end: int) -> None:
        self.transport.pause_reading()
        self._connecting = asyncio.create_task(self._reach(port, end))

    async def _reach(self, port: int, end: int) -> None:
        try:
            _, server = await asyncio.get_running_loop().create_connection(
                lambda: Server(self), "127.0.0.1", port
            )
        except OSError:
            # `make run` says so, and why, when it was not the start or the end.
            self.transport.close()
            return
        if self.other is not None:
            # The connection to the web server, which has answered all that it was asked.
            self.other.other = None
            self.other.transport.close()
        self.other = server
        self._pass_on_head(end)
        if port == self._router.stream:
            # Its server closes the connection after one answer.
            self._left = None
        self._connecting = None
        self.transport.resume_reading()
        self._pass_on()


if __name__ == "__main__":
    main()
