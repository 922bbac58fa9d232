"""Jobs in the real queue: a worker until it is empty, and one in a process of its own."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, connections
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.periodic import PeriodicRegistry

from config.work import WorkerConnector
from tests.service import _database_url


def enqueue(task: Any) -> None:
    """A periodic job, now and not when its time comes; somebody may have done so already."""
    with suppress(AlreadyEnqueued):
        task.defer(timestamp=0)


def run_jobs() -> None:
    """Runs what waits in the queue, as the worker does, and fails if a job does."""
    failed = set(_failed_jobs())
    asyncio.run(_run_jobs())
    assert not set(_failed_jobs()) - failed


async def _run_jobs() -> None:
    with app.replace_connector(WorkerConnector(1)) as worker, _without_periodic(worker):
        async with worker.open_async():
            await worker.run_worker_async(
                wait=False,
                listen_notify=False,
                install_signal_handlers=False,
                delete_jobs="successful",
                task_middleware=[_closing],
            )


@contextmanager
def _without_periodic(worker: App) -> Iterator[None]:
    """No job but those in the queue; and what waits for the others' time takes a second to end."""
    registry = worker.periodic_registry
    worker.periodic_registry = PeriodicRegistry()  # type: ignore[no-untyped-call]  # (theirs)
    try:
        yield
    finally:
        worker.periodic_registry = registry


def _closing(call: Callable[[], Any], context: Any, worker: Any) -> Any:
    # The thread ends with this worker, and must leave no connection open.
    try:
        return call()
    finally:
        connections.close_all()


def _failed_jobs() -> list[int]:
    return list(ProcrastinateJob.objects.filter(status="failed").values_list("id", flat=True))


@dataclass(frozen=True)
class WorkerProcess:
    """A running worker; `log` is the file with its log lines."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)


@contextmanager
def running_worker(*arguments: str, **environment: str) -> Iterator[WorkerProcess]:
    """`python -m config.work` on this test's database, as `make run` starts it."""
    environment = {
        **os.environ,
        "DATABASE_URL": _database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "CACHE_KEY_PREFIX": settings.CACHE_KEY_PREFIX,
        "SECRET_KEY": settings.SECRET_KEY,
        **environment,
    }
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "config.work", *arguments],
            env=environment,
            stdout=log,
            stderr=log,
        )
        worker = WorkerProcess(process, Path(log.name))
        try:
            yield worker
        finally:
            process.terminate()
            process.wait(60)


def jobs_named(task: str) -> list[ProcrastinateJob]:
    return list(ProcrastinateJob.objects.filter(task_name=task).order_by("id"))


def let_it_look_dead(worker_id: int) -> None:
    """As if a minute had passed without a sign of life from this worker."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"
            " WHERE id = %s",
            [worker_id],
        )
