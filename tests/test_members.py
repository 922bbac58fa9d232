"""Agents and roles to choose from: who is listed, how, and for whom."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.models import Membership, Project, Role, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "project:read", "ticket:write")


@pytest.fixture
def members_url(project: Project) -> str:
    return f"/api/projects/{project.pk}/members"


@pytest.fixture
def roles_url(project: Project) -> str:
    return f"/api/projects/{project.pk}/roles"


def agent_of(project: Project, name: str, **fields: Any) -> User:
    """An agent whose address is of this test's project alone."""
    user = User.objects.create_user(f"{name}@project-{project.pk}.example.com", **fields)
    Membership.objects.create(project=project, user=user)
    return user


def test_members_are_listed_by_address(api: ApiClient, project: Project, members_url: str) -> None:
    grace = agent_of(project, "grace", first_name="Grace", last_name="Hopper")
    ada = agent_of(project, "ada")

    response = api.get(members_url)

    assert response.status_code == 200
    assert response.json() == {
        "count": 2,
        "next": None,
        "previous": None,
        "results": [
            {"id": ada.pk, "email": ada.email, "name": ada.email},
            {"id": grace.pk, "email": grace.email, "name": "Grace Hopper"},
        ],
    }


def test_roles_are_listed_by_name_with_the_ids_of_their_members(
    api: ApiClient, project: Project, roles_url: str
) -> None:
    agents = [agent_of(project, name) for name in ("ada", "grace")]
    support = Role.objects.create(project=project, name="Support")
    billing = Role.objects.create(project=project, name="Billing")
    support.members.set(reversed(agents))

    assert api.get(roles_url).json() == {
        "count": 2,
        "next": None,
        "previous": None,
        "results": [
            {"id": str(billing.pk), "name": "Billing", "members": []},
            {"id": str(support.pk), "name": "Support", "members": [user.pk for user in agents]},
        ],
    }


def test_whoever_is_listed_can_be_assigned(
    api: ApiClient,
    project: Project,
    members_url: str,
    roles_url: str,
    tickets_url: str,
    make_ticket: MakeTicket,
) -> None:
    agent_of(project, "ada")
    agent_of(project, "gone", is_active=False)
    Role.objects.create(project=project, name="Billing")
    ticket = make_ticket()
    named = [("user", row["id"]) for row in api.get(members_url).json()["results"]]
    named += [("role", row["id"]) for row in api.get(roles_url).json()["results"]]

    assert len(named) == 3
    for kind, id_ in named:
        changed = api.patch(
            f"{tickets_url}/{ticket['id']}", {"assignee": {"type": kind, "id": id_}}
        )
        assert changed.status_code == 200
        assert changed.json()["assignee"]["id"] == id_


def test_agents_and_roles_of_others_are_not_listed(
    api: ApiClient, neighbour: Project, members_url: str, roles_url: str
) -> None:
    stranger = agent_of(neighbour, "eve")
    Role.objects.create(project=neighbour, name="Theirs").members.add(stranger)

    assert api.get(members_url).json()["results"] == []
    assert api.get(roles_url).json()["results"] == []


def test_who_has_left_the_project_is_not_named(
    api: ApiClient, project: Project, neighbour: Project, members_url: str, roles_url: str
) -> None:
    ada = agent_of(project, "ada")
    Membership.objects.create(project=neighbour, user=ada)
    Role.objects.create(project=project, name="Billing").members.add(ada)

    ada.memberships.get(project=project).delete()

    assert api.get(members_url).json()["results"] == []
    assert [role["members"] for role in api.get(roles_url).json()["results"]] == [[]]


@pytest.mark.parametrize("what", ["members", "roles"])
def test_the_lists_can_be_walked_by_their_links(
    api: ApiClient, project: Project, what: str
) -> None:
    for name in ("a", "b", "c", "d", "e"):
        agent_of(project, name)
        Role.objects.create(project=project, name=name)
    key = "email" if what == "members" else "name"

    page, seen = api.get(f"/api/projects/{project.pk}/{what}", limit=2).json(), []
    while True:
        assert page["count"] == 5
        seen += [row[key] for row in page["results"]]
        if page["next"] is None:
            break
        page = api.get(page["next"].removeprefix("http://testserver")).json()

    assert [name[0] for name in seen] == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("what", ["members", "roles"])
def test_a_list_is_one_statement_however_long_it_is(
    api: ApiClient, project: Project, what: str
) -> None:
    for number in range(30):
        agent = agent_of(project, str(number))
        Role.objects.create(project=project, name=str(number)).members.add(agent)
    api.get(f"/api/projects/{project.pk}/{what}", limit=1)

    with CaptureQueriesContext(connection) as captured:
        assert len(api.get(f"/api/projects/{project.pk}/{what}").json()["results"]) == 30

    # The rows with their members and their count.
    assert len(captured) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": "0"}, "min_value"),
        ({"offset": "x"}, "invalid_input"),
        ({"cursor": "x"}, "invalid_input"),
        ({"search": "x"}, "unknown_parameter"),
    ],
)
@pytest.mark.parametrize("what", ["members", "roles"])
def test_a_bad_parameter_is_refused(
    api: ApiClient, project: Project, what: str, query: dict[str, str], code: str
) -> None:
    response = api.get(f"/api/projects/{project.pk}/{what}", **query)

    body = response.json()
    assert (response.status_code, body["code"], body["attr"]) == (400, code, next(iter(query)))
