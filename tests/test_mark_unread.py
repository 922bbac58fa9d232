"""POST …/tickets/{id}/mark_unread."""

from typing import Any

import pytest

from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import refusal


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket()


@pytest.fixture
def url(tickets_url: str, ticket: Any) -> str:
    return f"{tickets_url}/{ticket['id']}"


def test_a_marked_ticket_counts_as_one_until_it_is_read(
    writer: ApiClient, ticket: Any, url: str, unread_count_url: str
) -> None:
    response = writer.post(f"{url}/mark_unread")

    assert (response.status_code, response.json()) == (200, {**ticket, "unread_team_count": 1})
    assert writer.get(unread_count_url).json() == {"count": 1}

    assert writer.get(url).json() == ticket
    assert writer.get(unread_count_url).json() == {"count": 0}


def test_marking_twice_is_marking_once(writer: ApiClient, url: str, unread_count_url: str) -> None:
    assert writer.post(f"{url}/mark_unread").json() == writer.post(f"{url}/mark_unread").json()

    assert writer.get(unread_count_url).json() == {"count": 1}


def test_a_ticket_that_is_unread_anyway_keeps_its_count(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(message="Hi")
    writer.post(f"{tickets_url}/1/messages", {"author_type": "customer", "content": "Hello?"})

    assert writer.post(f"{tickets_url}/1/mark_unread").json()["unread_team_count"] == 2


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"author_type": "customer"}], 1),
        ([{"author_type": "customer"}, {"author_type": "customer"}], 2),
        ([{"author_type": "support"}], 1),
        ([{"author_type": "customer", "is_private": True}, {"author_type": "customer"}], 1),
        ([{"author_type": "support", "is_private": True}], 1),
    ],
)
def test_a_marked_ticket_counts_its_messages_but_at_least_one(
    writer: ApiClient, url: str, messages: list[dict[str, Any]], expected: int
) -> None:
    writer.post(f"{url}/mark_unread")

    for message in messages:
        writer.post(f"{url}/messages", {"content": "Hi", **message})

    assert writer.get(url, mark_read="false").json()["unread_team_count"] == expected


def test_looking_and_heads_leave_the_mark(
    writer: ApiClient, url: str, unread_count_url: str
) -> None:
    writer.post(f"{url}/mark_unread")

    writer.get(url, mark_read="false")
    writer.head(url)

    assert writer.get(unread_count_url).json() == {"count": 1}


def test_a_resolved_ticket_is_marked_and_counts_when_it_is_opened(
    writer: ApiClient, url: str, unread_count_url: str
) -> None:
    writer.patch(url, {"status": "resolved"})

    assert writer.post(f"{url}/mark_unread").json()["unread_team_count"] == 1
    assert writer.get(unread_count_url).json() == {"count": 0}

    writer.patch(url, {"status": "open"})
    assert writer.get(unread_count_url).json() == {"count": 1}


def test_a_mark_makes_a_ticket_unread_in_the_list(
    writer: ApiClient, ticket: Any, url: str, tickets_url: str
) -> None:
    writer.post(f"{url}/mark_unread")

    (listed,) = writer.get(tickets_url, unread="true").json()["results"]

    assert listed["id"] == ticket["id"]


def test_an_empty_object_is_as_good_as_no_body(writer: ApiClient, url: str) -> None:
    assert writer.post(f"{url}/mark_unread", {}).status_code == 200


def test_a_mark_takes_no_field(writer: ApiClient, ticket: Any, url: str) -> None:
    response = writer.post(f"{url}/mark_unread", {"until": "tomorrow"})

    assert refusal(response) == (400, "unknown_field", "until")
    assert writer.get(url, mark_read="false").json() == ticket


def test_a_ticket_of_another_project_can_not_be_marked(
    client_for: ClientFor, neighbour: Project, url: str, project: Project
) -> None:
    foreign = url.replace(f"/{project.pk}/", f"/{neighbour.pk}/")

    response = client_for(neighbour, "*").post(f"{foreign}/mark_unread")

    assert refusal(response) == (404, "not_found", None)
