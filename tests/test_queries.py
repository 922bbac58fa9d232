"""What each request costs: SQL statements, and round trips to Redis."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis.connection import AbstractConnection

from conversations.models import Ticket
from projects.models import Membership, Person, PersonDistinctId, Project, Role, User
from tests.api import ApiClient
from tests.conftest import MakeTicket

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL that runs inside, without the bounds of transactions."""
    found: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield found
    found += [
        query["sql"]
        for query in captured.captured_queries
        if not query["sql"].startswith(TRANSACTION)
    ]


@pytest.fixture
def round_trips(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is sent to Redis, one entry for each time that something is sent."""
    sent: list[Any] = []
    send = AbstractConnection.send_packed_command

    def counting(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        sent.append(command)
        return send(self, command, *args, **kwargs)  # type: ignore[no-untyped-call]  # (theirs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counting)
    return sent


@pytest.fixture
def ticket(make_ticket: MakeTicket, reader: ApiClient, tickets_url: str) -> Any:
    """A ticket, and both keys in the cache."""
    ticket = make_ticket(message="Hi")
    reader.get(f"{tickets_url}/1/messages")
    return ticket


Fill = Callable[[int], None]


@pytest.fixture
def fill(project: Project) -> Fill:
    """As many tickets, each with a person, an assignee and an address of its own."""

    def make(count: int) -> None:
        user = User.objects.create_user(f"agent-{project.pk}@example.org")
        Membership.objects.create(project=project, user=user)
        role = Role.objects.create(project=project, name="Billing")
        persons = Person.objects.bulk_create(
            Person(project=project, properties={"email": f"{number}@example.org"})
            for number in range(count)
        )
        PersonDistinctId.objects.bulk_create(
            PersonDistinctId(project=project, person=person, distinct_id=str(number))
            for number, person in enumerate(persons)
            if number % 2
        )
        Ticket.objects.bulk_create(
            Ticket(
                project=project,
                ticket_number=number + 1,
                distinct_id=str(number),
                email_from=f"{number}@example.org",
                assignee_user=user if number % 3 else None,
                assignee_role=None if number % 3 else role,
                tags=["vip"],
            )
            for number in range(count)
        )

    return make


@pytest.mark.parametrize("count", [0, 1, 10, 1000])
def test_a_list_costs_the_same_for_any_page(
    reader: ApiClient, tickets_url: str, fill: Fill, count: int
) -> None:
    fill(count)
    reader.get(tickets_url, limit=1)

    with statements() as found:
        page = reader.get(tickets_url, limit=1000).json()

    assert len(page["results"]) == count
    assert all(ticket["person"] and ticket["assignee"] for ticket in page["results"])
    # Tickets with their count and assignees; persons. An empty page is counted by itself.
    assert len(found) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"offset": 5},
        {"status": "new,open", "priority": "none", "unread": "false"},
        {"order_by": "-priority"},
        {"order_by": "sla_due_at"},
    ],
)
def test_filters_orders_and_offsets_cost_nothing_more(
    reader: ApiClient, tickets_url: str, fill: Fill, query: dict[str, Any]
) -> None:
    fill(20)
    reader.get(tickets_url, limit=1)

    with statements() as found:
        page = reader.get(tickets_url, limit=5, **query).json()
    with statements() as found_next:
        reader.get(page["next"].removeprefix("http://testserver"))

    assert len(page["results"]) == 5
    # Tickets and persons, by offset as by cursor.
    assert (len(found), len(found_next)) == (2, 2)


@pytest.mark.usefixtures("ticket")
def test_reading_a_ticket_costs_three(reader: ApiClient, tickets_url: str) -> None:
    with statements() as found:
        reader.get(f"{tickets_url}/1")
    # The ticket with its person; marking it as read; the person as they are since.
    assert len(found) == 3

    with statements() as found:
        reader.get(f"{tickets_url}/1")
    # Nothing is left to be marked.
    assert len(found) == 1


@pytest.mark.usefixtures("ticket")
def test_a_key_that_is_not_cached_costs_two_more(
    reader: ApiClient, tickets_url: str, project: Project
) -> None:
    project.api_keys.get(scopes=["ticket:read"]).save()

    with statements() as found:
        reader.get(f"{tickets_url}/1", mark_read="false")

    # Finding the key, noting its use (at most twice a minute), the ticket with its person.
    noted = [sql for sql in found if sql.startswith("UPDATE")]
    assert len(found) - len(noted) == 2
    assert len(noted) <= 1


@pytest.mark.usefixtures("ticket")
def test_a_cached_unread_count_costs_one_round_trip_and_no_sql(
    reader: ApiClient, unread_count_url: str, round_trips: list[Any]
) -> None:
    reader.get(unread_count_url)
    round_trips.clear()

    with statements() as found:
        response = reader.get(unread_count_url)

    assert response.json() == {"count": 1}
    assert (len(found), len(round_trips)) == (0, 1)


@pytest.mark.usefixtures("ticket")
def test_the_current_project_may_cost_a_second_round_trip(
    reader: ApiClient, unread_count_url: str, round_trips: list[Any]
) -> None:
    reader.get(unread_count_url)
    round_trips.clear()

    with statements() as found:
        reader.get("/api/projects/@current/conversations/tickets/unread_count")

    assert len(found) == 0
    assert len(round_trips) <= 2


def test_an_unread_count_that_is_not_cached_costs_one_statement(
    reader: ApiClient, writer: ApiClient, ticket: Any, tickets_url: str, unread_count_url: str
) -> None:
    reader.get(unread_count_url)
    writer.patch(f"{tickets_url}/1", {"status": "open"})

    with statements() as found:
        reader.get(unread_count_url)

    # The sum.
    assert len(found) == 1


def test_a_count_with_a_new_key_costs_the_key_and_the_sum(
    make_ticket: MakeTicket, reader: ApiClient, unread_count_url: str
) -> None:
    make_ticket(message="Hi")

    with statements() as found:
        reader.get(unread_count_url)

    # Finding the key, noting its first use, the sum.
    assert len(found) == 3


@pytest.mark.usefixtures("ticket")
@pytest.mark.parametrize(
    ("method", "below", "body", "cost"),
    [
        # The ticket with its number in one statement; the person; the event.
        ("POST", "", {}, 3),
        # The same, and the message; both events are one statement.
        ("POST", "", {"message": "Hi"}, 4),
        # The ticket, locked; writing it; the person; the event.
        ("PATCH", "/1", {"status": "open"}, 4),
        # Nothing differs: nothing is written.
        ("PATCH", "/1", {"status": "new"}, 2),
        # The ticket, locked; the person, whom the event shows; its messages; itself; the event.
        ("DELETE", "/1", None, 5),
        # The ticket, locked; the message; the counters; the event.
        ("POST", "/1/messages", {"content": "Hi"}, 4),
        ("POST", "/1/messages", {"content": "Hi", "author_type": "customer"}, 4),
        ("POST", "/1/reply", {"message": "Hi"}, 4),
        # The ticket, locked; the mark; the person.
        ("POST", "/1/mark_unread", None, 3),
        # The ticket; the messages with their count.
        ("GET", "/1/messages", None, 2),
    ],
)
def test_a_request_costs_what_it_must(
    writer: ApiClient, tickets_url: str, method: str, below: str, body: Any, cost: int
) -> None:
    with statements() as found:
        response = writer.request(method, tickets_url + below, body)

    assert response.status_code < 300
    assert len(found) == cost, "\n".join(found)


def test_a_mistyped_key_costs_nothing(tickets_url: str, round_trips: list[Any]) -> None:
    with statements() as found:
        response = ApiClient("cvk_" + "0" * 36).get(tickets_url)

    assert response.status_code == 401
    assert (len(found), len(round_trips)) == (0, 0)


def test_a_list_of_messages_costs_the_same_for_any_page(
    writer: ApiClient, reader: ApiClient, ticket: Any, tickets_url: str
) -> None:
    for _ in range(20):
        writer.post(f"{tickets_url}/1/messages", {"content": "Hi"})

    with statements() as found:
        assert len(reader.get(f"{tickets_url}/1/messages").json()["results"]) == 21

    # The ticket; the messages with their count.
    assert len(found) == 2
