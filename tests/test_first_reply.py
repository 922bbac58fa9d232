"""How long the team took for its first reply to a ticket, as the ticket has it."""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from conversations.models import Message, Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket

HOUR = timedelta(hours=1)


@pytest.fixture
def url(make_ticket: MakeTicket, tickets_url: str) -> str:
    """A ticket that was made an hour ago."""
    ticket = make_ticket(message="Hello?")
    stored = Ticket.objects.get(pk=ticket["id"])
    Ticket.objects.filter(pk=stored.pk).update(created_at=stored.created_at - HOUR)
    return f"{tickets_url}/{ticket['id']}"


def seconds(url: str) -> int | None:
    return Ticket.objects.get(pk=url.rsplit("/", 1)[1]).first_reply_seconds


def say(writer: ApiClient, url: str, **message: Any) -> Any:
    response = writer.post(f"{url}/messages", {"content": "Hi", **message})
    assert response.status_code == 201
    return response.json()


def test_the_first_reply_is_timed_from_the_creation_of_the_ticket(
    writer: ApiClient, url: str
) -> None:
    say(writer, url)

    assert seconds(url) in range(3600, 3660)


@pytest.mark.parametrize(
    "message",
    [{"is_private": True}, {"author_type": "customer"}, {"author_type": "AI"}],
    ids=["a note", "the customer", "an AI"],
)
def test_what_is_no_reply_of_the_team_is_not_timed(
    writer: ApiClient, url: str, message: dict[str, Any]
) -> None:
    say(writer, url, **message)

    assert seconds(url) is None


def test_a_second_reply_changes_nothing(writer: ApiClient, url: str) -> None:
    say(writer, url)
    Ticket.objects.filter(pk=url.rsplit("/", 1)[1]).update(first_reply_seconds=7)

    say(writer, url)

    assert seconds(url) == 7


def test_when_the_first_reply_is_deleted_the_next_one_is_the_first(
    writer: ApiClient, url: str
) -> None:
    first, second = say(writer, url), say(writer, url)
    for message, ago in ((first, HOUR / 2), (second, HOUR / 4)):
        stored = Message.objects.get(pk=message["id"])
        Message.objects.filter(pk=stored.pk).update(created_at=stored.created_at - ago)

    writer.delete(f"{url}/messages/{first['id']}")
    assert seconds(url) in range(2700, 2760)

    writer.delete(f"{url}/messages/{second['id']}")
    assert seconds(url) is None


def migrate() -> None:
    migration = import_module("conversations.migrations.0016_fill_first_reply_seconds")
    with connection.schema_editor(atomic=False) as editor:
        migration.fill(apps, editor)


def test_the_migration_fills_in_what_was_replied_before_it(
    project: Project, writer: ApiClient, url: str, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Nobody answers")
    say(writer, url, is_private=True)
    say(writer, url)
    Ticket.objects.filter(project=project).update(first_reply_seconds=None)

    migrate()

    assert seconds(url) in range(3600, 3660)
    replied = Ticket.objects.filter(project=project, first_reply_seconds__isnull=False)
    assert replied.count() == 1


def test_a_reply_that_is_older_than_its_ticket_took_no_time(
    project: Project, writer: ApiClient, url: str
) -> None:
    """As rows may say that somebody has loaded by SQL."""
    say(writer, url)
    tickets = Ticket.objects.filter(project=project)
    tickets.update(first_reply_seconds=None, created_at=timezone.now() + timedelta(days=1))

    migrate()

    assert seconds(url) == 0
    # It fails where something is off.
    call_command("check_counters", "--project", str(project.pk))
