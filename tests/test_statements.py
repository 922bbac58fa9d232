"""Statements that PostgreSQL plans once for each connection."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection

from conversations.models import Ticket
from rest.postgresql.base import PLAN_AFTER
from rest.statements import update
from tests.api import ApiClient
from tests.conftest import MakeTicket

ChangeType = Callable[[str], None]


@pytest.fixture(autouse=True)
def new_connection() -> Iterator[None]:
    """On which nothing is planned yet, and of which nothing is left."""
    connection.close()
    yield
    connection.close()


@pytest.fixture
def change_type() -> Iterator[ChangeType]:
    """Gives a column of tickets another type, as a migration of a newer release would."""
    parameters = {**connection.get_connection_params(), "context": None}
    parameters.pop("cursor_factory")

    def change(type_: str) -> None:
        with psycopg.connect(**parameters) as other:
            other.execute(
                f"ALTER TABLE conversations_ticket ALTER COLUMN channel_detail TYPE {type_}"
            )

    yield change
    change("varchar(64)")


def planned() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        return int(cursor.fetchone()[0])


def read_often(reader: ApiClient, url: str) -> None:
    for _ in range(PLAN_AFTER + 1):
        assert reader.get(url).status_code == 200


@pytest.fixture
def ticket_url(make_ticket: MakeTicket, tickets_url: str) -> str:
    return f"{tickets_url}/{make_ticket()['ticket_number']}"


def test_what_is_asked_again_and_again_is_planned_once(reader: ApiClient, ticket_url: str) -> None:
    read_often(reader, ticket_url)

    assert planned() == 1


def test_nothing_is_planned_for_later_through_a_pooler(
    reader: ApiClient, ticket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What PgBouncer tells its clients: a number of its own.
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 1)
    connection.close()

    read_often(reader, ticket_url)

    assert planned() == 0


def test_reading_goes_on_when_a_column_gets_another_type(
    reader: ApiClient, ticket_url: str, change_type: ChangeType
) -> None:
    read_often(reader, ticket_url)

    change_type("varchar(80)")

    assert reader.get(ticket_url).status_code == 200


def test_changing_goes_on_when_a_column_gets_another_type(
    writer: ApiClient, ticket_url: str, change_type: ChangeType
) -> None:
    for number in range(PLAN_AFTER + 1):
        writer.patch(ticket_url, {"escalation_reason": f"{number}"})

    change_type("varchar(80)")
    changed = writer.patch(ticket_url, {"escalation_reason": "more"})

    assert changed.json()["escalation_reason"] == "more"


def test_a_row_that_is_gone_can_not_be_updated(make_ticket: MakeTicket) -> None:
    ticket: Any = Ticket.objects.get(pk=make_ticket()["id"])
    Ticket.objects.filter(pk=ticket.pk).delete()

    with pytest.raises(DatabaseError, match="no row"):
        update(ticket, ["priority"])
