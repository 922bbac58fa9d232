"""The worker and the stream process while PostgreSQL or Redis fail: they go on by themselves."""

import time
from contextlib import ExitStack

import pytest
from django.db import connection, transaction

from config.embedded import Server
from conversations import jobs
from tests.conftest import MakeTicket
from tests.faults import document
from tests.jobs import enqueue, running_worker
from tests.service import Service
from tests.test_jobs import backends, empty_queue, is_awake, snoozed_before_now, wait_for
from tests.test_stream import Listen, listen, stream_service
from tests.threads import wait_until_blocked

# They are fixtures.
__all__ = ["empty_queue", "listen", "stream_service"]

pytestmark = pytest.mark.xdist_group("faults")


def hold(fault: str, seconds: float, holds: str) -> None:
    document.hold(document.ProcessRow(fault, document.in_words(seconds), holds))


# --- The worker --------------------------------------------------------------


def test_the_worker_goes_on_after_postgresql_was_restarted(
    postgres_server: Server, make_ticket: MakeTicket
) -> None:
    ticket = snoozed_before_now(make_ticket)
    enqueue(jobs.wake_tickets)
    with running_worker() as worker:
        wait_for(lambda: is_awake(ticket), worker)
        connection.close()
        postgres_server.kill()
        postgres_server.start()
        over = time.monotonic()
        ticket = snoozed_before_now(make_ticket)

        # Its threads have their connections from before.
        for _ in range(8):
            enqueue(jobs.wake_tickets)
        wait_for(lambda: is_awake(ticket), worker)
        took = time.monotonic() - over

        assert worker.process.poll() is None
    hold(
        "Worker: PostgreSQL is killed, and starts again",
        took,
        "Jobs and deliveries wait in PostgreSQL. One that was under way is tried again.",
    )


def test_the_worker_waits_for_a_postgresql_that_is_away_longer(
    postgres_server: Server, make_ticket: MakeTicket
) -> None:
    ticket = snoozed_before_now(make_ticket)
    with running_worker() as worker:
        wait_for(lambda: backends("LISTEN %"), worker)
        connection.close()
        postgres_server.kill()
        wait_for(lambda: "The worker lost PostgreSQL" in worker.log.read_text(), worker)
        postgres_server.start()
        over = time.monotonic()

        enqueue(jobs.wake_tickets)
        wait_for(lambda: is_awake(ticket), worker)
        took = time.monotonic() - over
        assert worker.process.poll() is None
    hold(
        "Worker: PostgreSQL is away for longer",
        took,
        "It tries to connect until it can, and says so in its log.",
    )


def test_the_worker_goes_on_with_its_job_when_postgresql_does(
    postgres_server: Server, make_ticket: MakeTicket
) -> None:
    ticket = snoozed_before_now(make_ticket)
    enqueue(jobs.wake_tickets)
    with ExitStack() as locked:
        locked.enter_context(transaction.atomic())
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE conversations_ticket IN SHARE MODE")
        with running_worker() as worker:
            wait_until_blocked()
            postgres_server.pause()
            time.sleep(1.5)
            postgres_server.resume()
            over = time.monotonic()
            locked.close()
            wait_for(lambda: is_awake(ticket), worker)
            took = time.monotonic() - over
    hold(
        "Worker: PostgreSQL hangs",
        took,
        "It waits, a job for `STATEMENT_TIMEOUT` and 3 s, after which it fails and is tried again.",
    )


# --- The stream --------------------------------------------------------------


def test_without_redis_the_stream_tells_it_a_little_later(
    redis_server: Server, listen: Listen, make_ticket: MakeTicket
) -> None:
    with listen() as stream:
        assert stream.count() == 0
        redis_server.stop()
        made = time.monotonic()
        make_ticket(message="Hi")
        assert {stream.next().event for _ in range(3)} == {
            "ticket.created",
            "message.created",
            "unread_count",
        }
        took = time.monotonic() - made
        redis_server.start()
        make_ticket()
        assert stream.event()["type"] == "ticket.created"
    hold(
        "Stream: Redis is away",
        took,
        "It looks into PostgreSQL every second. The time is that of a change until it is told.",
    )


def test_a_restart_of_postgresql_loses_nothing_of_the_stream(
    postgres_server: Server,
    stream_service: Service,
    listen: Listen,
    make_ticket: MakeTicket,
) -> None:
    with listen() as stream:
        assert stream.count() == 0
        connection.close()
        postgres_server.kill()
        postgres_server.start()
        over = time.monotonic()
        ticket = make_ticket()
        assert stream.event()["ticket_id"] == ticket["id"]
        took = time.monotonic() - over

    assert "Traceback" not in stream_service.log.read_text()
    hold(
        "Stream: PostgreSQL is killed, and starts again",
        took,
        "The streams stay open, and tell what was missed.",
    )


def test_a_stream_ends_when_its_right_can_not_be_checked_any_more(
    postgres_server: Server, listen: Listen
) -> None:
    with listen() as stream:
        assert stream.count() == 0
        postgres_server.pause()
        began = time.monotonic()
        stream.wait_for_the_end()
        ended = time.monotonic() - began
        assert ended < 15
        postgres_server.resume()
        over = time.monotonic()
    with listen() as stream:
        assert stream.count() == 0
        took = time.monotonic() - over
    hold(
        "Stream: PostgreSQL hangs",
        took,
        "A stream whose right can not be checked ends within 15 s; its client comes back with"
        " `Last-Event-ID`, and misses nothing.",
    )
