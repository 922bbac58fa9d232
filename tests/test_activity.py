"""A ticket's activity: who changed it, when, from what to what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from conversations.events.actors import SYSTEM
from conversations.events.verbs import record
from conversations.jobs import wake_tickets
from conversations.models import Event, Ticket
from conversations.tickets.serializers import TicketSerializer
from conversations.tickets.verbs import update_ticket
from projects.models import ApiKey, Membership, Project, Role, User
from rest.json import timestamp
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.jobs import enqueue, run_jobs
from tests.refusals import refusal
from tests.threads import InBackground, at_once, wait_until_blocked


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket(distinct_id="u1")


@pytest.fixture
def url(tickets_url: str, ticket: Any) -> str:
    return f"{tickets_url}/{ticket['id']}"


@pytest.fixture
def agent(project: Project) -> User:
    user = User.objects.create_user(f"grace-{project.pk}@example.com", first_name="Grace")
    Membership.objects.create(project=project, user=user)
    return user


def activity(reader: ApiClient, url: str, **query: Any) -> list[Any]:
    response = reader.get(f"{url}/activity", **query)
    assert response.status_code == 200, response.content
    results: list[Any] = response.json()["results"]
    return results


def types(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]


# --- Every field -------------------------------------------------------------

LATER = "2999-01-01T09:00:00.000000Z"
# Two values for each field that can be written.
FIELDS: dict[str, tuple[Any, Any]] = {
    "status": ("open", "pending"),
    "priority": ("low", None),
    "anonymous_traits": ({"name": "Ada"}, {"name": "Ada", "plan": 1.5}),
    "ai_resolved": (True, False),
    "escalation_reason": ("angry", ""),
    "sla_due_at": (LATER, None),
    "snoozed_until": (LATER, "2999-01-02T09:00:00.000000Z"),
    "tags": (["a", "b"], []),
}
# Written in another form than it is shown; tested below.
OTHERS = {"assignee", "sla"}


def test_the_table_has_every_writable_field() -> None:
    fields = TicketSerializer().fields
    writable = {name for name, field in fields.items() if not field.read_only}

    assert writable == FIELDS.keys() | OTHERS


@pytest.mark.parametrize("field", FIELDS)
def test_it_says_who_changed_a_field_when_and_from_what_to_what(
    writer: ApiClient, project: Project, ticket: Any, url: str, field: str
) -> None:
    one, other = FIELDS[field]
    key = ApiKey.objects.get(project=project)
    writer.patch(url, {field: one})
    began = timestamp(datetime.now(UTC))

    shown = writer.patch(url, {field: other}).json()

    ended = timestamp(datetime.now(UTC))
    first, second = activity(writer, url)[1:]
    assert first["changes"][field] == [ticket[field], one]
    assert second["changes"] == {field: [one, other]}
    assert second["actor"] == {"type": "api_key", "id": key.pk, "name": "test"}
    assert began <= second["created_at"] <= ended
    assert second["object"] == shown
    assert (second["project_id"], second["ticket_id"]) == (project.pk, ticket["id"])
    assert second["ticket_number"] == ticket["ticket_number"]


def test_an_assignee_is_told_as_answers_show_it(
    writer: ApiClient, url: str, project: Project, agent: User
) -> None:
    role = Role.objects.create(project=project, name="Billing")
    steps = [{"type": "user", "id": agent.pk}, {"type": "role", "id": str(role.pk)}, None]

    shown = [writer.patch(url, {"assignee": step}).json()["assignee"] for step in steps]

    changes = [event["changes"]["assignee"] for event in activity(writer, url)[1:]]
    assert changes == [[None, shown[0]], [shown[0], shown[1]], [shown[1], None]]
    assert shown[0]["user"] == {"email": agent.email}


def test_a_deadline_by_sla_is_told_as_the_time_it_came_to(writer: ApiClient, url: str) -> None:
    shown = writer.patch(url, {"sla": {"amount": 1, "unit": "hour", "business_hours": None}}).json()

    assert activity(writer, url)[-1]["changes"] == {"sla_due_at": [None, shown["sla_due_at"]]}


def test_what_follows_from_a_change_is_told_with_it(writer: ApiClient, url: str) -> None:
    writer.patch(url, {"snoozed_until": LATER})
    resolved = writer.patch(url, {"status": "resolved"}).json()

    snoozed, closed = activity(writer, url)[1:]
    assert snoozed["changes"] == {"snoozed_until": [None, LATER], "status": ["new", "on_hold"]}
    assert closed["changes"] == {
        "status": ["on_hold", "resolved"],
        "resolved_at": [None, resolved["resolved_at"]],
    }


def test_several_fields_are_one_event(writer: ApiClient, url: str) -> None:
    writer.patch(url, {"priority": "low", "tags": ["a"]})

    (event,) = activity(writer, url)[1:]
    assert event["changes"] == {"priority": [None, "low"], "tags": [[], ["a"]]}


# --- Nothing happened --------------------------------------------------------

HARMLESS: dict[str, Any] = {
    "a change of nothing": lambda api, url, t: api.patch(url, {"status": "new"}),
    "the ticket sent back": lambda api, url, t: api.put(url, t),
    "an empty change": lambda api, url, t: api.patch(url, {}),
    "reading": lambda api, url, t: api.get(url),
    "looking": lambda api, url, t: api.get(url, mark_read="false"),
    "mark_unread": lambda api, url, t: api.post(f"{url}/mark_unread"),
    "a refused change": lambda api, url, t: api.patch(url, {"status": "nope"}),
    "a refused message": lambda api, url, t: api.post(f"{url}/messages", {"content": ""}),
    "its own status for many": lambda api, url, t: api.post(
        url.replace(t["id"], "bulk_update_status"), {"ids": [t["id"]], "status": "new"}
    ),
    "no tags for many": lambda api, url, t: api.post(
        url.replace(t["id"], "bulk_update_tags"),
        {"ids": [t["id"]], "action": "remove", "tags": ["a"]},
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_nothing_is_no_event(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, name: str
) -> None:
    ticket = make_ticket(message="Hi")
    url = f"{tickets_url}/{ticket['id']}"
    before = activity(writer, url)

    HARMLESS[name](writer, url, ticket)

    assert activity(writer, url) == before


def test_an_edit_to_the_same_text_is_no_event(writer: ApiClient, url: str) -> None:
    message = writer.post(f"{url}/messages", {"content": "Hi"}).json()

    writer.patch(f"{url}/messages/{message['id']}", {"content": " Hi "})

    assert types(activity(writer, url)) == ["ticket.created", "message.created"]


def test_a_change_that_is_rolled_back_is_no_event(
    writer: ApiClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record_and_fail(events: Any) -> None:
        record(events)
        raise ZeroDivisionError

    monkeypatch.setattr("conversations.events.verbs.record", record_and_fail)
    assert writer.patch(url, {"priority": "low"}).status_code == 500

    assert types(activity(writer, url)) == ["ticket.created"]
    assert writer.get(url).json()["priority"] is None


# --- Tickets and messages ----------------------------------------------------


def test_a_new_ticket_is_one_event_and_its_message_another(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi", priority="low")

    url = f"{tickets_url}/{ticket['id']}"
    created, posted = activity(writer, url)
    assert (created["type"], posted["type"]) == ("ticket.created", "message.created")
    assert created["object"] == ticket
    assert posted["object"] == writer.get(f"{url}/messages").json()["results"][0]
    assert created["changes"] == posted["changes"] == {}


@pytest.mark.parametrize("private", [True, False])
def test_a_message_is_an_event_from_its_creation_to_its_end(
    writer: ApiClient, url: str, private: bool
) -> None:
    body = {"content": "One", "is_private": private, "rich_content": {"a": 1}}
    message = writer.post(f"{url}/messages", body).json()
    message_url = f"{url}/messages/{message['id']}"
    edited = writer.patch(message_url, {"content": "Two", "rich_content": {"a": True}}).json()
    writer.delete(message_url)

    events = activity(writer, url)[1:]

    assert types(events) == ["message.created", "message.updated", "message.deleted"]
    assert [event["object"] for event in events] == [message, edited, edited]
    assert [event["changes"] for event in events] == [
        {},
        {"content": ["One", "Two"], "rich_content": [{"a": 1}, {"a": True}]},
        {},
    ]


def test_a_customers_message_that_reopens_is_followed_by_the_change(
    writer: ApiClient, url: str
) -> None:
    resolved = writer.patch(url, {"status": "resolved"}).json()

    writer.post(f"{url}/messages", {"content": "Still broken", "author_type": "customer"})

    posted, reopened = activity(writer, url)[2:]
    assert (posted["type"], reopened["type"]) == ("message.created", "ticket.updated")
    assert reopened["changes"] == {
        "status": ["resolved", "open"],
        "resolved_at": [resolved["resolved_at"], None],
    }
    assert reopened["object"] == writer.get(url, mark_read="false").json()


def test_a_customers_message_that_wakes_is_followed_by_the_change(
    writer: ApiClient, url: str
) -> None:
    writer.patch(url, {"snoozed_until": LATER})

    writer.post(f"{url}/messages", {"content": "Hello?", "author_type": "customer"})

    events = activity(writer, url)[2:]
    assert types(events) == ["message.created", "ticket.updated"]
    assert events[1]["changes"] == {"status": ["on_hold", "open"], "snoozed_until": [LATER, None]}


def test_a_message_alone_is_no_change_of_the_ticket(writer: ApiClient, url: str) -> None:
    writer.post(f"{url}/reply", {"message": "Hi"})

    assert types(activity(writer, url)) == ["ticket.created", "message.created"]


def test_the_object_shows_the_person(
    writer: ApiClient, project: Project, client_for: ClientFor, url: str
) -> None:
    persons = f"/api/projects/{project.pk}/persons"
    person = client_for(project, "person:write").post(
        persons, {"distinct_ids": ["u1"], "properties": {"plan": "pro"}}
    )

    writer.patch(url, {"priority": "low"})

    assert activity(writer, url)[-1]["object"]["person"] == person.json()


# --- By whom -----------------------------------------------------------------


def test_a_signed_in_agent_is_named(reader: ApiClient, url: str, agent: User) -> None:
    browser = Client()
    browser.force_login(agent)

    browser.patch(url, {"priority": "low"}, content_type="application/json")

    actor = activity(reader, url)[-1]["actor"]
    assert actor == {"type": "user", "id": agent.pk, "name": "Grace"}


def test_a_name_stays_as_it_was_then(writer: ApiClient, project: Project, url: str) -> None:
    key = ApiKey.objects.get(project=project)
    key.label = "renamed"
    key.save()

    writer.patch(url, {"priority": "low"})

    names = [event["actor"]["name"] for event in activity(writer, url)]
    assert names == ["test", "renamed"]


def test_a_snooze_that_ends_is_the_systems_doing(
    writer: ApiClient, url: str, ticket: Any, project: Project, agent: User
) -> None:
    assignee = {"type": "user", "id": agent.pk}
    writer.patch(url, {"snoozed_until": LATER, "assignee": assignee})
    past = timezone.now() - timedelta(hours=1)
    Ticket.objects.filter(pk=ticket["id"]).update(snoozed_until=past)

    enqueue(wake_tickets)
    run_jobs()

    woken = activity(writer, url)[-1]
    assert woken["type"] == "ticket.updated"
    assert woken["actor"] == {"type": "system", "id": None, "name": None}
    assert woken["changes"] == {
        "status": ["on_hold", "open"],
        "snoozed_until": [timestamp(past), None],
    }
    assert woken["object"] == writer.get(url, mark_read="false").json()


def test_a_resolved_ticket_that_wakes_keeps_its_status(
    writer: ApiClient, url: str, ticket: Any
) -> None:
    writer.patch(url, {"snoozed_until": LATER, "status": "resolved"})
    Ticket.objects.filter(pk=ticket["id"]).update(snoozed_until=timezone.now())

    enqueue(wake_tickets)
    run_jobs()

    assert activity(writer, url)[-1]["changes"].keys() == {"snoozed_until"}


@pytest.mark.parametrize("kind", ["user", "role"])
def test_a_ticket_whose_assignee_is_deleted_is_the_systems_doing(
    writer: ApiClient, url: str, project: Project, agent: User, kind: str
) -> None:
    role = Role.objects.create(project=project, name="Billing")
    assignee: Any = {"user": agent, "role": role}[kind]
    assigned = writer.patch(url, {"assignee": {"type": kind, "id": _id(assignee)}}).json()

    assignee.delete()

    event = activity(writer, url)[-1]
    assert event["changes"] == {"assignee": [assigned["assignee"], None]}
    assert event["actor"]["type"] == "system"
    assert event["object"] == writer.get(url).json()


def _id(row: User | Role) -> Any:
    return row.pk if isinstance(row, User) else str(row.pk)


def test_a_macro_is_told_as_what_it_does(writer: ApiClient, project: Project, url: str) -> None:
    macros = f"/api/projects/{project.pk}/conversations/macros"
    body = {"name": "Close", "content": "Bye", "actions": {"status": "resolved", "tags": ["a"]}}
    macro = writer.post(macros, body).json()

    answer = writer.post(f"{url}/apply_macro", {"macro": macro["short_id"]}).json()

    posted, changed = activity(writer, url)[1:]
    assert (posted["type"], posted["object"]["content"]) == ("message.created", "Bye")
    assert changed["changes"].keys() == {"status", "resolved_at", "tags"}
    assert changed["object"] == answer
    assert posted["actor"] == changed["actor"]


# --- The list ----------------------------------------------------------------


def test_it_is_a_list_with_links(writer: ApiClient, url: str) -> None:
    for number in range(5):
        writer.patch(url, {"escalation_reason": str(number)})
    everything = activity(writer, url)

    first = writer.get(f"{url}/activity", limit=2).json()
    second = writer.get(first["next"].removeprefix("http://testserver")).json()
    back = writer.get(second["previous"].removeprefix("http://testserver")).json()
    jumped = writer.get(f"{url}/activity", limit=2, offset=4).json()

    assert len(everything) == first["count"] == 6
    assert first["results"] + second["results"] + jumped["results"] == everything
    assert back["results"] == first["results"]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"after": "x"}, {"cursor": "x"}])
def test_a_wrong_parameter_is_refused(reader: ApiClient, url: str, query: dict[str, str]) -> None:
    ((name, _),) = query.items()
    response = reader.get(f"{url}/activity", **query)

    assert (response.status_code, response.json()["attr"]) == (400, name)


def test_the_number_names_the_ticket_as_well(reader: ApiClient, url: str, tickets_url: str) -> None:
    assert activity(reader, f"{tickets_url}/1") == activity(reader, url)


def test_it_ends_with_the_ticket(writer: ApiClient, url: str) -> None:
    writer.delete(url)

    assert refusal(writer.get(f"{url}/activity")) == (404, "not_found", None)


def test_other_tickets_are_not_in_it(writer: ApiClient, url: str, make_ticket: MakeTicket) -> None:
    make_ticket(message="Hi")

    assert types(activity(writer, url)) == ["ticket.created"]


# --- At the same time --------------------------------------------------------


def test_changes_at_once_are_told_in_the_order_in_which_they_were_made(
    writer: ApiClient, url: str
) -> None:
    def change(number: int) -> None:
        response = ApiClient(**writer.headers).patch(url, {"escalation_reason": str(number)})
        assert response.status_code == 200

    at_once(*[lambda number=number: change(number) for number in range(12)])

    changes = [event["changes"]["escalation_reason"] for event in activity(writer, url)[1:]]
    assert [before for before, _ in changes] == [None, *[after for _, after in changes][:-1]]
    assert len(changes) == 12


def test_a_change_that_had_to_wait_follows_the_one_that_it_waited_for(
    writer: ApiClient, url: str, ticket: Any
) -> None:
    with transaction.atomic():
        row = Ticket.objects.select_for_update().get(pk=ticket["id"])
        waiting = InBackground(ApiClient(**writer.headers).patch, url, {"priority": "high"})
        wait_until_blocked()
        update_ticket(ticket=row, actor=SYSTEM, priority="low")
    with waiting:
        assert waiting.result().status_code == 200

    changes = [event["changes"]["priority"] for event in activity(writer, url)[1:]]
    assert changes == [[None, "low"], ["low", "high"]]
    rows = Event.objects.filter(ticket_id=ticket["id"])
    # The transactions are in the same order, for who reads the whole project.
    assert list(rows.order_by("xid")) == list(rows.order_by("position"))
