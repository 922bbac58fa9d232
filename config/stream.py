"""The stream process: `python -m config.stream` serves events as they happen until SIGTERM or
SIGINT.

Then it ends all streams, whose clients come again and miss nothing, and ends. Any number of them
may run. It serves `…/conversations/stream`, `/livez` and `/readyz`; the rest is the web server's.
"""

import argparse
import asyncio
import contextlib
import functools
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

# Longer than a client may take for the end of its stream.
_STOP_SECONDS = 5


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    parser = argparse.ArgumentParser(prog="python -m config.stream", description=__doc__)
    parser.add_argument("--host", help="instead of STREAM_HOST, behind a proxy on this machine")
    parser.add_argument("--port", type=int, help="instead of STREAM_PORT")
    arguments = parser.parse_args()
    try:
        from config import settings
    except ValueError as error:
        sys.exit(f"A setting is wrong: {error}")

    import django

    django.setup()
    _allow_many_files()
    host = arguments.host or settings.STREAM_HOST
    port = arguments.port or settings.STREAM_PORT
    asyncio.run(serve(host, port, keepalive=settings.STREAM_KEEPALIVE))


async def serve(host: str, port: int, *, keepalive: float) -> None:
    # Here and not above: they need Django's settings.
    from conversations.stream.app import Application
    from conversations.stream.hub import Hub

    hub = Hub(keepalive_seconds=keepalive)
    server = _Server(
        uvicorn.Config(
            Application(hub, urlconf="config.stream_urls"),
            host=host,
            port=port,
            http=_Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            loop="asyncio",
            backlog=1024,
            # The application logs each request, and knows whose word counts on who sends it.
            access_log=False,
            proxy_headers=False,
            server_header=False,
            log_config=None,
            # Its warnings are about what clients send.
            log_level="error",
            timeout_graceful_shutdown=_STOP_SECONDS,
        ),
        when_stopping=hub.stop,
    )
    running = asyncio.create_task(hub.run())
    # A process that learns of nothing any more must not go on.
    running.add_done_callback(lambda _: server.stop())
    await server.serve()
    hub.threads.close()
    if running.done():
        running.result()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


class _Server(uvicorn.Server):
    """Ends what would go on for ever before it waits for the end of it."""

    def __init__(self, config: uvicorn.Config, *, when_stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_stopping = when_stopping

    def stop(self) -> None:
        self.should_exit = True
        self._when_stopping()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        yield


class _Connection(H11Protocol):
    """Lets the application end a connection whose client reads nothing; ASGI has no way to."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app: Any = functools.partial(self.app, abort=transport.abort)


def _allow_many_files() -> None:
    """A connection is a file, and the usual limit of 1024 is meant for old programs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
