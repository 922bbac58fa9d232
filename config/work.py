"""The worker: `python -m config.work` runs background jobs and sends webhooks until SIGTERM
or SIGINT.

Then it takes no more of either, finishes those that it has, and ends. A worker that is
killed loses nothing: another one does its jobs again. Any number of them may run.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from procrastinate import PsycopgConnector
from procrastinate.connector import BaseConnector
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.exceptions import ConnectorException

logger = logging.getLogger(__name__)

# How often it looks for jobs whose time has come; it is told of those to do at once.
_LOOK_SECONDS = 1.0
# Until it tries again after it lost PostgreSQL.
_PAUSE_SECONDS = 1.0
_ALIVE_SECONDS = 10.0
# A restart of PostgreSQL within this time costs nothing but time.
_CONNECT_SECONDS = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m config.work", description=__doc__)
    parser.add_argument(
        "--alive",
        type=Path,
        metavar="FILE",
        help="touched every 10 s while the worker reaches PostgreSQL, for a health check",
    )
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from config import settings
    except ValueError as error:
        sys.exit(f"A setting is wrong: {error}")

    import django

    django.setup()
    asyncio.run(work(threads=settings.WORKER_THREADS, alive=arguments.alive))


async def work(*, threads: int, alive: Path | None = None) -> None:
    """Runs jobs, each in a thread, until a signal comes; whatever becomes of PostgreSQL."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    # As many as can be used: each keeps its own connection to the database.
    loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="job"))
    logger.info("The worker starts, with %s threads", threads)
    sending = asyncio.create_task(_send_deliveries(stop))
    while not stop.is_set():
        connected = asyncio.Event()
        running = asyncio.create_task(_run_jobs(threads, alive, connected))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # While connections are opened a cancellation may be lost (python/cpython#86296).
        while not (connected.is_set() or running.done()):
            running.cancel()
            await asyncio.wait({running}, timeout=_PAUSE_SECONDS)
        # It then finishes the jobs that it has.
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            pass
        except (ConnectorException, psycopg.Error) as error:
            logger.warning("The worker lost PostgreSQL, and tries again: %r", error)
        stopping.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PAUSE_SECONDS)
    await sending
    logger.info("The worker has stopped")


async def _send_deliveries(stop: asyncio.Event) -> None:
    from conversations.webhooks.sender import send_until

    while not stop.is_set():
        try:
            await send_until(stop, _connection_parameters())
        except Exception:
            logger.exception("Sending webhooks broke off, and begins again")
            await asyncio.sleep(_PAUSE_SECONDS)


async def _run_jobs(threads: int, alive: Path | None, connected: asyncio.Event) -> None:
    """Returns when PostgreSQL was lost, where it does not raise that."""
    from conversations.jobs import DEAD_AFTER, HEARTBEAT

    with app.replace_connector(WorkerConnector(threads)):
        async with app.open_async():
            connected.set()
            signs = asyncio.create_task(_give_signs_of_life(alive))
            try:
                await app.run_worker_async(
                    concurrency=threads,
                    fetch_job_polling_interval=_LOOK_SECONDS,
                    delete_jobs="successful",
                    update_heartbeat_interval=HEARTBEAT,
                    stalled_worker_timeout=DEAD_AFTER,
                    install_signal_handlers=False,
                )
            finally:
                signs.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await signs


async def _give_signs_of_life(alive: Path | None) -> None:
    while alive is not None:
        with contextlib.suppress(ConnectorException):
            await app.check_connection_async()
            alive.touch()
        await asyncio.sleep(_ALIVE_SECONDS)


class WorkerConnector(PsycopgConnector):
    """Takes jobs over connections of its own; what a job enqueues goes over Django's.

    So the jobs that a job leaves are part of its transaction, as in a request.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(
            kwargs=_connection_parameters(),
            min_size=1,
            max_size=threads + 2,
            timeout=_CONNECT_SECONDS,
        )

    def get_sync_connector(self) -> BaseConnector:
        return DjangoConnector()


def _connection_parameters() -> dict[str, Any]:
    """Those of Django's connection, but past PgBouncer where there is one."""
    from django.conf import settings
    from django.db import connections

    connection, direct = connections["default"], settings.DATABASE_DIRECT
    database = connection.settings_dict
    options = {**database["OPTIONS"], **direct.get("OPTIONS", {})}
    wrapper = type(connection)({**database, **direct, "OPTIONS": options})
    parameters: dict[str, Any] = wrapper.get_connection_params()
    # They are for Django's own cursors.
    del parameters["cursor_factory"], parameters["context"]
    return parameters


if __name__ == "__main__":
    main()
