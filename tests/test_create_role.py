"""The command that makes a role."""

import io
import json
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from projects.models import Membership, Project, Role, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket


def run(*arguments: Any) -> str:
    out = io.StringIO()
    call_command("create_role", *map(str, arguments), stdout=out)
    return out.getvalue()


@pytest.fixture
def agents(project: Project) -> list[User]:
    users = [User.objects.create_user(f"{uuid.uuid4().hex}@example.com") for _ in range(2)]
    for user in users:
        Membership.objects.create(project=project, user=user)
    return users


def test_a_role_is_made_with_its_members(
    project: Project, agents: list[User], client_for: ClientFor
) -> None:
    members = [f"--member={user.email.upper()}" for user in agents]

    answer = json.loads(run("Billing", "--project", project.pk, *members, "--json"))

    role = Role.objects.get(project=project)
    assert answer == {"id": str(role.pk), "name": "Billing"}
    roles = client_for(project, "project:read").get(f"/api/projects/{project.pk}/roles").json()
    assert roles["results"] == [{**answer, "members": [user.pk for user in agents]}]


def test_a_ticket_can_be_assigned_to_it(
    project: Project, writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    role = json.loads(run("Billing", "--project", project.pk, "--json"))

    response = writer.patch(
        f"{tickets_url}/{make_ticket()['id']}", {"assignee": {"type": "role", "id": role["id"]}}
    )

    assert response.json()["assignee"]["role"] == {"name": "Billing"}


def test_the_answer_in_words_names_the_role(project: Project) -> None:
    words = run("Billing", "--project", project.pk)

    role = Role.objects.get(project=project)
    assert words == f"Role {role.pk}, Billing\n"


def test_two_projects_may_have_roles_of_one_name(project: Project, neighbour: Project) -> None:
    run("Billing", "--project", project.pk)
    run("Billing", "--project", neighbour.pk)

    assert Role.objects.filter(project__in=[project, neighbour]).count() == 2


def test_an_agent_named_twice_is_a_member_once(project: Project, agents: list[User]) -> None:
    run("Billing", "--project", project.pk, *[f"--member={agents[0].email}"] * 2)

    assert list(Role.objects.get(project=project).members.all()) == [agents[0]]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("Billing", "--member=nobody@example.com"), "nobody@example.com is not an agent of"),
        (("Billing", "--member=nobody"), "email 'nobody' can not be"),
        (("Billing", "--member="), "email '' is blank"),
        (("Taken",), "has a role 'Taken' already"),
        ((" Taken ",), "has a role 'Taken' already"),
        (("",), "name '' is blank"),
        (("  ",), "name '' is blank"),
        (("x" * 201,), "at most 200 characters"),
        (("a\x00b",), "can not be stored"),
        (("a\udc80b",), "can not be stored"),
    ],
)
def test_a_role_that_can_not_be_is_refused(
    project: Project, arguments: tuple[str, ...], reason: str
) -> None:
    Role.objects.create(project=project, name="Taken")

    with pytest.raises(CommandError, match=reason):
        run(*arguments, "--project", project.pk)

    assert Role.objects.filter(project=project).count() == 1


def test_an_agent_of_another_project_is_refused(
    project: Project, neighbour: Project, agents: list[User]
) -> None:
    with pytest.raises(CommandError, match=f"is not an agent of project {neighbour.pk}"):
        run("Billing", "--project", neighbour.pk, "--member", agents[0].email)

    assert not Role.objects.filter(project=neighbour).exists()


@pytest.mark.parametrize(
    ("named", "reason"),
    [("987654321", "There is no project '987654321'"), ("Shop", "'Shop' is not an id")],
)
def test_a_project_that_is_not_there_is_refused(named: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason):
        run("Billing", "--project", named)
