"""The web server: `python -m config.serve` serves the application until SIGTERM or SIGINT.

Then it accepts nothing more, finishes the requests that it has, and ends.
"""

import argparse
import gc
import importlib
import os
import signal
import sys
import tempfile

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

# Longer than any statement may run, so that only a client that stopped sending is cut off.
KILL_TIMEOUT = 30
# Of the request line and all headers together, where the server's own limit is 400 KiB. What is
# larger is a 431, at the latest from twice as much on, since the server reads in growing pieces.
MAX_HEADER_BYTES = 64 * 1024


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    parser = argparse.ArgumentParser(prog="python -m config.serve", description=__doc__)
    parser.add_argument("--host", help="instead of HOST, behind a proxy on this machine")
    parser.add_argument("--port", type=int, help="instead of PORT")
    arguments = parser.parse_args()
    serve("config.wsgi:application", host=arguments.host, port=arguments.port)


def serve(target: str, *, host: str | None = None, port: int | None = None) -> None:
    """Serves the WSGI application `module:name` as the settings say, until a signal ends it."""
    try:
        from config import settings
    except ValueError as error:
        sys.exit(f"A setting is wrong: {error}")

    # A worker that is still starting would inherit the handlers of its parent and miss the signal
    # to stop, so that the parent waits for it in vain. It has no requests yet and may just end.
    os.register_at_fork(after_in_child=_default_signals)

    server = Server(
        target,
        address=host or settings.HOST,
        port=port or settings.PORT,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=MAX_HEADER_BYTES),
        websockets=False,
        workers=settings.WEB_WORKERS,
        blocking_threads=settings.WEB_THREADS,
        # The longest that there is: each new thread connects to PostgreSQL and Redis anew.
        blocking_threads_idle_timeout=600,
        # Connections, idle ones included, count against the back pressure (backlog / workers), so
        # a low value would lock new clients out while the old ones keep theirs open.
        backlog=1024,
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_TIMEOUT,
        # What it has to report goes where the application's messages go, in the same form.
        log_level=LogLevels.warning,
        log_dictconfig=settings.LOGGING,
    )
    with tempfile.TemporaryDirectory(prefix="conversations-metrics-") as folder:
        # There the processes leave their numbers for each other. The library looks at the
        # variable when it is imported, which each of them does for itself.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        # The workers are forked, so what is imported here is there for all of them: they start
        # sooner, and share its memory as long as the collector of garbage leaves it alone.
        importlib.import_module(target.partition(":")[0])
        gc.freeze()
        server.serve()


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
