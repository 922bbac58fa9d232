"""`load_demo_data`: made once, the same again on every later run, and true to the rules."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count
from django.test import Client
from django.utils import timezone

from conversations.events.models import EventType
from conversations.models import AuthorType, Macro, Message, SavedView, Status, Ticket
from projects.models import ApiKey, Person, Project, Role, User
from rest.json import timestamp
from tests.api import ApiClient
from tests.conftest import tickets_url_of

AGENT = "demo@example.com"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the secrets that is not the developer's own."""
    monkeypatch.setattr("config.embedded.state_dir", lambda: tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def fresh_database() -> None:
    """Without any project: this database has seen other tests."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE projects_project CASCADE")
    User.objects.filter(email=AGENT).delete()


def load() -> Any:
    out = io.StringIO()
    call_command("load_demo_data", "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def demo() -> Any:
    return load()


@pytest.fixture
def project(demo: Any) -> Project:
    return Project.objects.get(pk=demo["project_id"])


def works(answer: Any) -> bool:
    """Whether what was printed opens the demo project."""
    project = Project.objects.get(pk=answer["project_id"])
    response = ApiClient(answer["api_key"]).get(tickets_url_of(project))
    agent = Client()
    return (
        response.status_code == 200
        and response.json()["count"] > 0
        and agent.login(email=answer["agent_email"], password=answer["agent_password"])
        and agent.get(tickets_url_of(project)).status_code == 200
    )


def test_a_database_with_projects_is_left_alone() -> None:
    Project.objects.create(name="My real shop")

    assert load() == {}
    assert not User.objects.filter(email=AGENT).exists()
    assert Project.objects.count() == 1


# --- Running it again --------------------------------------------------------


def test_it_answers_with_what_opens_the_demo_project(demo: Any) -> None:
    assert list(demo) == ["project_id", "api_key", "agent_email", "agent_password"]
    assert demo["agent_email"] == AGENT
    assert works(demo)


def test_the_second_run_answers_the_same_and_adds_nothing(demo: Any, project: Project) -> None:
    before = project.tickets.count(), ApiKey.objects.count(), Project.objects.count()

    assert load() == demo
    assert (project.tickets.count(), ApiKey.objects.count(), Project.objects.count()) == before


def test_the_secrets_lie_in_a_file_for_its_owner_alone(demo: Any, folder: Path) -> None:
    (file,) = folder.iterdir()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == demo


def test_a_new_database_gets_new_secrets(demo: Any, project: Project) -> None:
    project.delete()
    User.objects.filter(email=AGENT).delete()

    again = load()

    assert again["api_key"] != demo["api_key"]
    assert works(again)


@pytest.mark.parametrize("content", [None, "", "[]", '{"api_key": 1}'])
def test_without_the_file_the_same_project_gets_new_secrets(
    demo: Any, folder: Path, content: str | None
) -> None:
    (file,) = folder.iterdir()
    file.unlink() if content is None else file.write_text(content)

    again = load()

    assert again["project_id"] == demo["project_id"]
    assert again["api_key"] != demo["api_key"]
    assert works(again)
    assert load() == again


def test_a_revoked_key_is_replaced(demo: Any) -> None:
    ApiKey.objects.get(project=demo["project_id"]).revoke()

    again = load()

    assert again == {**demo, "api_key": again["api_key"]}
    assert works(again)


def test_a_changed_password_is_replaced(demo: Any) -> None:
    agent = User.objects.get(email=AGENT)
    agent.set_password("something else")
    agent.save()

    again = load()

    assert again == {**demo, "agent_password": again["agent_password"]}
    assert works(again)


def test_a_renamed_project_is_still_the_demo_project(demo: Any, project: Project) -> None:
    project.name = "Our own"
    project.save(update_fields=["name"])

    assert load() == demo


def test_a_file_that_can_not_be_read_is_a_clear_refusal(folder: Path) -> None:
    (folder / "demo.json").mkdir()
    before = Project.objects.count()

    with pytest.raises(CommandError, match=r"demo\.json"):
        load()

    assert Project.objects.count() == before


def test_a_person_is_told_in_words(demo: Any) -> None:
    out = io.StringIO()
    call_command("load_demo_data", stdout=out)

    assert demo["api_key"] in out.getvalue()
    assert demo["agent_password"] in out.getvalue()


# --- What is in it -----------------------------------------------------------


def test_the_agent_may_use_the_admin_site(demo: Any) -> None:
    agent = User.objects.get(email=AGENT)

    assert agent.is_staff
    assert agent.is_superuser
    others = User.objects.filter(projects=demo["project_id"]).exclude(pk=agent.pk)
    assert len(others) == 2
    assert not any(other.has_usable_password() or other.is_staff for other in others)


def test_each_ticket_has_its_timeline_at_its_own_time(project: Project) -> None:
    for ticket in project.tickets.all():
        events = list(project.events.filter(ticket_id=ticket.pk).order_by("position"))
        moments = [event.created_at for event in events]

        assert events[0].type == EventType.TICKET_CREATED
        assert moments == sorted(moments)
        assert (moments[0], moments[-1]) == (ticket.created_at, ticket.updated_at)
        assert {message.created_at for message in ticket.messages.all()} <= set(moments)
        # An id never has a later time than its event.
        assert all(event.id.int >> 80 <= event.created_at.timestamp() * 1000 for event in events)
        # Nor does one know of a later time than its own.
        assert all(event.object["created_at"] <= timestamp(event.created_at) for event in events)
        told = [event.object.get("updated_at") or "" for event in events]
        assert max(told) == timestamp(ticket.updated_at)


def test_there_is_something_of_everything(project: Project) -> None:
    tickets = project.tickets.all()

    assert len(tickets) >= 30
    assert {ticket.status for ticket in tickets} == set(Status.values)
    assert {ticket.priority for ticket in tickets} == {None, "low", "medium", "high", "critical"}
    assert len({ticket.channel_source for ticket in tickets}) >= 4
    assert any(ticket.snoozed_until for ticket in tickets)
    assert any(ticket.assignee_user_id for ticket in tickets)
    assert any(ticket.assignee_role_id for ticket in tickets)
    assert any(ticket.anonymous_traits for ticket in tickets)
    due = [ticket.sla_due_at for ticket in tickets if ticket.sla_due_at]
    assert min(due) < timezone.now() < max(due)
    assert Message.objects.filter(project=project, is_private=True).exists()
    assert Role.objects.filter(project=project, members__isnull=False).exists()
    assert Macro.objects.filter(project=project).exists()
    persons = Person.objects.filter(project=project).annotate(ids=Count("distinct_id_rows"))
    assert len(persons) == 8
    assert sum(person.ids > 1 for person in persons) > 4  # type: ignore[attr-defined]  # (an annotation)


def test_each_view_finds_something(demo: Any, project: Project) -> None:
    agent = ApiClient()
    agent.client.force_login(User.objects.get(email=AGENT))
    views = SavedView.objects.filter(project=project)

    counts = [
        agent.get(tickets_url_of(project), view=view.short_id).json()["count"] for view in views
    ]

    assert len(counts) == 3
    assert all(counts)


def test_each_macro_can_be_applied(demo: Any, project: Project) -> None:
    client = ApiClient(demo["api_key"])
    for macro in Macro.objects.filter(project=project):
        url = f"{tickets_url_of(project)}/1/apply_macro"
        assert client.post(url, {"macro": macro.short_id}).status_code == 200


def test_some_tickets_are_unread_and_their_customers_known(demo: Any, project: Project) -> None:
    reader = ApiClient(demo["api_key"])

    count = reader.get(f"{tickets_url_of(project)}/unread_count").json()["count"]
    tickets = reader.get(tickets_url_of(project)).json()["results"]

    unresolved = [ticket for ticket in tickets if ticket["status"] != "resolved"]
    assert 0 < count == sum(ticket["unread_team_count"] for ticket in unresolved)
    assert any(ticket["unread_team_count"] == 0 for ticket in unresolved)
    assert {ticket["person"] is None for ticket in tickets} == {True, False}


def test_every_count_is_what_a_recount_gives(project: Project) -> None:
    for ticket in project.tickets.all():
        messages = list(ticket.messages.order_by("seq"))
        public = [message for message in messages if not message.is_private]
        unread = [message for message in public if message.seq > ticket.team_read_seq]
        assert ticket.last_seq == len(messages)
        assert ticket.message_count == len(public)
        assert ticket.last_message_at == public[-1].created_at
        assert ticket.last_message_text == public[-1].content
        assert ticket.unread_team_count == sum(
            message.author_type == AuthorType.CUSTOMER for message in unread
        )


def test_the_tickets_are_spread_over_weeks_in_order(project: Project) -> None:
    tickets = list(Ticket.objects.in_project(project.pk).order_by("ticket_number"))
    created = [ticket.created_at for ticket in tickets]

    assert created == sorted(created)
    assert (created[-1] - created[0]).days >= 28


def test_nothing_happened_before_its_time(project: Project) -> None:
    now = timezone.now()
    for ticket in project.tickets.all():
        said = [message.created_at for message in ticket.messages.order_by("seq")]
        assert said == sorted(set(said))
        assert ticket.created_at == said[0]
        assert said[-1] <= ticket.updated_at < now
        assert (ticket.resolved_at is not None) == ticket.is_resolved
        assert ticket.resolved_at is None or said[-1] <= ticket.resolved_at <= ticket.updated_at
