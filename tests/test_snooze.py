"""Snoozing: what it does to the status, and how a snooze ends."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_redis import get_redis_connection

from conversations import unread
from conversations.events.actors import SYSTEM
from conversations.jobs import wake_tickets
from conversations.models import Ticket
from conversations.tickets import verbs
from projects.models import Project
from rest.json import timestamp
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.jobs import enqueue, run_jobs
from tests.threads import InBackground, at_once


def in_an_hour() -> str:
    return timestamp(timezone.now() + timedelta(hours=1))


@pytest.fixture
def snoozed(make_ticket: MakeTicket) -> Any:
    return make_ticket(snoozed_until=in_an_hour(), message="Hi")


def let_it_pass(*tickets: Any) -> None:
    """As if the hour were over."""
    passed = timezone.now() - timedelta(seconds=1)
    Ticket.objects.filter(pk__in=[ticket["id"] for ticket in tickets]).update(snoozed_until=passed)


def wake() -> None:
    enqueue(wake_tickets)
    run_jobs()


# --- By the team and by the customer -----------------------------------------


@pytest.mark.parametrize(
    ("before", "change", "status"),
    [
        ({}, {"snoozed_until": "later"}, "on_hold"),
        ({"status": "pending"}, {"snoozed_until": "later"}, "on_hold"),
        ({}, {"snoozed_until": "later", "status": "new"}, "new"),
        ({}, {"snoozed_until": "later", "status": "pending"}, "pending"),
        ({"snoozed_until": "later"}, {"snoozed_until": None}, "open"),
        ({"snoozed_until": "later"}, {"snoozed_until": None, "status": "pending"}, "pending"),
        ({"snoozed_until": "later"}, {"snoozed_until": None, "status": "on_hold"}, "on_hold"),
        ({"snoozed_until": "later"}, {"snoozed_until": "later still"}, "on_hold"),
        ({"snoozed_until": "later", "status": "new"}, {"snoozed_until": "later still"}, "new"),
        ({"snoozed_until": "later", "status": "resolved"}, {"snoozed_until": None}, "resolved"),
        ({"status": "pending"}, {"snoozed_until": None}, "pending"),
    ],
)
def test_the_status_follows_the_snooze_unless_it_is_sent(
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    before: dict[str, Any],
    change: dict[str, Any],
    status: str,
) -> None:
    times = {"later": in_an_hour(), "later still": timestamp(timezone.now() + timedelta(days=1))}

    def timed(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: times.get(value, value) for name, value in fields.items()}

    ticket = make_ticket(**timed(before))

    changed = writer.patch(f"{tickets_url}/{ticket['id']}", timed(change)).json()

    assert (changed["status"], changed["snoozed_until"]) == (
        status,
        timed(change)["snoozed_until"],
    )


def test_a_new_time_in_the_past_is_refused_and_changes_nothing(
    writer: ApiClient, reader: ApiClient, tickets_url: str, snoozed: Any
) -> None:
    url = f"{tickets_url}/{snoozed['id']}"

    response = writer.patch(url, {"snoozed_until": "2020-01-01T00:00:00Z", "priority": "high"})

    assert response.status_code == 400
    assert response.json()["attr"] == "snoozed_until"
    assert reader.get(url, mark_read="false").json() == snoozed


def test_a_customers_message_wakes_it(
    writer: ApiClient, reader: ApiClient, tickets_url: str, snoozed: Any
) -> None:
    url = f"{tickets_url}/{snoozed['id']}"

    writer.post(f"{url}/messages", {"author_type": "customer", "content": "Hello?"})

    ticket = reader.get(url).json()
    assert (ticket["status"], ticket["snoozed_until"]) == ("open", None)


def test_a_message_of_the_team_does_not(
    writer: ApiClient, reader: ApiClient, tickets_url: str, snoozed: Any
) -> None:
    url = f"{tickets_url}/{snoozed['id']}"

    writer.post(f"{url}/reply", {"message": "We are on it."})

    ticket = reader.get(url).json()
    assert (ticket["status"], ticket["snoozed_until"]) == ("on_hold", snoozed["snoozed_until"])


# --- By the job --------------------------------------------------------------


def test_when_it_has_passed_the_job_opens_the_ticket(
    reader: ApiClient, tickets_url: str, snoozed: Any
) -> None:
    let_it_pass(snoozed)

    wake()

    ticket = reader.get(f"{tickets_url}/{snoozed['id']}", mark_read="false").json()
    assert (ticket["status"], ticket["snoozed_until"]) == ("open", None)
    assert ticket["updated_at"] > snoozed["updated_at"]


@pytest.mark.parametrize("status", ["new", "open", "pending"])
def test_it_opens_whatever_status_was_sent_with_the_snooze(
    reader: ApiClient, tickets_url: str, make_ticket: MakeTicket, status: str
) -> None:
    ticket = make_ticket(snoozed_until=in_an_hour(), status=status)
    let_it_pass(ticket)

    wake()

    assert reader.get(f"{tickets_url}/{ticket['id']}").json()["status"] == "open"


def test_a_resolved_ticket_stays_resolved(
    reader: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(snoozed_until=in_an_hour(), status="resolved")
    let_it_pass(ticket)

    wake()

    woken = reader.get(f"{tickets_url}/{ticket['id']}").json()
    assert woken["snoozed_until"] is None
    assert (woken["status"], woken["resolved_at"]) == ("resolved", ticket["resolved_at"])


def test_a_snooze_that_has_not_passed_goes_on(
    reader: ApiClient, tickets_url: str, snoozed: Any
) -> None:
    wake()

    assert reader.get(f"{tickets_url}/{snoozed['id']}", mark_read="false").json() == snoozed


def test_updated_at_moves_forward_though_this_clock_is_behind(
    reader: ApiClient, tickets_url: str, snoozed: Any
) -> None:
    ahead = timezone.now() + timedelta(minutes=5)
    Ticket.objects.filter(pk=snoozed["id"]).update(updated_at=ahead)
    let_it_pass(snoozed)

    wake()

    ticket = reader.get(f"{tickets_url}/{snoozed['id']}").json()
    assert datetime.fromisoformat(ticket["updated_at"]) == ahead + timedelta(microseconds=1)


def test_the_cached_unread_count_is_forgotten(
    reader: ApiClient, unread_count_url: str, project: Project, snoozed: Any
) -> None:
    redis, key = get_redis_connection("default"), unread.cache_key(project.pk)
    reader.get(unread_count_url)
    assert redis.get(key) == b"1"
    let_it_pass(snoozed)

    wake()

    assert redis.get(key) is None
    assert reader.get(unread_count_url).json() == {"count": 1}


def test_more_than_one_batch_is_woken_by_one_job(
    project: Project, make_ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "WAKE_AT_ONCE", 2)
    let_it_pass(*[make_ticket(snoozed_until=in_an_hour()) for _ in range(5)])

    wake()

    assert Ticket.objects.in_project(project.pk).filter(status="open").count() == 5


def test_two_workers_at_once_wake_each_ticket_once(make_ticket: MakeTicket) -> None:
    tickets = [make_ticket(snoozed_until=in_an_hour()) for _ in range(20)]
    let_it_pass(*tickets)

    woken = [str(pk) for ids in at_once(*[verbs.wake_tickets] * 4) for pk in ids]

    # One that somebody else had locked may be left; nobody takes it twice.
    woken += [str(pk) for pk in verbs.wake_tickets()]
    assert sorted(woken) == sorted(ticket["id"] for ticket in tickets)


def test_an_agents_change_in_the_same_moment_is_kept(
    reader: ApiClient, tickets_url: str, snoozed: Any
) -> None:
    let_it_pass(snoozed)
    tomorrow = timezone.now() + timedelta(days=1)
    with transaction.atomic():
        ticket = Ticket.objects.select_for_update().get(pk=snoozed["id"])
        verbs.update_ticket(ticket=ticket, actor=SYSTEM, snoozed_until=tomorrow, status="pending")

        with InBackground(verbs.wake_tickets) as job:
            assert ticket.pk not in job.result()

    verbs.wake_tickets()
    changed = reader.get(f"{tickets_url}/{snoozed['id']}").json()
    assert (changed["status"], changed["snoozed_until"]) == ("pending", timestamp(tomorrow))


FILL = """
INSERT INTO conversations_ticket (
    id, project_id, ticket_number, channel_source, distinct_id, status, anonymous_traits,
    ai_resolved, tags, session_context, created_at, updated_at, message_count, last_seq,
    team_read_seq, customer_read_seq, marked_unread, unread_team_count, unread_customer_count,
    snoozed_until, search
)
SELECT
    gen_random_uuid(), %s, n, 'api', '', 'open', '{{}}', FALSE, '{{}}', '{{}}',
    now(), now(), 0, 0, 0, 0, FALSE, 0, 0, {snoozed_until}, ''
FROM generate_series(1, 5000) AS n
"""


@pytest.mark.parametrize(
    "snoozed_until",
    ["NULL::timestamptz", "now() + interval '1 hour'", "now() - interval '1 hour'"],
    ids=["none is snoozed", "all are", "all are to be woken"],
)
def test_it_finds_them_by_the_index_whatever_the_statistics_say(
    project: Project, snoozed_until: str
) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(FILL.format(snoozed_until=snoozed_until), [project.pk])
        cursor.execute("ANALYZE conversations_ticket")
        cursor.execute(
            f"EXPLAIN {verbs.WAKE}", {"now": timezone.now(), "limit": verbs.WAKE_AT_ONCE}
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
        transaction.set_rollback(True)

    assert "Index Scan using ticket_snoozed_until" in plan
    assert "Seq Scan" not in plan
