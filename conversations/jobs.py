"""Background jobs, run by `config.work`.

They are rows in PostgreSQL, enqueued through Django's connection and so in the
transaction of the change that they follow. A job may run more than once: one whose
worker died is tried again. So each does nothing where its work is done already.

A job that has a `queueing_lock` must not have `retry`: putting it back into the
queue fails while another with the same lock waits there.
"""

import contextlib
import logging
import time
from collections.abc import Sequence

from procrastinate import JobContext, jobs
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation

from conversations.events import verbs as events
from conversations.tickets import verbs
from conversations.widget import restores
from rest import idempotency, leases

logger = logging.getLogger(__name__)

# Of several jobs that wait, the one with the highest priority is taken first.
_AT_ITS_TIME = 10
_WHEN_IDLE = -10

# A worker says so often that it lives, and is taken for dead after so long (seconds).
HEARTBEAT = 10.0
DEAD_AFTER = 30.0
# A job during which so many workers died is not given to another.
_MOST_ATTEMPTS = 10
_KEEP_FAILED_HOURS = 7 * 24


@app.periodic(cron="* * * * * */30")
@app.task(name="wake_tickets", queueing_lock="wake_tickets", priority=_AT_ITS_TIME)
def wake_tickets(timestamp: int) -> None:
    """Ends the snoozes that have passed, twice a minute."""
    while len(verbs.wake_tickets()) == verbs.WAKE_AT_ONCE:
        pass


@app.periodic(cron="23 * * * *")
@app.task(name="prune_events", queueing_lock="prune_events", priority=_WHEN_IDLE)
def prune_events(timestamp: int) -> None:
    """Removes the events that were kept long enough, in batches."""
    while events.prune() == events.PRUNE_AT_ONCE:
        pass


# --- Cached values that could not be forgotten -------------------------------


def forget_later(keys: Sequence[str], seconds: float) -> None:
    """Enqueues forgetting the keys until it works, or nothing old can be left of them.

    Of many writes while Redis is away only the first in each period leaves a job for
    its keys; the deadline of that one serves all of them.
    """
    period = time.time() // seconds
    for key in keys:
        _enqueue_forget(key, until=(period + 2) * seconds, attempt=0)


@app.task(name="forget_cached", priority=_WHEN_IDLE)
def forget_cached(key: str, until: float, attempt: int) -> None:
    try:
        leases.forget_now([key])
    except leases.CacheDown:
        if time.time() < until:
            _enqueue_forget(key, until=until, attempt=attempt + 1)


def _enqueue_forget(key: str, *, until: float, attempt: int) -> None:
    lock = f"forget_cached {key} {until:.0f}"
    # What waits now runs later than now, and so after the write that asks for it.
    if ProcrastinateJob.objects.filter(queueing_lock=lock, status="todo").exists():
        return
    pause = min(2**attempt, 8) if attempt else 0
    with contextlib.suppress(AlreadyEnqueued):
        forget_cached.configure(queueing_lock=lock, schedule_in={"seconds": pause}).defer(
            key=key, until=until, attempt=attempt
        )


# --- What is kept for a while ------------------------------------------------


@app.periodic(cron="43 * * * *")
@app.task(name="prune_answers", queueing_lock="prune_answers", priority=_WHEN_IDLE)
def prune_answers(timestamp: int) -> None:
    """Removes the answers to requests with an Idempotency-Key after their time."""
    idempotency.prune()


@app.periodic(cron="23 * * * *")
@app.task(name="prune_restores", queueing_lock="prune_restores", priority=_WHEN_IDLE)
def prune_restores(timestamp: int) -> None:
    """Removes the addresses to which links to old conversations were wanted."""
    restores.prune()


# --- The queue itself --------------------------------------------------------


@app.periodic(cron="* * * * * */30")
@app.task(name="rescue_jobs", queueing_lock="rescue_jobs", priority=_AT_ITS_TIME, pass_context=True)
async def rescue_jobs(context: JobContext, timestamp: int) -> None:
    """Puts the jobs of dead workers back into the queue."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_AFTER):
        assert job.id is not None
        if job.attempts >= _MOST_ATTEMPTS:
            logger.error("Job %s (%s) has outlived %s workers", job.id, job.task_name, job.attempts)
            await manager.finish_job(job, jobs.Status.FAILED, delete_job=False)
            continue
        try:
            await manager.retry_job(job)
        except UniqueViolation:
            # The same job waits once more, and will do the work of this one.
            await manager.finish_job(job, jobs.Status.ABORTED, delete_job=True)


@app.periodic(cron="17 * * * *")
@app.task(name="prune_jobs", queueing_lock="prune_jobs", priority=_WHEN_IDLE, pass_context=True)
async def prune_jobs(context: JobContext, timestamp: int) -> None:
    """Removes jobs that failed a week ago; the worker removes those that succeed at once."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=_KEEP_FAILED_HOURS,
        include_failed=True,
        include_cancelled=True,
        include_aborted=True,
    )
