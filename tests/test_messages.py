"""GET and POST …/tickets/{id}/messages, and what a message does to its ticket."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from conversations.models import Message, Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import failures, refusal
from tests.test_ticket_create import in_an_hour

KINDS = [
    {"author_type": author_type, "is_private": is_private}
    for author_type in ("customer", "AI", "support")
    for is_private in (False, True)
]
COUNTED = (
    "message_count",
    "last_message_at",
    "last_message_text",
    "unread_team_count",
    "unread_customer_count",
)


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket()


@pytest.fixture
def url(tickets_url: str, ticket: Any) -> str:
    return f"{tickets_url}/{ticket['id']}/messages"


Look = Callable[[], Any]


@pytest.fixture
def look(reader: ApiClient, tickets_url: str, ticket: Any) -> Look:
    """The ticket as it is now, not marked as read by looking."""
    return lambda: reader.get(f"{tickets_url}/{ticket['id']}", mark_read="false").json()


# --- Posting ---


def test_a_message_needs_its_content_alone(writer: ApiClient, url: str) -> None:
    response = writer.post(url, {"content": "Hello"})

    assert response.status_code == 201
    message = response.json()
    assert UUID(message.pop("id")).version == 7
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", message.pop("created_at"))
    assert message == {
        "content": "Hello",
        "rich_content": None,
        "author_type": "support",
        "author_name": None,
        "is_private": False,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content", "x" * 10_000),
        ("author_type", "customer"),
        ("author_type", "AI"),
        ("author_name", "Ann"),
        ("author_name", None),
        ("author_name", "n" * 200),
        ("is_private", True),
        ("rich_content", {"type": "doc", "content": [{"type": "text", "text": "Hi"}]}),
        ("rich_content", []),
        ("rich_content", "text"),
        ("rich_content", 0),
        ("rich_content", False),
        ("rich_content", None),
        ("rich_content", "x" * 99_998),
    ],
)
def test_a_field_of_a_message_is_kept_as_it_was_given(
    writer: ApiClient, url: str, name: str, value: Any
) -> None:
    posted = writer.post(url, {"content": "Hello", name: value}).json()

    assert posted[name] == value
    assert writer.get(url).json()["results"] == [posted]


def test_content_is_trimmed_before_it_is_measured(writer: ApiClient, url: str) -> None:
    response = writer.post(url, {"content": " \n" + "x" * 10_000 + "\t "})

    assert response.json()["content"] == "x" * 10_000


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        (None, "required", "content"),
        ({}, "required", "content"),
        ({"content": ""}, "blank", "content"),
        ({"content": " \n\t\u00a0"}, "blank", "content"),
        ({"content": None}, "null", "content"),
        ({"content": 5}, "invalid_input", "content"),
        ({"content": "x" * 10_001}, "max_length", "content"),
        ({"content": "x", "author_type": "ai"}, "invalid_choice", "author_type"),
        ({"content": "x", "author_type": None}, "null", "author_type"),
        ({"content": "x", "author_name": "n" * 201}, "max_length", "author_name"),
        ({"content": "x", "author_name": {}}, "invalid_input", "author_name"),
        ({"content": "x", "is_private": "yes"}, "invalid_input", "is_private"),
        ({"content": "x", "is_private": None}, "null", "is_private"),
        ({"content": "x", "rich_content": "x" * 99_999}, "max_length", "rich_content"),
        ({"content": "x", "message": "y"}, "unknown_field", "message"),
    ],
)
def test_a_wrong_message_is_refused_and_changes_nothing(
    writer: ApiClient, url: str, look: Look, body: Any, code: str, attr: str
) -> None:
    before = look()

    assert refusal(writer.post(url, body)) == (400, code, attr)

    assert look() == before
    assert writer.get(url).json()["count"] == 0


def test_all_failures_of_a_message_are_listed(writer: ApiClient, url: str) -> None:
    response = writer.post(url, {"author_type": "bot", "colour": "blue"})

    assert failures(response) == {
        ("required", "content"),
        ("invalid_choice", "author_type"),
        ("unknown_field", "colour"),
    }


def test_a_message_may_be_sent_back_as_a_new_one(writer: ApiClient, url: str) -> None:
    first = writer.post(url, {"content": "Hello"}).json()

    second = writer.post(url, first).json()

    assert second["id"] != first["id"]
    assert second["created_at"] > first["created_at"]


def test_a_message_to_a_ticket_of_another_project_is_refused(
    client_for: ClientFor, neighbour: Project, url: str, project: Project, look: Look
) -> None:
    before = look()
    foreign = url.replace(f"/{project.pk}/", f"/{neighbour.pk}/")

    response = client_for(neighbour, "*").post(foreign, {"content": "Hello"})

    assert refusal(response) == (404, "not_found", None)
    assert look() == before


# --- What it counts for ---


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_message_counts_for_whom_it_is_new(
    writer: ApiClient, url: str, look: Look, kind: dict[str, Any]
) -> None:
    before = look()

    message = writer.post(url, {"content": "Hello", **kind}).json()

    after = look()
    assert after["updated_at"] > before["updated_at"]
    if kind["is_private"]:
        expected: dict[str, Any] = {}
    else:
        for_team = kind["author_type"] == "customer"
        expected = {
            "message_count": 1,
            "last_message_at": message["created_at"],
            "last_message_text": "Hello",
            "unread_team_count" if for_team else "unread_customer_count": 1,
        }
    assert after == {**before, **expected, "updated_at": after["updated_at"]}


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_unread_count_moves_with_messages_of_customers_alone(
    writer: ApiClient, url: str, unread_count_url: str, kind: dict[str, Any]
) -> None:
    assert writer.get(unread_count_url).json() == {"count": 0}

    writer.post(url, {"content": "Hello", **kind})

    from_customer = kind == {"author_type": "customer", "is_private": False}
    assert writer.get(unread_count_url).json() == {"count": int(from_customer)}


def test_counts_add_up(writer: ApiClient, url: str, look: Look) -> None:
    for author_type in ("customer", "support", "customer", "AI", "AI"):
        writer.post(url, {"content": author_type, "author_type": author_type})

    assert [look()[name] for name in COUNTED if name.endswith("count")] == [5, 2, 3]
    assert look()["last_message_text"] == "AI"


def test_a_note_stands_behind_no_newer_message(writer: ApiClient, url: str, look: Look) -> None:
    writer.post(url, {"content": "Public"})
    public = look()

    writer.post(url, {"content": "Private", "is_private": True})

    assert {name: look()[name] for name in COUNTED} == {name: public[name] for name in COUNTED}


def test_a_message_of_the_team_reads_nothing(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(message="Hi")

    writer.post(f"{tickets_url}/1/messages", {"content": "Hello"})

    listed = writer.get(tickets_url).json()["results"][0]
    assert (listed["unread_team_count"], listed["unread_customer_count"]) == (1, 1)


def test_the_text_of_the_last_message_is_cut_at_500_characters(
    writer: ApiClient, url: str, look: Look
) -> None:
    writer.post(url, {"content": "\N{PARTY POPPER}" * 600})

    assert look()["last_message_text"] == "\N{PARTY POPPER}" * 500


def test_each_message_is_later_than_the_one_before_though_clocks_differ(
    writer: ApiClient, url: str, ticket: Any
) -> None:
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    Ticket.objects.filter(pk=ticket["id"]).update(updated_at=ahead)

    times = [writer.post(url, {"content": "Hello"}).json()["created_at"] for _ in range(3)]

    assert times == sorted(set(times))
    assert datetime.fromisoformat(times[0]) > ahead


# --- Reopening ---


@pytest.fixture
def resolved(writer: ApiClient, ticket: Any, tickets_url: str) -> None:
    writer.patch(f"{tickets_url}/{ticket['id']}", {"status": "resolved"})


@pytest.mark.usefixtures("resolved")
def test_a_customers_message_reopens_a_resolved_ticket(
    writer: ApiClient, url: str, look: Look, unread_count_url: str
) -> None:
    writer.post(url, {"content": "Still broken", "author_type": "customer"})

    assert (look()["status"], look()["resolved_at"]) == ("open", None)
    assert writer.get(unread_count_url).json() == {"count": 1}


@pytest.mark.usefixtures("resolved")
def test_a_customers_message_reopens_nothing_where_the_project_has_it_so(
    writer: ApiClient, url: str, look: Look, project: Project, unread_count_url: str
) -> None:
    project.reopen_on_reply = False
    project.save()
    before = look()

    writer.post(url, {"content": "Thanks", "author_type": "customer"})

    assert (look()["status"], look()["resolved_at"]) == ("resolved", before["resolved_at"])
    assert look()["unread_team_count"] == 1
    assert writer.get(unread_count_url).json() == {"count": 0}


@pytest.mark.usefixtures("resolved")
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind["author_type"] != "customer"], ids=str
)
def test_no_other_message_reopens_a_ticket(
    writer: ApiClient, url: str, look: Look, kind: dict[str, Any]
) -> None:
    writer.post(url, {"content": "Done", **kind})

    assert look()["status"] == "resolved"


@pytest.mark.parametrize("status", ["new", "open", "pending", "on_hold"])
def test_a_customers_message_leaves_any_other_status(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, status: str
) -> None:
    make_ticket(status=status)

    writer.post(f"{tickets_url}/1/messages", {"content": "Hi", "author_type": "customer"})

    assert writer.get(f"{tickets_url}/1").json()["status"] == status


def test_a_customers_message_wakes_a_snoozed_ticket(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(snoozed_until=in_an_hour())

    writer.post(f"{tickets_url}/1/messages", {"content": "Hi", "author_type": "customer"})

    ticket = writer.get(f"{tickets_url}/1").json()
    assert (ticket["status"], ticket["snoozed_until"]) == ("open", None)


# --- Listing ---


def test_a_ticket_without_messages_has_an_empty_list(reader: ApiClient, url: str) -> None:
    assert reader.get(url).json() == {"count": 0, "next": None, "previous": None, "results": []}


def test_messages_are_listed_oldest_first_notes_included(writer: ApiClient, url: str) -> None:
    posted = [writer.post(url, {"content": "Hello", **kind}).json() for kind in KINDS]

    assert writer.get(url).json()["results"] == posted


def test_listing_messages_marks_nothing(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi")

    reader.get(f"{tickets_url}/1/messages")

    assert reader.get(tickets_url).json()["results"] == [ticket]


def test_deleted_messages_are_not_listed(writer: ApiClient, url: str) -> None:
    for text in ("kept", "gone"):
        writer.post(url, {"content": text})
    Message.objects.filter(ticket__in=[UUID(url.split("/")[-2])], content="gone").update(
        deleted_at=datetime.now(UTC)
    )

    body = writer.get(url).json()

    assert ([message["content"] for message in body["results"]], body["count"]) == (["kept"], 1)


def test_messages_of_another_ticket_are_not_listed(
    reader: ApiClient, make_ticket: MakeTicket, url: str, tickets_url: str
) -> None:
    make_ticket(message="Elsewhere")

    assert reader.get(url).json()["count"] == 0
    assert reader.get(f"{tickets_url}/2/messages").json()["count"] == 1


def test_messages_of_another_project_are_not_found(
    client_for: ClientFor, neighbour: Project, url: str, project: Project
) -> None:
    foreign = url.replace(f"/{project.pk}/", f"/{neighbour.pk}/")

    assert refusal(client_for(neighbour, "*").get(foreign)) == (404, "not_found", None)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("limit", "0", "min_value"),
        ("offset", "-1", "min_value"),
        ("order_by", "-created_at", "unknown_parameter"),
        ("after", "2026-01-01", "unknown_parameter"),
    ],
)
def test_a_wrong_parameter_of_the_messages_is_named(
    reader: ApiClient, url: str, name: str, value: str, code: str
) -> None:
    assert refusal(reader.get(url, **{name: value})) == (400, code, name)
