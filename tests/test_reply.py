"""POST …/tickets/{id}/reply."""

from functools import partial
from typing import Any

import pytest

from projects.models import Membership, Project, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import refusal
from tests.threads import at_once


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket(message="Hi")


@pytest.fixture
def url(tickets_url: str, ticket: Any) -> str:
    return f"{tickets_url}/{ticket['id']}/reply"


def test_a_reply_is_a_message_of_the_team(
    writer: ApiClient, ticket: Any, url: str, tickets_url: str
) -> None:
    rich = {"type": "doc"}

    response = writer.post(url, {"message": " Hello ", "rich_content": rich})

    assert response.status_code == 201
    message = response.json()
    assert (message["content"], message["rich_content"]) == ("Hello", rich)
    assert (message["author_type"], message["is_private"]) == ("support", False)
    assert writer.get(f"{tickets_url}/1/messages").json()["results"][1] == message


def test_a_reply_is_unread_by_the_customer(
    writer: ApiClient, url: str, tickets_url: str, ticket: Any
) -> None:
    message = writer.post(url, {"message": "Hello"}).json()

    after = writer.get(tickets_url).json()["results"][0]
    assert after == {
        **ticket,
        "message_count": 2,
        "unread_customer_count": 1,
        "last_message_text": "Hello",
        "last_message_at": message["created_at"],
        "updated_at": after["updated_at"],
    }


def test_a_private_reply_is_a_note(
    writer: ApiClient, url: str, tickets_url: str, ticket: Any
) -> None:
    message = writer.post(url, {"message": "Careful", "is_private": True}).json()

    after = writer.get(tickets_url).json()["results"][0]
    assert message["is_private"] is True
    assert after == {**ticket, "updated_at": after["updated_at"]}
    assert after["updated_at"] > ticket["updated_at"]


def test_a_reply_leaves_a_resolved_ticket_resolved(
    writer: ApiClient, url: str, tickets_url: str
) -> None:
    writer.patch(f"{tickets_url}/1", {"status": "resolved"})

    writer.post(url, {"message": "You are welcome"})

    assert writer.get(f"{tickets_url}/1").json()["status"] == "resolved"


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        (None, "required", "message"),
        ({"message": "  "}, "blank", "message"),
        ({"message": None}, "null", "message"),
        ({"message": "x" * 10_001}, "max_length", "message"),
        ({"message": ["x"]}, "invalid_input", "message"),
        ({"message": "x", "is_private": 1}, "invalid_input", "is_private"),
        ({"message": "x", "rich_content": "x" * 99_999}, "max_length", "rich_content"),
        ({"message": "x", "author_type": "customer"}, "unknown_field", "author_type"),
        ({"content": "x", "message": "x"}, "unknown_field", "content"),
    ],
)
def test_a_wrong_reply_is_refused_and_changes_nothing(
    writer: ApiClient, ticket: Any, url: str, tickets_url: str, body: Any, code: str, attr: str
) -> None:
    assert refusal(writer.post(url, body)) == (400, code, attr)

    assert writer.get(tickets_url).json()["results"] == [ticket]


def test_a_ticket_of_another_project_can_not_be_replied_to(
    client_for: ClientFor, neighbour: Project, url: str, project: Project
) -> None:
    foreign = url.replace(f"/{project.pk}/", f"/{neighbour.pk}/")

    response = client_for(neighbour, "*").post(foreign, {"message": "Hello"})

    assert refusal(response) == (404, "not_found", None)


def test_replies_at_once_are_all_counted_and_stand_in_one_order(
    writer: ApiClient, url: str, tickets_url: str
) -> None:
    def reply(number: int) -> int:
        client = ApiClient(**writer.headers)
        return int(client.post(url, {"message": str(number)}).status_code)

    assert at_once(*(partial(reply, number) for number in range(8))) == [201] * 8

    times = [m["created_at"] for m in writer.get(f"{tickets_url}/1/messages").json()["results"]]
    assert times == sorted(set(times))
    after = writer.get(f"{tickets_url}/1").json()
    assert (after["message_count"], after["unread_customer_count"]) == (9, 8)
    assert after["last_message_at"] == times[-1]


def said_by(project: Project, tickets_url: str, **names: str) -> Any:
    user = User.objects.create_user(f"agent-{project.pk}@example.com", **names)
    Membership.objects.create(project=project, user=user)
    agent = ApiClient()
    agent.client.force_login(user)
    ticket = agent.post(tickets_url).json()
    return agent.post(f"{tickets_url}/{ticket['id']}/reply", {"message": "Hi"}).json()


def test_what_a_signed_in_agent_says_has_their_name(project: Project, tickets_url: str) -> None:
    assert said_by(project, tickets_url, first_name="Grace")["author_name"] == "Grace"


def test_a_name_that_is_longer_than_any_authors_is_cut(project: Project, tickets_url: str) -> None:
    said = said_by(project, tickets_url, first_name="G" * 150, last_name="H" * 150)

    assert said["author_name"] == "G" * 150 + " " + "H" * 48 + "…"
