"""The worker and its queue: in the transaction of the change, through kills and restarts."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from django_redis import get_redis_connection
from procrastinate.contrib.django import app

from config.embedded import Server
from conversations import jobs, unread
from conversations.models import Ticket
from projects.models import PendingClaims, Project
from rest import leases
from rest.json import timestamp
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.jobs import (
    WorkerProcess,
    enqueue,
    jobs_named,
    let_it_look_dead,
    run_jobs,
    running_worker,
)
from tests.service import _database_url, running_service, service_environment
from tests.test_layout import PACKAGES
from tests.threads import wait_until_blocked

PATIENCE = 40.0


def wait_for(found: Callable[[], Any], worker: WorkerProcess | None = None) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert worker is None or worker.process.poll() is None, worker.log.read_text()
        assert time.monotonic() < deadline, worker and worker.log.read_text()
        time.sleep(0.02)


def snoozed_before_now(make_ticket: MakeTicket) -> Ticket:
    answer = make_ticket(snoozed_until=timestamp(timezone.now() + timedelta(hours=1)))
    passed = timezone.now() - timedelta(seconds=1)
    Ticket.objects.filter(pk=answer["id"]).update(snoozed_until=passed)
    return Ticket.objects.get(pk=answer["id"])


def is_awake(ticket: Ticket) -> bool:
    ticket.refresh_from_db()
    return ticket.snoozed_until is None


@pytest.fixture(autouse=True)
def empty_queue() -> Iterator[None]:
    """What one test leaves in the queue is not for the next, nor what other files leave."""
    _clear()
    yield
    _clear()


def _clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
        cursor.execute("DELETE FROM procrastinate_workers")


# --- The queue ---------------------------------------------------------------


def test_a_worker_knows_every_job() -> None:
    # In a process of its own: in this one the views have imported what a worker might lack.
    known = subprocess.run(
        [
            sys.executable,
            "-c",
            "import django; django.setup(); from procrastinate.contrib.django "
            "import app; print(*app.tasks)",
        ],
        env=service_environment(),
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    paths = [path for package in PACKAGES for path in Path(package).rglob("jobs.py")]
    sources = [path.read_text() for path in paths]
    named = [name for source in sources for name in re.findall(r'\.task\(\s*name="(\w+)"', source)]

    assert {"wake_tickets", "send_restore_link", "hear_claims"} <= set(named)
    assert set(named) <= set(known)


def test_a_job_is_part_of_the_transaction_that_enqueues_it() -> None:
    with transaction.atomic():
        enqueue(jobs.wake_tickets)
        transaction.set_rollback(True)
    assert jobs_named("wake_tickets") == []

    with transaction.atomic():
        enqueue(jobs.wake_tickets)
    assert len(jobs_named("wake_tickets")) == 1


def test_what_a_job_enqueues_is_part_of_its_transaction_as_well() -> None:
    """The worker takes jobs over other connections than Django's."""
    before = set(app.tasks)

    @app.task(name="leaves_a_job_and_fails")
    def leaves_a_job_and_fails() -> None:
        with transaction.atomic():
            jobs.wake_tickets.configure(queueing_lock=None, schedule_in={"days": 1}).defer(
                timestamp=0
            )
            raise RuntimeError("The transaction is rolled back.")

    try:
        leaves_a_job_and_fails.defer()
        with pytest.raises(AssertionError):
            run_jobs()
    finally:
        for name in set(app.tasks) - before:
            del app.tasks[name]

    assert not [job for job in jobs_named("wake_tickets") if job.scheduled_at]


def test_a_job_that_succeeded_is_removed() -> None:
    enqueue(jobs.wake_tickets)

    run_jobs()

    assert jobs_named("wake_tickets") == []


def test_jobs_that_failed_are_removed_a_week_later() -> None:
    for hours in (1, 24 * 8):
        with connection.cursor() as cursor:
            cursor.execute(
                "WITH job AS (INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
                " VALUES ('default', 'failed', 'failed') RETURNING id)"
                " INSERT INTO procrastinate_events (job_id, type, at)"
                " SELECT id, 'failed', now() - %s * interval '1 hour' FROM job",
                [hours],
            )
    enqueue(jobs.prune_jobs)

    run_jobs()

    assert len(jobs_named("failed")) == 1


def stalled_job(attempts: int = 0) -> int:
    """A job whose worker is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs"
            " (queue_name, status, task_name, args, attempts, queueing_lock)"
            " VALUES ('default', 'doing', 'wake_tickets', '{\"timestamp\": 0}', %s, 'wake_tickets')"
            " RETURNING id",
            [attempts],
        )
        return int(cursor.fetchone()[0])


def test_a_stalled_job_is_done_by_another_worker(make_ticket: MakeTicket) -> None:
    ticket = snoozed_before_now(make_ticket)
    job = stalled_job()
    enqueue(jobs.rescue_jobs)

    run_jobs()

    assert is_awake(ticket)
    assert job not in [job.id for job in jobs_named("wake_tickets")]


def test_a_stalled_job_whose_twin_waits_is_left_to_the_twin(make_ticket: MakeTicket) -> None:
    """It can not go back into the queue, and must not keep the others from it."""
    ticket = snoozed_before_now(make_ticket)
    twins = [stalled_job(), stalled_job()]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET priority = -100 WHERE id = ANY(%s)", [twins])
    enqueue(jobs.rescue_jobs)

    run_jobs()

    assert is_awake(ticket)
    assert jobs_named("wake_tickets") == []


def test_a_job_that_ended_ten_workers_is_given_to_no_other() -> None:
    job = stalled_job(attempts=10)
    enqueue(jobs.rescue_jobs)

    with pytest.raises(AssertionError):
        run_jobs()

    [failed] = [found for found in jobs_named("wake_tickets") if found.id == job]
    assert failed.status == "failed"


# --- The worker --------------------------------------------------------------


def test_it_wakes_tickets_within_a_minute_though_nobody_asks(make_ticket: MakeTicket) -> None:
    with running_worker() as worker:
        ticket = snoozed_before_now(make_ticket)

        # At once when it starts, and twice a minute from then on.
        wait_for(lambda: is_awake(ticket), worker)


def test_it_hears_what_browsers_claim(
    project: Project, client: Client, client_for: ClientFor
) -> None:
    reader = client_for(project, "person:read")
    body = {"api_key": project.public_token, "event": "$identify", "distinct_id": "ada"}
    persons = f"/api/projects/{project.pk}/persons"

    with running_worker() as worker:
        assert client.post("/e/", body, content_type="application/json").status_code == 200

        wait_for(lambda: reader.get(persons, distinct_id="ada").json()["results"], worker)
        wait_for(lambda: not jobs_named("hear_claims"), worker)
    assert not PendingClaims.objects.filter(project=project).exists()


def test_a_worker_killed_in_the_middle_of_a_job_loses_nothing_and_does_nothing_twice(
    make_ticket: MakeTicket, writer: ApiClient, tickets_url: str
) -> None:
    ticket = snoozed_before_now(make_ticket)
    enqueue(jobs.wake_tickets)
    with transaction.atomic():
        with connection.cursor() as cursor:
            # The update of the tickets waits for this.
            cursor.execute("LOCK TABLE conversations_ticket IN SHARE MODE")
        with running_worker() as killed:
            wait_until_blocked()
            killed.kill()
    # What the server goes on doing for the dead worker, it rolls back.
    wait_for(lambda: not backends("%SKIP LOCKED%"))
    [job] = [found for found in jobs_named("wake_tickets") if found.status == "doing"]
    assert not is_awake(ticket)
    assert job.worker_id is not None

    with running_worker() as worker:
        enqueue(jobs.wake_tickets)
        wait_for(lambda: is_awake(ticket), worker)
        later = timestamp(timezone.now() + timedelta(hours=1))
        again = writer.patch(f"{tickets_url}/{ticket.pk}", {"snoozed_until": later}).json()
        # Only now the other worker comes to what the dead one was doing.
        let_it_look_dead(job.worker_id)
        enqueue(jobs.rescue_jobs)
        wait_for(lambda: job.id not in [found.id for found in jobs_named("wake_tickets")], worker)

    ticket.refresh_from_db()
    assert timestamp(ticket.updated_at) == again["updated_at"]
    assert ticket.status == "on_hold"


def test_on_sigterm_it_finishes_its_job_and_ends(make_ticket: MakeTicket) -> None:
    ticket = snoozed_before_now(make_ticket)
    enqueue(jobs.wake_tickets)

    with running_worker() as worker:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE conversations_ticket IN SHARE MODE")
            wait_until_blocked()
            worker.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not backends("LISTEN %"), worker)
            assert worker.process.poll() is None

        assert worker.process.wait(PATIENCE) == 0
        assert "Traceback" not in worker.log.read_text()

    assert is_awake(ticket)
    assert not [job for job in jobs_named("wake_tickets") if job.status == "doing"]


def backends(query: str, application: str = "%") -> int:
    """How many connections of this database are at such a query, or were at last."""
    with connection.cursor() as cursor:
        # Within a transaction the view would show the same for ever.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND query LIKE %s AND application_name LIKE %s",
            [query, application],
        )
        return int(cursor.fetchone()[0])


def test_it_can_be_stopped_while_postgresql_is_away(postgres_server: Server) -> None:
    connection.close()
    postgres_server.stop()
    with running_worker() as worker:
        wait_for(lambda: "error connecting" in worker.log.read_text(), worker)
        worker.process.terminate()

        assert worker.process.wait(5) == 0


def test_it_gives_a_sign_of_life(tmp_path: Path) -> None:
    sign = tmp_path / "alive"

    with running_worker("--alive", str(sign)) as worker:
        wait_for(sign.exists, worker)


def test_it_listens_past_pgbouncer() -> None:
    direct = f"{_database_url()}?application_name=direct"

    with running_worker(DATABASE_DIRECT_URL=direct) as worker:
        wait_for(lambda: backends("LISTEN %", "direct"), worker)


def test_it_says_which_setting_is_wrong() -> None:
    with running_worker(WORKER_THREADS="many") as worker:
        assert worker.process.wait(PATIENCE) == 1

        assert "WORKER_THREADS" in worker.log.read_text()
        assert "Traceback" not in worker.log.read_text()


# --- Cached numbers that could not be forgotten ------------------------------


def test_a_number_that_a_dead_process_could_not_forget_is_forgotten_by_the_worker(
    let_redis_delete: Callable[[bool], None],
    reader: ApiClient,
    writer: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    project: Project,
) -> None:
    redis, key = get_redis_connection("default"), unread.cache_key(project.pk)
    with running_service() as service:
        assert reader.get(unread_count_url).json() == {"count": 0}
        let_redis_delete(False)
        with_key = {**writer.headers, "Content-Type": "application/json"}
        client = service.connect()
        client.request("POST", tickets_url, b'{"message": "Hi"}', with_key)
        assert client.getresponse().status == 201
        client.close()
        # The processes that serve requests outlive the one that started them.
        for process in psutil.Process(service.process.pid).children(recursive=True):
            process.kill()
        service.process.kill()
    assert redis.get(key) == b"0"
    # Only a worker removes it now, not its age.
    redis.persist(key)

    # The first try fails, and leaves another.
    run_jobs()
    let_redis_delete(True)
    with running_worker() as worker:
        wait_for(lambda: redis.get(key) is None, worker)

    assert reader.get(unread_count_url).json() == {"count": 1}


def test_many_writes_while_redis_is_away_leave_one_job(
    let_redis_delete: Callable[[bool], None], make_ticket: MakeTicket, project: Project
) -> None:
    let_redis_delete(False)

    for _ in range(5):
        make_ticket(message="Hi")

    # Two, where a period ended between them.
    assert len(jobs_named("forget_cached")) in (1, 2)


def test_a_job_gives_up_when_nothing_old_can_be_left(
    let_redis_delete: Callable[[bool], None],
) -> None:
    let_redis_delete(False)
    jobs.forget_cached.defer(key="some", until=time.time() - 1, attempt=3)

    run_jobs()

    assert jobs_named("forget_cached") == []


def test_without_postgresql_the_write_that_was_committed_is_answered_all_the_same(
    let_redis_delete: Callable[[bool], None], postgres_server: Server
) -> None:
    let_redis_delete(False)
    postgres_server.stop()

    leases.forget(["some"], lifetime_ms=100)

    connection.close()
