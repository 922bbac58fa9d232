"""Who a ticket is assigned to: how it is written, what is refused, and what becomes of it."""

from typing import Any
from uuid import UUID

import pytest

from projects.models import Membership, Project, Role, User
from tests.api import ApiClient
from tests.conftest import MakeTicket

# What is wrong with it, in the contract's words.
REFUSED: list[tuple[Any, str]] = [
    (5, "must be an object"),
    (True, "must be an object"),
    ("user:1", "must be an object"),
    ([], "must be an object"),
    ([{"type": "user", "id": 1}], "must be an object"),
    ({}, "must have 'type' and 'id'"),
    ({"type": "user"}, "must have 'type' and 'id'"),
    ({"id": 1}, "must have 'type' and 'id'"),
    ({"user": {"email": "a@example.com"}, "role": None}, "must have 'type' and 'id'"),
    ({"type": "team", "id": 1}, "type must be 'user' or 'role'"),
    ({"type": "User", "id": 1}, "type must be 'user' or 'role'"),
    ({"type": None, "id": None}, "type must be 'user' or 'role'"),
    ({"type": ["user"], "id": 1}, "type must be 'user' or 'role'"),
    ({"type": {}, "id": 1}, "type must be 'user' or 'role'"),
    ({"type": "user", "id": "1"}, "user id must be an integer"),
    ({"type": "user", "id": None}, "user id must be an integer"),
    ({"type": "user", "id": True}, "user id must be an integer"),
    ({"type": "user", "id": 1.0}, "user id must be an integer"),
    ({"type": "user", "id": [1]}, "user id must be an integer"),
    ({"type": "role", "id": 1}, "role id must be a valid UUID"),
    ({"type": "role", "id": None}, "role id must be a valid UUID"),
    ({"type": "role", "id": "x"}, "role id must be a valid UUID"),
    ({"type": "role", "id": UUID(int=1).hex}, "role id must be a valid UUID"),
    ({"type": "role", "id": f"{UUID(int=1)}\n"}, "role id must be a valid UUID"),
    ({"type": "role", "id": {}}, "role id must be a valid UUID"),
    ({"type": "user", "id": 0}, "user is not a member of this project"),
    ({"type": "user", "id": 2**63 - 1}, "user is not a member of this project"),
    ({"type": "user", "id": -(2**63)}, "user is not a member of this project"),
    ({"type": "role", "id": str(UUID(int=1))}, "role does not belong to this project"),
]
refused = pytest.mark.parametrize(
    ("assignee", "detail"), REFUSED, ids=lambda value: repr(value)[:50]
)


@pytest.fixture
def agent(project: Project) -> User:
    user = User.objects.create_user(f"agent-{project.pk}@example.org")
    Membership.objects.create(project=project, user=user)
    return user


@pytest.fixture
def role(project: Project) -> Role:
    return Role.objects.create(project=project, name="Billing")


def failure(response: Any) -> tuple[int, str, str | None, str]:
    body = response.json()
    return response.status_code, body["code"], body["attr"], body["detail"]


@refused
def test_a_wrong_assignee_is_explained_on_create(
    writer: ApiClient, tickets_url: str, assignee: Any, detail: str
) -> None:
    response = writer.post(tickets_url, {"assignee": assignee, "message": "Hi"})

    assert failure(response) == (400, "invalid_input", "assignee", detail)
    assert writer.get(tickets_url).json()["count"] == 0


@refused
def test_a_wrong_assignee_is_explained_on_patch_and_changes_nothing_at_all(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, assignee: Any, detail: str
) -> None:
    ticket = make_ticket()
    url = f"{tickets_url}/{ticket['id']}"

    for method in ("PATCH", "PUT"):
        response = writer.request(
            method, url, {"status": "resolved", "assignee": assignee, "tags": ["vip"]}
        )
        assert failure(response) == (400, "invalid_input", "assignee", detail)

    assert writer.get(url).json() == ticket


@refused
def test_a_wrong_assignee_is_explained_in_a_bulk(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, assignee: Any, detail: str
) -> None:
    body = {"ids": [make_ticket()["id"]], "assignee": assignee}

    response = writer.post(f"{tickets_url}/bulk_assign", body)

    assert failure(response) == (400, "invalid_input", "assignee", detail)


@pytest.mark.parametrize("kind", ["user", "role"])
def test_an_assignee_of_another_project_is_refused_with_all_that_came_beside_it(
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    neighbour: Project,
    kind: str,
) -> None:
    stranger = User.objects.create_user(f"agent-{neighbour.pk}@example.org")
    Membership.objects.create(project=neighbour, user=stranger)
    theirs = Role.objects.create(project=neighbour, name="Billing")
    assignee, detail = {
        "user": (stranger.pk, "user is not a member of this project"),
        "role": (str(theirs.pk), "role does not belong to this project"),
    }[kind]
    ticket = make_ticket(message="Hi")
    url = f"{tickets_url}/{ticket['id']}"

    response = writer.patch(
        url,
        {
            "status": "resolved",
            "priority": "high",
            "snoozed_until": "2999-01-01T00:00:00Z",
            "assignee": {"type": kind, "id": assignee},
        },
    )

    assert failure(response) == (400, "invalid_input", "assignee", detail)
    assert writer.get(url, mark_read="false").json() == ticket


def test_a_user_who_is_in_no_project_is_refused(
    writer: ApiClient, tickets_url: str, project: Project
) -> None:
    user = User.objects.create_user(f"nobody-{project.pk}@example.org", is_superuser=True)

    response = writer.post(tickets_url, {"assignee": {"type": "user", "id": user.pk}})

    assert response.json()["detail"] == "user is not a member of this project"


def test_a_key_that_an_assignee_does_not_have_is_named(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, agent: User
) -> None:
    assignee = {"type": "user", "id": agent.pk}
    ticket = make_ticket(assignee=assignee)

    for url, method in ((tickets_url, "POST"), (f"{tickets_url}/{ticket['id']}", "PATCH")):
        # Also beside what is stored already.
        response = writer.request(method, url, {"assignee": {**assignee, "name": "Ann"}})
        assert failure(response)[:3] == (400, "unknown_field", "assignee__name")


# --- How it is shown ---------------------------------------------------------


def test_an_agent_is_shown_with_their_address(make_ticket: MakeTicket, agent: User) -> None:
    assert make_ticket(assignee={"type": "user", "id": agent.pk})["assignee"] == {
        "id": agent.pk,
        "type": "user",
        "user": {"email": agent.email},
        "role": None,
    }


def test_a_role_is_shown_with_its_name(make_ticket: MakeTicket, role: Role) -> None:
    assert make_ticket(assignee={"type": "role", "id": str(role.pk).upper()})["assignee"] == {
        "id": str(role.pk),
        "type": "role",
        "user": None,
        "role": {"name": "Billing"},
    }


@pytest.mark.parametrize("body", [{}, {"assignee": None}])
def test_a_ticket_is_nobodys_at_first(make_ticket: MakeTicket, body: dict[str, Any]) -> None:
    assert make_ticket(**body)["assignee"] is None


def test_every_answer_shows_the_same_assignee(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, role: Role
) -> None:
    ticket = make_ticket(assignee={"type": "role", "id": str(role.pk)}, message="Hi")
    url = f"{tickets_url}/{ticket['id']}"

    answers = [
        writer.get(tickets_url).json()["results"][0],
        writer.get(url, mark_read="false").json(),
        writer.get(url).json(),
        writer.patch(url, {"priority": "low"}).json(),
        writer.post(f"{url}/mark_unread").json(),
    ]

    assert [answer["assignee"] for answer in answers] == [ticket["assignee"]] * 5


# --- How it changes ----------------------------------------------------------


def test_it_goes_from_agent_to_role_to_nobody(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, agent: User, role: Role
) -> None:
    url = f"{tickets_url}/{make_ticket(assignee={'type': 'user', 'id': agent.pk})['id']}"

    to_role = writer.patch(url, {"assignee": {"type": "role", "id": str(role.pk)}}).json()
    to_agent = writer.patch(url, {"assignee": {"type": "user", "id": agent.pk}}).json()
    to_nobody = writer.patch(url, {"assignee": None}).json()

    assert to_role["assignee"]["role"] == {"name": "Billing"}
    assert to_agent["assignee"]["user"] == {"email": agent.email}
    assert to_nobody["assignee"] is None
    assert to_role["updated_at"] < to_agent["updated_at"] < to_nobody["updated_at"]


def test_a_missing_key_changes_nothing(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, agent: User
) -> None:
    ticket = make_ticket(assignee={"type": "user", "id": agent.pk})

    for method in ("PATCH", "PUT"):
        answer = writer.request(method, f"{tickets_url}/{ticket['id']}", {}).json()
        assert answer == ticket


@pytest.mark.parametrize(
    "inside",
    [
        {"user": {"email": "other@example.com"}, "role": None},
        {"user": None, "role": {"name": "Other"}},
        {"user": 5},
        {"role": []},
    ],
    ids=str,
)
def test_user_and_role_inside_it_are_ignored(
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    agent: User,
    inside: dict[str, Any],
) -> None:
    ticket = make_ticket()
    body = {"assignee": {"type": "user", "id": agent.pk, **inside}}

    for _ in range(2):
        shown = writer.patch(f"{tickets_url}/{ticket['id']}", body).json()["assignee"]
        assert shown["user"] == {"email": agent.email}
        assert shown["role"] is None


@pytest.mark.parametrize("kind", ["user", "role"])
def test_what_is_stored_may_be_sent_back_and_changes_nothing(
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    agent: User,
    role: Role,
    kind: str,
) -> None:
    chosen = agent.pk if kind == "user" else str(role.pk)
    ticket = make_ticket(assignee={"type": kind, "id": chosen})

    assert writer.patch(f"{tickets_url}/{ticket['id']}", ticket).json() == ticket


# --- What becomes of it ------------------------------------------------------


def test_one_who_has_left_the_project_stays_and_may_be_sent_back_but_not_be_chosen(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, agent: User
) -> None:
    assignee = {"type": "user", "id": agent.pk}
    theirs, other = make_ticket(assignee=assignee), make_ticket()
    Membership.objects.filter(user=agent).delete()
    url = f"{tickets_url}/{theirs['id']}"

    assert writer.get(url).json() == theirs
    assert writer.patch(url, theirs).json() == theirs
    assert writer.patch(url, {"assignee": assignee, "priority": "low"}).status_code == 200
    refused = writer.patch(f"{tickets_url}/{other['id']}", {"assignee": assignee})
    assert refused.json()["detail"] == "user is not a member of this project"


def test_the_tickets_of_a_deleted_user_are_nobodys(
    reader: ApiClient, tickets_url: str, make_ticket: MakeTicket, agent: User
) -> None:
    ticket = make_ticket(assignee={"type": "user", "id": agent.pk}, message="Hi")

    agent.delete()

    answer = reader.get(f"{tickets_url}/{ticket['id']}", mark_read="false").json()
    assert answer == {**ticket, "assignee": None, "updated_at": answer["updated_at"]}
    assert answer["updated_at"] > ticket["updated_at"]


def test_the_tickets_of_a_deleted_role_are_nobodys(
    reader: ApiClient, tickets_url: str, make_ticket: MakeTicket, role: Role
) -> None:
    ticket = make_ticket(assignee={"type": "role", "id": str(role.pk)}, message="Hi")

    role.delete()

    answer = reader.get(f"{tickets_url}/{ticket['id']}", mark_read="false").json()
    assert answer == {**ticket, "assignee": None, "updated_at": answer["updated_at"]}
    assert answer["updated_at"] > ticket["updated_at"]
