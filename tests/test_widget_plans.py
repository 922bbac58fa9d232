"""How PostgreSQL finds what the widget asks for, among many tickets and in a long conversation."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.models import Restore, Ticket
from conversations.widget import polls, restores
from projects.models import Project
from rest import leases
from tests.test_query_plans import TICKETS, Plan, explain, explain_sql, reads, scanned_whole
from tests.test_query_plans import busy as _busy
from tests.widget import Browser, identity_hash

busy = _busy
MESSAGES = 5_000


@pytest.fixture
def browser(busy: Project) -> Browser:
    # The many tickets were not numbered by the verb that opens one.
    Project.objects.filter(pk=busy.pk, last_ticket_number=0).update(last_ticket_number=TICKETS)
    return Browser(busy)


def captured_of(call: Callable[[], Any]) -> CaptureQueriesContext:
    with CaptureQueriesContext(connection) as captured:
        assert call().status_code == 200
    return captured


def test_a_sessions_tickets_are_found_by_their_index(browser: Browser) -> None:
    browser.sent()

    plan = explain(captured_of(browser.tickets))

    assert reads(plan, "ticket_widget_session") == 1
    assert not scanned_whole(plan)


def test_a_verified_customers_tickets_are_found_by_their_index(busy: Project) -> None:
    plan = explain(captured_of(Browser(busy, "customer-7").tickets))

    assert reads(plan, "ticket_distinct_id") == 1
    assert not scanned_whole(plan)


def test_those_of_both_are_found_by_both_indexes(busy: Project, browser: Browser) -> None:
    browser.sent()
    browser.credentials |= {
        "identity_distinct_id": "customer-7",
        "identity_hash": identity_hash(busy, "customer-7"),
    }

    plan = explain(captured_of(browser.tickets))

    assert reads(plan, "ticket_distinct_id") + reads(plan, "ticket_widget_session") == 2
    assert not scanned_whole(plan)


def test_news_of_a_long_conversation_are_read_from_its_end(browser: Browser) -> None:
    ticket_id = browser.sent()["ticket_id"]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO conversations_message (
                id, project_id, ticket_id, seq, author_type, content, is_private, created_at, search
            )
            SELECT gen_random_uuid(), project_id, id, n, 'support', 'Hello', FALSE,
                created_at + n * interval '1 second', ''
            FROM conversations_ticket, generate_series(2, %s) AS n WHERE id = %s
            """,
            [MESSAGES, ticket_id],
        )
        # And one in each ticket besides, so that there is something to pass over.
        cursor.execute(
            """
            INSERT INTO conversations_message (
                id, project_id, ticket_id, seq, author_type, content, is_private, created_at, search
            )
            SELECT gen_random_uuid(), project_id, id, 1, 'customer', 'Hi', FALSE, created_at, ''
            FROM conversations_ticket WHERE channel_source = 'api'
            ON CONFLICT DO NOTHING
            """
        )
        cursor.execute("ANALYZE conversations_message")
    Ticket.objects.filter(pk=ticket_id).update(
        last_seq=MESSAGES, customer_delivered_seq=MESSAGES - 3
    )
    last = Ticket.objects.get(pk=ticket_id).messages.get(seq=MESSAGES - 3)

    captured = captured_of(lambda: browser.poll(ticket_id, after=last.created_at.isoformat()))

    plans = plans_of(captured)
    assert len(plans) >= 2
    for plan in plans:
        assert not scanned_whole(plan)
        assert reads(plan, "message_seq_unique") <= 8


def test_a_poll_that_misses_the_cache_finds_its_ticket_by_its_id(browser: Browser) -> None:
    ticket_id = browser.sent()["ticket_id"]
    last = Ticket.objects.get(pk=ticket_id).last_message_at
    assert last is not None
    browser.poll(ticket_id, after=last.isoformat())
    leases.forget_now([polls.cache_key(ticket_id)])

    plan = explain(captured_of(lambda: browser.poll(ticket_id, after=last.isoformat())))

    assert reads(plan, "conversations_ticket_pkey") == 1
    assert not scanned_whole(plan)


def plans_of(captured: CaptureQueriesContext) -> list[Plan]:
    """Those of all statements that read messages alone."""
    found = []
    for query in captured.captured_queries:
        if query["sql"].startswith("SELECT") and 'FROM "conversations_message"' in query["sql"]:
            found.append(explain_sql(query["sql"]))
    return found


def test_tickets_of_an_address_are_found_by_the_indexes_of_addresses(busy: Project) -> None:
    restore = Restore(project=busy, email="mail-7@example.org", pk=uuid.UUID(int=7))
    with CaptureQueriesContext(connection) as captured:
        assert len(restores._tickets_of(restore)) == 1

    plan = explain(captured)

    assert reads(plan, "ticket_email_from") == 1
    assert reads(plan, "ticket_traits_email") == 0
    assert not scanned_whole(plan)
