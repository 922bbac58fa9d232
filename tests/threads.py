"""Threads as the service has them: each with its own database connection, errors not lost."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier, Event
from typing import Any, TypeVar

from django.db import connection, connections

T = TypeVar("T")
PATIENCE_SECONDS = 20.0


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Runs the calls in parallel, all starting at the same moment; their results in order."""
    barrier = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        barrier.wait(PATIENCE_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(_closing, run, call) for call in calls]
        return [future.result(PATIENCE_SECONDS) for future in futures]


class InBackground(AbstractContextManager["InBackground"]):
    """One call in a thread of its own, while the test goes on; `result()` waits for it."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.pool = ThreadPoolExecutor(1)
        self.future: Future[Any] = self.pool.submit(_closing, call, *args)

    def result(self) -> Any:
        return self.future.result(PATIENCE_SECONDS)

    def __exit__(self, *exc: object) -> None:
        self.pool.shutdown(wait=True)


class Pause:
    """A function that stops in the middle: wrapped calls wait until the test lets them go."""

    def __init__(self, function: Callable[..., T], *, before: bool = False) -> None:
        self.function, self.before = function, before
        self.reached, self.go = Event(), Event()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.before:
            self._stop()
            return self.function(*args, **kwargs)
        result = self.function(*args, **kwargs)
        self._stop()
        return result

    def _stop(self) -> None:
        self.reached.set()
        assert self.go.wait(PATIENCE_SECONDS)

    def wait_until_reached(self) -> None:
        assert self.reached.wait(PATIENCE_SECONDS)


def wait_until_blocked(count: int = 1) -> None:
    """Waits until so many connections of this database wait for somebody's lock."""
    with connection.cursor() as cursor:
        for _ in range(2000):
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            if cursor.fetchone()[0] >= count:
                return
            # Within a transaction the view would show the same for ever.
            cursor.execute("SELECT pg_sleep(0.01), pg_stat_clear_snapshot()")
    raise AssertionError("Nobody is blocked.")


def _closing(call: Callable[..., T], *args: Any) -> T:
    try:
        return call(*args)
    finally:
        connections.close_all()
