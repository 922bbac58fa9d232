"""DELETE …/tickets/{id}/messages/{message_id}: the ticket counts as if it had never been there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.models import Message, Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.recount import recount
from tests.threads import InBackground, at_once, wait_until_blocked

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


def counts(ticket: Any) -> dict[str, Any]:
    return {name: ticket[name] for name in COUNTED}


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("below", ["messages", "notes"])
def test_a_message_of_any_kind_can_be_deleted_and_is_listed_no_more(
    writer: ApiClient, url: str, say: Say, kind: dict[str, Any], below: str
) -> None:
    kept, gone = say("Kept"), say("Gone", **kind)

    response = writer.delete(f"{url}/{below}/{gone['id']}")

    assert (response.status_code, response.content) == (204, b"")
    listed = writer.get(f"{url}/messages").json()
    assert (listed["count"], listed["results"]) == (1, [kept])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_ticket_counts_as_if_the_message_had_never_been_there(
    writer: ApiClient, url: str, say: Say, look: Look, kind: dict[str, Any], place: int
) -> None:
    """Held against what the ticket said before, with the message last, first and between."""
    others: list[dict[str, Any]] = [{"author_type": "customer"}, {"author_type": "support"}]
    ids = []
    said = [*others[:place], kind, *others[place:]]
    for index, fields in enumerate(said):
        ids.append(say(f"Message {index}", **fields)["id"])
    before = look()

    writer.delete(f"{url}/messages/{ids[place]}")

    after = look()
    assert after["updated_at"] > before["updated_at"]
    remaining = writer.get(f"{url}/messages").json()["results"]
    assert counts(after) == {
        "message_count": 2,
        "last_message_at": remaining[-1]["created_at"],
        "last_message_text": remaining[-1]["content"],
        "unread_team_count": 1,
        "unread_customer_count": 1,
    }
    assert {**before, **counts(after), "updated_at": after["updated_at"]} == after


def test_a_ticket_whose_only_message_is_deleted_has_no_last_message(
    writer: ApiClient, url: str, say: Say, look: Look, ticket: Any
) -> None:
    writer.delete(f"{url}/messages/{say(author_type='customer')['id']}")

    assert counts(look()) == counts(ticket)


def test_a_note_is_not_the_last_message_when_the_last_one_is_deleted(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    say("Public")
    say("Between us", is_private=True)
    last = say("Gone")

    writer.delete(f"{url}/messages/{last['id']}")

    assert look()["last_message_text"] == "Public"


def test_the_text_of_the_message_before_is_cut_at_500_characters(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    say("\N{PARTY POPPER}" * 600)
    last = say("Gone")

    writer.delete(f"{url}/messages/{last['id']}")

    assert look()["last_message_text"] == "\N{PARTY POPPER}" * 500


def test_a_message_that_was_read_takes_nothing_from_the_unread_ones(
    writer: ApiClient, url: str, say: Say, look: Look, unread_count_url: str
) -> None:
    read = say("Read", author_type="customer")
    writer.get(url)
    say("Unread", author_type="customer")

    writer.delete(f"{url}/messages/{read['id']}")

    assert (look()["unread_team_count"], look()["message_count"]) == (1, 1)
    assert writer.get(unread_count_url).json() == {"count": 1}


def test_a_message_that_the_customer_has_seen_takes_nothing_from_the_others(
    writer: ApiClient, url: str, say: Say, look: Look, ticket: Any
) -> None:
    seen = say("Seen")
    Ticket.objects.filter(pk=ticket["id"]).update(customer_read_seq=1, unread_customer_count=0)
    say("Not seen")

    writer.delete(f"{url}/messages/{seen['id']}")

    assert look()["unread_customer_count"] == 1


def test_the_unread_count_falls_with_an_unread_message(
    writer: ApiClient, url: str, say: Say, unread_count_url: str
) -> None:
    message = say(author_type="customer")
    assert writer.get(unread_count_url).json() == {"count": 1}

    writer.delete(f"{url}/messages/{message['id']}")

    assert writer.get(unread_count_url).json() == {"count": 0}


def test_a_ticket_marked_unread_stays_so_when_its_messages_are_deleted(
    writer: ApiClient, url: str, say: Say, look: Look, unread_count_url: str
) -> None:
    messages = [say(author_type="customer") for _ in range(2)]
    writer.post(f"{url}/mark_unread")

    seen = []
    for message in messages:
        writer.delete(f"{url}/messages/{message['id']}")
        seen.append(look()["unread_team_count"])

    assert seen == [1, 1]
    assert writer.get(unread_count_url).json() == {"count": 1}
    assert writer.get(url).json()["unread_team_count"] == 0


def test_what_else_the_message_did_is_not_undone(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    writer.patch(url, {"status": "resolved"})
    message = say("Still broken", author_type="customer")

    writer.delete(f"{url}/messages/{message['id']}")

    assert (look()["status"], look()["resolved_at"]) == ("open", None)


def test_a_message_after_a_deletion_counts_as_ever(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    writer.delete(f"{url}/messages/{say(author_type='customer')['id']}")

    say("New", author_type="customer")

    assert (look()["message_count"], look()["unread_team_count"]) == (1, 1)
    assert look()["last_message_text"] == "New"


def test_updated_at_moves_forward_though_clocks_differ(
    writer: ApiClient, url: str, say: Say, look: Look, ticket: Any
) -> None:
    message = say()
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    Ticket.objects.filter(pk=ticket["id"]).update(updated_at=ahead)

    writer.delete(f"{url}/messages/{message['id']}")

    assert datetime.fromisoformat(look()["updated_at"]) > ahead


def test_a_deleted_message_is_kept_but_not_found_by_the_search(
    writer: ApiClient, url: str, say: Say
) -> None:
    message = say("apples")

    writer.delete(f"{url}/messages/{message['id']}")

    stored = Message.objects.get(pk=message["id"])
    assert (stored.content, stored.search) == ("apples", None)
    assert stored.deleted_at is not None


def test_the_links_of_a_list_survive_a_deletion(writer: ApiClient, url: str, say: Say) -> None:
    messages = [say(str(number)) for number in range(6)]
    page = writer.get(f"{url}/messages", limit=2).json()

    for message in messages[:3]:
        writer.delete(f"{url}/messages/{message['id']}")

    rest = writer.get(page["next"].removeprefix("http://testserver")).json()
    assert [message["content"] for message in rest["results"]] == ["3", "4"]


def test_deleting_takes_no_parameters(writer: ApiClient, url: str, say: Say) -> None:
    response = writer.delete(f"{url}/messages/{say()['id']}", force="true")

    assert (response.status_code, response.json()["attr"]) == (400, "force")
    assert writer.get(f"{url}/messages").json()["count"] == 1


def test_a_deletion_costs_six_statements_however_many_messages_there_are(
    writer: ApiClient, url: str, say: Say
) -> None:
    messages = [say(author_type="customer") for _ in range(5)]

    with CaptureQueriesContext(connection) as captured:
        writer.delete(f"{url}/messages/{messages[0]['id']}")

    bounds = ("BEGIN", "COMMIT")
    found = [query["sql"] for query in captured if not query["sql"].startswith(bounds)]
    # The ticket, locked; the message; writing it; the recount; writing the ticket; the event.
    assert len(found) == 6, found


# --- At the same time --------------------------------------------------------


def test_of_two_who_delete_the_same_message_one_finds_it_gone(
    writer: ApiClient, url: str, say: Say, look: Look
) -> None:
    say("Kept", author_type="customer")
    message = say("Gone", author_type="customer")

    def delete() -> int:
        return int(writer.delete(f"{url}/messages/{message['id']}").status_code)

    assert sorted(at_once(delete, delete, delete)) == [204, 404, 404]
    assert (look()["message_count"], look()["unread_team_count"]) == (1, 1)


def test_an_edit_that_waited_for_a_deletion_finds_the_message_gone(
    writer: ApiClient, url: str, say: Say, ticket: Any
) -> None:
    message = say("Gone")
    with transaction.atomic():
        Ticket.objects.select_for_update().get(pk=ticket["id"])
        deleting = InBackground(writer.delete, f"{url}/messages/{message['id']}")
        wait_until_blocked()
        editing = InBackground(
            writer.patch, f"{url}/messages/{message['id']}", {"content": "Changed"}
        )
        wait_until_blocked(2)
    with deleting, editing:
        statuses = {deleting.result().status_code, editing.result().status_code}

    assert statuses in ({204, 404}, {204, 200})
    assert writer.get(f"{url}/messages").json()["count"] == 0


def test_under_many_threads_that_post_edit_delete_and_read_it_ends_at_the_recount(
    writer: ApiClient, url: str, look: Look, project: Project, unread_count_url: str
) -> None:
    def work(number: int) -> None:
        author = ["customer", "support"][number % 2]
        for step in range(6):
            body = {"content": f"{number} {step}", "author_type": author}
            message = writer.post(f"{url}/messages", body).json()
            writer.patch(f"{url}/messages/{message['id']}", {"content": "Changed"})
            if step % 3 == 0:
                writer.get(url)
            if step % 2:
                writer.delete(f"{url}/messages/{message['id']}")
            writer.get(unread_count_url)

    at_once(*[lambda number=number: work(number) for number in range(4)])

    assert writer.get(unread_count_url).json() == {"count": recount(project)}
    listed = writer.get(f"{url}/messages").json()["results"]
    assert (look()["message_count"], look()["unread_customer_count"]) == (12, 6)
    assert look()["last_message_text"] == listed[-1]["content"]
