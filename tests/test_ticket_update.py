"""PATCH and PUT …/tickets/{id}."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django_redis import get_redis_connection

from conversations import unread
from conversations.events.actors import SYSTEM
from conversations.models import Assignee, Ticket
from conversations.tickets import verbs
from projects.models import Membership, Person, PersonDistinctId, Project, Role, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import failures, refusal
from tests.test_ticket_create import in_an_hour
from tests.threads import InBackground, Pause, wait_until_blocked


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket()


@pytest.fixture
def url(tickets_url: str, ticket: Any) -> str:
    return f"{tickets_url}/{ticket['id']}"


@pytest.fixture
def agent(project: Project) -> User:
    user = User.objects.create_user(f"agent-{project.pk}@example.org")
    Membership.objects.create(project=project, user=user)
    return user


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "pending"),
        ("priority", "high"),
        ("anonymous_traits", {"name": "Ann", "plan": ["a", {"b": 1}]}),
        ("ai_resolved", True),
        ("escalation_reason", "Wants a person."),
        ("sla_due_at", "2030-05-01T10:00:00.000000Z"),
        ("tags", ["billing"]),
    ],
)
def test_a_field_changes_alone(
    writer: ApiClient, ticket: Any, url: str, method: str, name: str, value: Any
) -> None:
    response = writer.request(method, url, {name: value})

    assert response.status_code == 200
    changed = response.json()
    assert changed == {**ticket, name: value, "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > ticket["updated_at"]
    assert writer.get(url).json() == changed


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("body", [None, {}])
def test_nothing_is_required(
    writer: ApiClient, ticket: Any, url: str, method: str, body: Any
) -> None:
    response = writer.request(method, url, body)

    assert (response.status_code, response.json()) == (200, ticket)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_sending_a_whole_answer_back_changes_nothing(
    writer: ApiClient, make_ticket: MakeTicket, agent: User, tickets_url: str, method: str
) -> None:
    make_ticket(
        message="Hi",
        status="resolved",
        priority="low",
        tags=["a", "b"],
        sla_due_at="2020-01-01T00:00:00Z",
        email_from="ann@example.org",
        session_context={"url": "x"},
        anonymous_traits={"n": 1e300, "big": 2**63 - 1, "float": 1e19, "list": [True, 1, 1.0]},
        assignee={"type": "user", "id": agent.pk},
    )

    ticket = writer.get(f"{tickets_url}/1", mark_read="false").json()

    response = writer.request(method, f"{tickets_url}/1", ticket)

    assert (response.status_code, response.json()) == (200, ticket)


def test_an_answer_is_taken_back_though_its_assignee_has_left(
    writer: ApiClient, make_ticket: MakeTicket, agent: User, tickets_url: str
) -> None:
    ticket = make_ticket(assignee={"type": "user", "id": agent.pk})
    Membership.objects.filter(user=agent).delete()

    response = writer.patch(f"{tickets_url}/1", ticket)

    assert (response.status_code, response.json()) == (200, ticket)


@pytest.mark.parametrize("spelling", ["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S.%f+00:00"])
def test_an_answer_is_taken_back_though_its_snooze_has_passed(
    writer: ApiClient, ticket: Any, url: str, spelling: str
) -> None:
    passed = datetime.now(UTC) - timedelta(minutes=1)
    Ticket.objects.filter(pk=ticket["id"]).update(snoozed_until=passed, status="on_hold")

    response = writer.patch(url, {"snoozed_until": passed.strftime(spelling), "status": "on_hold"})

    assert response.status_code == 200
    assert response.json()["updated_at"] == ticket["updated_at"]


@pytest.mark.parametrize("name", ["id", "ticket_number", "channel_source", "distinct_id"])
def test_read_only_fields_are_ignored(writer: ApiClient, ticket: Any, url: str, name: str) -> None:
    response = writer.patch(url, {name: "something else"})

    assert (response.status_code, response.json()) == (200, ticket)


def test_what_may_only_be_given_at_the_beginning_is_ignored_later(
    writer: ApiClient, ticket: Any, url: str
) -> None:
    body = {"session_id": "s", "session_context": {"a": 1}, "email_from": "x@example.org"}

    assert writer.patch(url, body).json() == ticket


def test_a_message_comes_by_its_own_endpoint(writer: ApiClient, url: str) -> None:
    response = writer.patch(url, {"message": "Hi"})

    assert refusal(response) == (400, "unknown_field", "message")


@pytest.mark.parametrize(
    ("name", "value", "code", "attr"),
    [
        ("status", "closed", "invalid_choice", "status"),
        ("status", None, "null", "status"),
        ("priority", "urgent", "invalid_choice", "priority"),
        ("anonymous_traits", {"email": 5}, "invalid_input", "anonymous_traits__email"),
        ("anonymous_traits", {str(n): n for n in range(51)}, "max_length", "anonymous_traits"),
        ("ai_resolved", 0, "invalid_input", "ai_resolved"),
        ("escalation_reason", "x" * 10_001, "max_length", "escalation_reason"),
        ("sla_due_at", "soon", "invalid_input", "sla_due_at"),
        ("snoozed_until", "2020-01-01T00:00:00Z", "invalid_input", "snoozed_until"),
        ("tags", ["x" * 201], "max_length", "tags__0"),
        ("tags", None, "null", "tags"),
        ("colour", "blue", "unknown_field", "colour"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_changes(
    writer: ApiClient, ticket: Any, url: str, name: str, value: Any, code: str, attr: str
) -> None:
    response = writer.patch(url, {"priority": "low", name: value})

    assert refusal(response) == (400, code, attr)
    assert writer.get(url).json() == ticket


def test_all_failures_of_a_change_are_listed(writer: ApiClient, url: str) -> None:
    response = writer.patch(url, {"status": "opne", "priority": 5, "colour": "blue"})

    assert failures(response) == {
        ("invalid_choice", "status"),
        ("invalid_choice", "priority"),
        ("unknown_field", "colour"),
    }


def test_true_and_one_are_different_traits(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(anonymous_traits={"vip": 1})

    changed = writer.patch(f"{tickets_url}/1", {"anonymous_traits": {"vip": True}}).json()

    assert changed["anonymous_traits"]["vip"] is True
    assert writer.get(f"{tickets_url}/1").json() == changed


def test_traits_are_replaced_as_a_whole(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(anonymous_traits={"name": "Ann", "plan": "a"})

    changed = writer.patch(f"{tickets_url}/1", {"anonymous_traits": {"plan": "b"}}).json()

    assert changed["anonymous_traits"] == {"plan": "b"}


def test_a_list_of_tags_replaces_all(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(tags=["old", "kept"])

    assert writer.patch(f"{tickets_url}/1", {"tags": ["Kept", "new"]}).json()["tags"] == [
        "kept",
        "new",
    ]


def test_the_same_tags_in_another_spelling_are_no_change(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(tags=["a", "b"])

    assert writer.patch(f"{tickets_url}/1", {"tags": [" B", "a"]}).json() == ticket


@pytest.mark.parametrize("name", ["priority", "escalation_reason", "sla_due_at", "snoozed_until"])
def test_null_clears(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, name: str
) -> None:
    until = in_an_hour()
    make_ticket(priority="low", escalation_reason="x", sla_due_at=until, snoozed_until=until)

    assert writer.patch(f"{tickets_url}/1", {name: None}).json()[name] is None


# --- Status ---


def test_resolving_sets_the_time_and_leaving_clears_it(
    writer: ApiClient, ticket: Any, url: str
) -> None:
    resolved = writer.patch(url, {"status": "resolved"}).json()
    assert resolved["resolved_at"] > ticket["created_at"]

    again = writer.patch(url, {"status": "resolved", "priority": "low"}).json()
    assert again["resolved_at"] == resolved["resolved_at"]

    assert writer.patch(url, {"status": "open"}).json()["resolved_at"] is None


def test_resolving_takes_a_ticket_out_of_the_unread_count_and_opening_puts_it_back(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, unread_count_url: str
) -> None:
    make_ticket(message="Hi")

    writer.patch(f"{tickets_url}/1", {"status": "resolved"})
    assert writer.get(unread_count_url).json() == {"count": 0}

    writer.patch(f"{tickets_url}/1", {"status": "open"})
    assert writer.get(unread_count_url).json() == {"count": 1}


def test_a_change_reads_nothing(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(message="Hi")

    changed = writer.patch(f"{tickets_url}/1", {"priority": "low"}).json()

    assert changed["unread_team_count"] == 1


def test_snoozing_puts_on_hold_and_waking_opens(writer: ApiClient, url: str) -> None:
    assert writer.patch(url, {"snoozed_until": in_an_hour()}).json()["status"] == "on_hold"
    assert writer.patch(url, {"snoozed_until": None}).json()["status"] == "open"


def test_a_named_status_wins_over_snoozing_also_when_it_is_the_stored_one(
    writer: ApiClient, url: str
) -> None:
    changed = writer.patch(url, {"snoozed_until": in_an_hour(), "status": "new"}).json()

    assert changed["status"] == "new"


def test_updated_at_moves_forward_though_another_clock_was_ahead(
    writer: ApiClient, ticket: Any, url: str
) -> None:
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    Ticket.objects.filter(pk=ticket["id"]).update(updated_at=ahead)

    changed = writer.patch(url, {"priority": "low"}).json()

    assert datetime.fromisoformat(changed["updated_at"]) > ahead


# --- The assignee ---


@pytest.mark.parametrize(
    ("assignee", "detail"),
    [
        (5, "must be an object"),
        ([], "must be an object"),
        ({"type": "user"}, "must have 'type' and 'id'"),
        ({"id": 1}, "must have 'type' and 'id'"),
        ({"type": "team", "id": 1}, "type must be 'user' or 'role'"),
        ({"type": ["user"], "id": 1}, "type must be 'user' or 'role'"),
        ({"type": "user", "id": "1"}, "user id must be an integer"),
        ({"type": "user", "id": True}, "user id must be an integer"),
        ({"type": "user", "id": 1.0}, "user id must be an integer"),
        ({"type": "role", "id": 1}, "role id must be a valid UUID"),
        ({"type": "role", "id": "x"}, "role id must be a valid UUID"),
        ({"type": "user", "id": 0}, "user is not a member of this project"),
        ({"type": "user", "id": 2**63 - 1}, "user is not a member of this project"),
        ({"type": "user", "id": -(2**63)}, "user is not a member of this project"),
        (
            {"type": "role", "id": "0192f0c1-2b3c-7d4e-8f50-617283940a1b"},
            "role does not belong to this project",
        ),
    ],
)
def test_a_wrong_assignee_is_explained(
    writer: ApiClient, ticket: Any, url: str, assignee: Any, detail: str
) -> None:
    response = writer.patch(url, {"assignee": assignee})

    assert refusal(response) == (400, "invalid_input", "assignee")
    assert response.json()["detail"] == detail
    assert writer.get(url).json() == ticket


def test_neither_an_agent_nor_a_role_of_another_project_is_taken(
    writer: ApiClient, url: str, neighbour: Project
) -> None:
    user = User.objects.create_user(f"agent-{neighbour.pk}@example.org")
    Membership.objects.create(project=neighbour, user=user)
    role = Role.objects.create(project=neighbour, name="Billing")

    for assignee in ({"type": "user", "id": user.pk}, {"type": "role", "id": str(role.pk)}):
        assert refusal(writer.patch(url, {"assignee": assignee}))[0] == 400


def test_an_assignee_is_replaced_and_removed(
    writer: ApiClient, url: str, agent: User, project: Project
) -> None:
    role = Role.objects.create(project=project, name="Billing")
    writer.patch(url, {"assignee": {"type": "user", "id": agent.pk}})

    to_role = writer.patch(url, {"assignee": {"type": "role", "id": str(role.pk).upper()}}).json()
    assert to_role["assignee"]["role"] == {"name": "Billing"}
    assert writer.patch(url, {"priority": "low"}).json()["assignee"] == to_role["assignee"]

    assert writer.patch(url, {"assignee": None}).json()["assignee"] is None


def test_user_and_role_inside_an_assignee_are_ignored(
    writer: ApiClient, url: str, agent: User
) -> None:
    assignee = {"type": "user", "id": agent.pk, "user": {"email": "x"}, "role": 5}

    shown = writer.patch(url, {"assignee": assignee}).json()["assignee"]

    assert (shown["user"], shown["role"]) == ({"email": agent.email}, None)


# --- The rest ---


def test_the_answer_shows_the_person(
    writer: ApiClient, make_ticket: MakeTicket, project: Project, tickets_url: str
) -> None:
    person = Person.objects.create(project=project, properties={"name": "Ann"})
    PersonDistinctId.objects.create(project=project, person=person, distinct_id="ann")
    make_ticket(distinct_id="ann")

    assert writer.patch(f"{tickets_url}/1", {"priority": "low"}).json()["person"]["name"] == "Ann"


def test_a_ticket_is_changed_by_its_number(
    writer: ApiClient, ticket: Any, tickets_url: str
) -> None:
    assert writer.patch(f"{tickets_url}/1", {"priority": "low"}).json()["id"] == ticket["id"]


def test_a_ticket_of_another_project_can_not_be_changed(
    client_for: ClientFor, neighbour: Project, writer: ApiClient, ticket: Any, url: str
) -> None:
    stranger = client_for(neighbour, "*")

    response = stranger.patch(
        f"/api/projects/@current/conversations/tickets/{ticket['id']}", {"priority": "low"}
    )

    assert refusal(response) == (404, "not_found", None)
    assert writer.get(url).json() == ticket


def test_a_role_that_is_deleted_meanwhile_is_refused(
    writer: ApiClient, ticket: Any, project: Project, tickets_url: str, monkeypatch: Any
) -> None:
    """The check has passed, and the role goes before the commit."""
    role = Role.objects.create(project=project, name="Short-lived")
    update = Pause(verbs.update_ticket)
    monkeypatch.setattr(verbs, "update_ticket", update)
    body = {"assignee": {"type": "role", "id": str(role.pk)}}
    with InBackground(writer.patch, f"{tickets_url}/{ticket['id']}", body) as patching:
        update.wait_until_reached()
        Role.objects.filter(pk=role.pk)._raw_delete("default")
        update.go.set()
        response = patching.result()

    assert refusal(response) == (400, "invalid_input", "assignee")


def test_a_change_that_waited_for_another_ones_assignment_shows_it(
    writer: ApiClient, ticket: Any, agent: User, tickets_url: str
) -> None:
    """A join in the query that locks would show the new assignee without a name."""
    with transaction.atomic():
        row = Ticket.objects.select_for_update().get(pk=ticket["id"])
        verbs.update_ticket(
            ticket=row, actor=SYSTEM, assignee=Assignee(user_id=agent.pk, email=agent.email)
        )
        url = f"{tickets_url}/{ticket['id']}"
        patching = InBackground(writer.patch, url, {"priority": "low"})
        wait_until_blocked()
    with patching:
        answer = patching.result().json()

    assert answer["assignee"]["user"] == {"email": agent.email}


def test_a_deleted_agents_tickets_move_forward(
    writer: ApiClient, ticket: Any, agent: User, url: str
) -> None:
    body = {"assignee": {"type": "user", "id": agent.pk}}
    assigned = writer.patch(url, body).json()

    agent.delete()

    now = writer.get(url).json()
    assert now["assignee"] is None
    assert now["updated_at"] > assigned["updated_at"]


def test_after_a_deadlock_a_change_is_tried_again(
    writer: ApiClient, ticket: Any, make_ticket: MakeTicket, url: str, monkeypatch: Any
) -> None:
    other, update = make_ticket(), verbs.update_ticket
    # Once: the second try may get the first lock again before the other transaction has woken up.
    to_lock = [other["id"]]

    def lock_the_other_too(**arguments: Any) -> Any:
        while to_lock:
            Ticket.objects.select_for_update().get(pk=to_lock.pop())
        return update(**arguments)

    def lock_the_other_way_round() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            # The request, which begins to wait later, is the one to find the deadlock.
            cursor.execute("SET LOCAL deadlock_timeout = '60s'")
            Ticket.objects.select_for_update().get(pk=other["id"])
            Ticket.objects.select_for_update().get(pk=ticket["id"])

    locking = Pause(lock_the_other_too, before=True)
    monkeypatch.setattr(verbs, "update_ticket", locking)
    with InBackground(writer.patch, url, {"priority": "low"}) as patching:
        locking.wait_until_reached()
        with InBackground(lock_the_other_way_round) as crossing:
            wait_until_blocked()
            locking.go.set()
            response = patching.result()
            crossing.result()

    assert (response.status_code, response.json()["priority"]) == (200, "low")


def test_a_change_of_nothing_forgets_the_unread_count(
    writer: ApiClient, ticket: Any, project: Project, url: str, unread_count_url: str
) -> None:
    """The change may have been made by a process that died before it could forget."""
    writer.get(unread_count_url)

    writer.patch(url, {"status": ticket["status"]})

    assert get_redis_connection("default").get(unread.cache_key(project.pk)) is None
