"""PATCH …/tickets/{id}/messages/{message_id}, and the same at …/notes/{message_id}."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.models import Message, Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket

EDITABLE = [
    {"author_type": "support"},
    {"author_type": "AI"},
    {"author_type": "support", "is_private": True},
    {"author_type": "AI", "is_private": True},
]


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket()


@pytest.fixture
def url(tickets_url: str, ticket: Any) -> str:
    return f"{tickets_url}/{ticket['id']}"


Say = Callable[..., Any]


@pytest.fixture
def say(writer: ApiClient, url: str) -> Say:
    """A message in the ticket, as its answer, from the team unless it says otherwise."""

    def post(content: str = "Hello", **fields: Any) -> Any:
        response = writer.post(f"{url}/messages", {"content": content, **fields})
        assert response.status_code == 201, response.content
        return response.json()

    return post


Look = Callable[[], Any]


@pytest.fixture
def look(writer: ApiClient, url: str) -> Look:
    """The ticket as it is now, not marked as read by looking."""
    return lambda: writer.get(url, mark_read="false").json()


def refusal(response: Any) -> tuple[int, str, str | None]:
    body = response.json()
    return response.status_code, body["code"], body["attr"]


# --- What can be edited ------------------------------------------------------


@pytest.mark.parametrize("kind", EDITABLE, ids=str)
@pytest.mark.parametrize("below", ["messages", "notes"])
def test_a_message_of_the_team_and_a_note_can_be_edited(
    writer: ApiClient, url: str, say: Say, kind: dict[str, Any], below: str
) -> None:
    message = say("Helo", **kind)

    response = writer.patch(f"{url}/{below}/{message['id']}", {"content": "Hello"})

    assert response.status_code == 200
    assert response.json() == {**message, "content": "Hello"}
    assert writer.get(f"{url}/messages").json()["results"] == [response.json()]


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ({"content": "New"}, {"content": "New"}),
        ({"message": "New"}, {"content": "New"}),
        ({"content": " New\n"}, {"content": "New"}),
        ({"content": "x" * 10_000}, {"content": "x" * 10_000}),
        ({"rich_content": {"type": "doc"}}, {"rich_content": {"type": "doc"}}),
        ({"rich_content": None}, {"rich_content": None}),
        ({"rich_content": True}, {"rich_content": True}),
        ({"rich_content": 0}, {"rich_content": 0}),
        ({"rich_content": []}, {"rich_content": []}),
        (
            {"message": "New", "rich_content": "text"},
            {"content": "New", "rich_content": "text"},
        ),
        ({"content": "New", "id": str(UUID(int=1)), "author_name": "Eve"}, {"content": "New"}),
        ({"author_type": "customer", "is_private": True, "created_at": None}, {}),
        ({}, {}),
        (None, {}),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_named_changes_and_nothing_else(
    writer: ApiClient, url: str, say: Say, body: Any, changed: dict[str, Any]
) -> None:
    message = say("Hello", rich_content=1, author_name="Grace")

    response = writer.patch(f"{url}/messages/{message['id']}", body)

    assert response.status_code == 200
    # Bytes of JSON, since to Python 1 and true are equal.
    assert repr(response.json()) == repr({**message, **changed})
    assert repr(writer.get(f"{url}/messages").json()["results"]) == repr([response.json()])


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({"content": "x", "message": "x"}, "invalid_input", "message"),
        ({"content": "x", "message": None}, "invalid_input", "message"),
        ({"content": "Hello", "message": "Hello"}, "invalid_input", "message"),
        ({"content": ""}, "blank", "content"),
        ({"content": " \n"}, "blank", "content"),
        ({"content": None}, "null", "content"),
        ({"content": 5}, "invalid_input", "content"),
        ({"content": "x" * 10_001}, "max_length", "content"),
        ({"message": ""}, "blank", "message"),
        ({"message": None}, "null", "message"),
        ({"message": ["x"]}, "invalid_input", "message"),
        ({"message": "x" * 10_001}, "max_length", "message"),
        ({"content": "a\x00b"}, "invalid_input", "content"),
        ({"rich_content": "x" * 99_999}, "max_length", "rich_content"),
        ({"content": "x", "colour": "blue"}, "unknown_field", "colour"),
        ({"content": "x", "deleted_at": None}, "unknown_field", "deleted_at"),
        ([], "invalid_input", None),
        ("x", "invalid_input", None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_wrong_edit_is_refused_and_changes_nothing(
    writer: ApiClient, url: str, say: Say, look: Look, body: Any, code: str, attr: str | None
) -> None:
    message = say("Hello")
    before = look()

    assert refusal(writer.patch(f"{url}/messages/{message['id']}", body)) == (400, code, attr)

    assert look() == before
    assert writer.get(f"{url}/messages").json()["results"] == [message]


def test_all_failures_of_an_edit_are_listed(writer: ApiClient, url: str, say: Say) -> None:
    body = {"content": "", "message": "x", "rich_content": "x" * 99_999, "colour": "blue"}

    errors = writer.patch(f"{url}/messages/{say()['id']}", body).json()["errors"]

    assert {error["attr"] for error in errors} == {"content", "message", "rich_content", "colour"}


@pytest.mark.parametrize("query", [{"mark_read": "false"}, {"limit": "1"}])
def test_a_parameter_that_does_not_exist_is_refused(
    writer: ApiClient, url: str, say: Say, query: dict[str, str]
) -> None:
    response = writer.patch(f"{url}/messages/{say()['id']}", {"content": "x"}, **query)

    assert refusal(response) == (400, "unknown_parameter", next(iter(query)))


# --- What a customer said ----------------------------------------------------


@pytest.mark.parametrize("is_private", [False, True])
@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"content": "I owe you money"}, "content"),
        ({"message": "I owe you money"}, "message"),
        ({"rich_content": {}}, "rich_content"),
    ],
)
def test_what_a_customer_said_can_not_be_edited(
    writer: ApiClient,
    url: str,
    say: Say,
    look: Look,
    body: dict[str, Any],
    attr: str,
    is_private: bool,
) -> None:
    message = say("You owe me money", author_type="customer", is_private=is_private)
    before = look()

    response = writer.patch(f"{url}/messages/{message['id']}", body)

    assert refusal(response) == (400, "invalid_input", attr)
    assert response.json()["detail"] == "A customer's message can not be edited."
    assert look() == before
    assert writer.get(f"{url}/messages").json()["results"] == [message]


def test_a_customers_message_may_be_sent_back_as_it_is(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    message = say("Hello", author_type="customer", rich_content={"type": "doc"})
    before = look()

    for body in (message, {"message": " Hello "}, {}):
        assert writer.patch(f"{url}/messages/{message['id']}", body).json() == message

    assert look() == before


# --- What an edit does to the ticket -----------------------------------------


def test_an_edit_moves_updated_at_forward_and_nothing_else(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    first = say("First")
    say("Question", author_type="customer")
    say("Last")
    before = look()

    writer.patch(f"{url}/messages/{first['id']}", {"content": "Changed"})

    after = look()
    assert after["updated_at"] > before["updated_at"]
    assert after == {**before, "updated_at": after["updated_at"]}


def test_updated_at_moves_forward_though_clocks_differ(
    writer: ApiClient, url: str, say: Say, look: Look, ticket: Any
) -> None:
    message = say()
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    Ticket.objects.filter(pk=ticket["id"]).update(updated_at=ahead)

    writer.patch(f"{url}/messages/{message['id']}", {"content": "Changed"})

    assert datetime.fromisoformat(look()["updated_at"]) > ahead


@pytest.mark.parametrize(
    "body", [{"content": "Hello"}, {"message": "Hello\n"}, {"rich_content": {"a": 1}}, {}]
)
def test_nothing_changes_where_nothing_differs(
    writer: ApiClient, url: str, say: Say, look: Look, body: dict[str, Any]
) -> None:
    message = say("Hello", rich_content={"a": 1})
    before = look()

    assert writer.patch(f"{url}/messages/{message['id']}", body).json() == message

    assert look() == before


def test_the_ticket_shows_the_new_text_of_its_last_public_message(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    message = say("Old")
    say("Between us", is_private=True)

    writer.patch(f"{url}/messages/{message['id']}", {"content": "y" * 600})

    assert look()["last_message_text"] == "y" * 500
    assert look()["last_message_at"] == message["created_at"]


def test_an_edited_note_shows_nowhere_else(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    say("Public")
    note = say("Note", is_private=True)

    writer.patch(f"{url}/notes/{note['id']}", {"content": "Changed note"})

    assert look()["last_message_text"] == "Public"


def test_an_edit_makes_nothing_unread_again(
    writer: ApiClient, url: str, say: Say, look: Look, ticket: Any
) -> None:
    seen = say("Seen")
    Ticket.objects.filter(pk=ticket["id"]).update(customer_read_seq=1, unread_customer_count=0)
    say("Not seen")

    writer.patch(f"{url}/messages/{seen['id']}", {"content": "Changed"})

    assert look()["unread_customer_count"] == 1


def test_the_search_finds_the_new_words_and_not_the_old_ones(
    writer: ApiClient, url: str, say: Say, project: Project
) -> None:
    message = say("apples")

    writer.patch(f"{url}/messages/{message['id']}", {"content": "Pears and plums"})

    stored: Any = Message.objects.get(pk=message["id"]).search
    assert all(f"{project.pk}:{word}" in stored for word in ("pears", "and", "plums"))
    assert "apples" not in stored


def test_an_edit_costs_six_statements_however_many_messages_there_are(
    writer: ApiClient, url: str, say: Say
) -> None:
    messages = [say() for _ in range(5)]

    with CaptureQueriesContext(connection) as captured:
        writer.patch(f"{url}/messages/{messages[0]['id']}", {"content": "Changed"})

    bounds = ("BEGIN", "COMMIT")
    found = [query["sql"] for query in captured if not query["sql"].startswith(bounds)]
    # The ticket, locked; the message; writing it; the recount; writing the ticket; the event.
    assert len(found) == 6, found


# --- Which message -----------------------------------------------------------


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("below", ["messages", "notes"])
@pytest.mark.parametrize(
    "named",
    ["0192f0c1-2b3c-7d4e-8f50-617283940a1b", "1", "x", "0192f0c12b3c7d4e8f50617283940a1b", "%00"],
)
def test_an_unknown_message_is_not_found(
    writer: ApiClient, url: str, say: Say, method: str, below: str, named: str
) -> None:
    say()

    response = writer.request(method, f"{url}/{below}/{named}", {"content": "x"})

    assert refusal(response) == (404, "not_found", None)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_deleted_message_is_not_found(
    writer: ApiClient, url: str, say: Say, look: Look, method: str
) -> None:
    message = say()
    writer.delete(f"{url}/messages/{message['id']}")
    before = look()

    response = writer.request(method, f"{url}/messages/{message['id']}", {"content": "x"})

    assert refusal(response) == (404, "not_found", None)
    assert look() == before


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_message_of_another_ticket_is_not_found(
    writer: ApiClient, say: Say, make_ticket: MakeTicket, tickets_url: str, look: Look, method: str
) -> None:
    message, other = say(), make_ticket()
    before = look()
    url = f"{tickets_url}/{other['id']}/messages/{message['id']}"

    assert refusal(writer.request(method, url, {"content": "x"})) == (404, "not_found", None)
    assert look() == before


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_message_of_another_project_is_not_found(
    client_for: ClientFor,
    neighbour: Project,
    project: Project,
    url: str,
    say: Say,
    look: Look,
    method: str,
) -> None:
    message = say()
    before = look()
    foreign = url.replace(f"/{project.pk}/", f"/{neighbour.pk}/")

    response = client_for(neighbour, "*").request(
        method, f"{foreign}/messages/{message['id']}", {"content": "x"}
    )

    assert refusal(response) == (404, "not_found", None)
    assert look() == before


def test_a_message_may_be_named_in_capitals_below_the_ticket_number(
    writer: ApiClient, tickets_url: str, say: Say, ticket: Any
) -> None:
    message = say()
    url = f"{tickets_url}/{ticket['ticket_number']}/messages/{message['id'].upper()}"

    assert writer.patch(url, {"content": "Changed"}).json()["id"] == message["id"]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
@pytest.mark.parametrize("below", ["messages", "notes"])
def test_it_needs_the_scope_to_write(
    client_for: ClientFor, project: Project, url: str, say: Say, method: str, below: str
) -> None:
    path = f"{url}/{below}/{say()['id']}"

    response = client_for(project, "ticket:read").request(method, path, {"content": "x"})

    assert refusal(response) == (403, "permission_denied", None)
    assert response.json()["detail"] == "API key missing required scope 'ticket:write'"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_other_methods_are_not_allowed(writer: ApiClient, url: str, say: Say, method: str) -> None:
    response = writer.request(method, f"{url}/messages/{say()['id']}")

    assert refusal(response) == (405, "method_not_allowed", None)
