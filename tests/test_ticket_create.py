"""POST …/tickets."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from conversations.models import Message, Ticket
from projects.models import Membership, Person, PersonDistinctId, Project, Role, User
from tests.api import ApiClient
from tests.conftest import MakeTicket, tickets_url_of
from tests.refusals import failures, refusal
from tests.threads import InBackground, wait_until_blocked

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_ticket_needs_nothing(writer: ApiClient, tickets_url: str) -> None:
    response = writer.post(tickets_url)

    assert response.status_code == 201
    ticket = response.json()
    assert {name: ticket[name] for name in ticket if name not in GIVEN_BY_THE_SERVICE} == DEFAULTS


GIVEN_BY_THE_SERVICE = ("id", "distinct_id", "created_at", "updated_at")
DEFAULTS: dict[str, Any] = {
    "ticket_number": 1,
    "channel_source": "api",
    "channel_detail": None,
    "identity_verified": None,
    "status": "new",
    "priority": None,
    "assignee": None,
    "anonymous_traits": {},
    "ai_resolved": False,
    "escalation_reason": None,
    "resolved_at": None,
    "message_count": 0,
    "last_message_at": None,
    "last_message_text": None,
    "unread_team_count": 0,
    "unread_customer_count": 0,
    "session_id": None,
    "session_context": {},
    "email_subject": None,
    "email_from": None,
    "sla_due_at": None,
    "snoozed_until": None,
    "tags": [],
    "person": None,
}


def test_an_empty_object_is_as_good_as_no_body(make_ticket: MakeTicket) -> None:
    assert make_ticket()["status"] == "new"


def test_ids_are_uuids_of_version_7_in_lower_case(make_ticket: MakeTicket) -> None:
    ticket = make_ticket()

    assert UUID(ticket["id"]).version == 7
    assert ticket["id"] == ticket["id"].lower()


def test_times_are_utc_with_microseconds_and_z(make_ticket: MakeTicket) -> None:
    ticket = make_ticket(sla_due_at="2030-05-01T12:00:00+02:00")

    assert TIME.fullmatch(ticket["created_at"])
    assert TIME.fullmatch(ticket["updated_at"])
    assert ticket["sla_due_at"] == "2030-05-01T10:00:00.000000Z"


def test_a_time_without_zone_is_utc(make_ticket: MakeTicket) -> None:
    assert make_ticket(sla_due_at="2030-05-01T12:00")["sla_due_at"] == "2030-05-01T12:00:00.000000Z"


def test_a_left_out_distinct_id_becomes_a_fresh_uuid(make_ticket: MakeTicket) -> None:
    one, other = make_ticket(), make_ticket()

    assert UUID(one["distinct_id"]) != UUID(other["distinct_id"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("distinct_id", "x" * 400),
        ("distinct_id", " keeps its spaces "),
        ("status", "on_hold"),
        ("priority", "critical"),
        ("ai_resolved", True),
        ("escalation_reason", "x" * 10_000),
        ("escalation_reason", " as written \n"),
        ("escalation_reason", ""),
        ("anonymous_traits", {"name": "Ann", "email": None, "nested": {"list": [1, 2.5, None]}}),
        ("anonymous_traits", {"x" * 200: "y"}),
        ("anonymous_traits", {str(number): number for number in range(50)}),
        # With names, quotes and braces exactly 16 KiB.
        ("anonymous_traits", {"a": "x" * (16 * 1024 - 8)}),
        ("session_id", "s" * 64),
        ("session_context", {"url": "https://shop.example/", "depth": [1]}),
        ("email_subject", "s" * 500),
        ("email_from", "ann@example.org"),
        ("tags", ["billing", "vip"]),
        ("tags", sorted(f"{number:03}{'x' * 197}" for number in range(100))),
    ],
)
def test_a_field_is_kept_as_it_was_given(
    writer: ApiClient, tickets_url: str, name: str, value: Any
) -> None:
    ticket = writer.post(tickets_url, {name: value}).json()

    assert ticket[name] == value
    assert writer.get(f"{tickets_url}/{ticket['id']}").json() == ticket


@pytest.mark.parametrize("status", ["new", "open", "pending", "on_hold", "resolved"])
def test_a_ticket_begins_in_any_status(make_ticket: MakeTicket, status: str) -> None:
    ticket = make_ticket(status=status)

    assert ticket["status"] == status
    assert (ticket["resolved_at"] is not None) == (status == "resolved")


@pytest.mark.parametrize("priority", ["low", "medium", "high", "critical", None])
def test_a_ticket_has_any_priority_or_none(make_ticket: MakeTicket, priority: str | None) -> None:
    assert make_ticket(priority=priority)["priority"] == priority


@pytest.mark.parametrize(
    ("name", "value", "code", "attr"),
    [
        ("distinct_id", "x" * 401, "max_length", "distinct_id"),
        ("distinct_id", "", "blank", "distinct_id"),
        ("distinct_id", None, "null", "distinct_id"),
        ("distinct_id", 5, "invalid_input", "distinct_id"),
        ("status", "opne", "invalid_choice", "status"),
        ("status", None, "null", "status"),
        ("status", ["open"], "invalid_choice", "status"),
        ("status", "", "invalid_choice", "status"),
        ("priority", "urgent", "invalid_choice", "priority"),
        ("priority", "none", "invalid_choice", "priority"),
        ("ai_resolved", "true", "invalid_input", "ai_resolved"),
        ("ai_resolved", 1, "invalid_input", "ai_resolved"),
        ("ai_resolved", None, "null", "ai_resolved"),
        ("escalation_reason", "x" * 10_001, "max_length", "escalation_reason"),
        ("escalation_reason", True, "invalid_input", "escalation_reason"),
        ("anonymous_traits", None, "null", "anonymous_traits"),
        ("anonymous_traits", [], "not_an_object", "anonymous_traits"),
        ("anonymous_traits", "Ann", "not_an_object", "anonymous_traits"),
        ("anonymous_traits", {"name": 5}, "invalid_input", "anonymous_traits__name"),
        ("anonymous_traits", {"email": ["a"]}, "invalid_input", "anonymous_traits__email"),
        ("anonymous_traits", {"x" * 201: 1}, "max_length", "anonymous_traits"),
        ("anonymous_traits", {str(n): n for n in range(51)}, "max_length", "anonymous_traits"),
        ("anonymous_traits", {"a": "x" * (16 * 1024 - 7)}, "max_length", "anonymous_traits"),
        ("session_id", "s" * 65, "max_length", "session_id"),
        ("session_context", None, "null", "session_context"),
        ("session_context", "a=1", "not_an_object", "session_context"),
        ("email_subject", "s" * 501, "max_length", "email_subject"),
        ("email_from", "nobody", "invalid_input", "email_from"),
        ("email_from", f"{'a' * 320}@example.org", "max_length", "email_from"),
        ("sla_due_at", "tomorrow", "invalid_input", "sla_due_at"),
        ("sla_due_at", 1_900_000_000, "invalid_input", "sla_due_at"),
        ("sla_due_at", "9999-12-31T23:59:59-14:00", "overflow", "sla_due_at"),
        ("snoozed_until", "2020-01-01T00:00:00Z", "invalid_input", "snoozed_until"),
        ("tags", "billing", "not_a_list", "tags"),
        ("tags", None, "null", "tags"),
        ("tags", [5], "invalid_input", "tags__0"),
        ("tags", ["ok", " "], "blank", "tags__1"),
        ("tags", ["x" * 201], "max_length", "tags__0"),
        ("tags", [str(number) for number in range(101)], "max_length", "tags"),
        ("message", "", "blank", "message"),
        ("message", " \n\t", "blank", "message"),
        ("message", None, "null", "message"),
        ("message", "x" * 10_001, "max_length", "message"),
        ("message", {"text": "Hi"}, "invalid_input", "message"),
        ("colour", "blue", "unknown_field", "colour"),
        ("widget_session_id", "secret", "unknown_field", "widget_session_id"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(
    writer: ApiClient,
    project: Project,
    tickets_url: str,
    name: str,
    value: Any,
    code: str,
    attr: str,
) -> None:
    response = writer.post(tickets_url, {name: value})

    assert refusal(response) == (400, code, attr)
    assert response.json()["type"] == "validation_error"
    assert not Ticket.objects.in_project(project.pk).exists()


def test_all_failures_are_listed_and_the_first_is_repeated(
    writer: ApiClient, tickets_url: str
) -> None:
    response = writer.post(tickets_url, {"status": "opne", "tags": 5, "colour": "blue"})

    assert failures(response) == {
        ("invalid_choice", "status"),
        ("not_a_list", "tags"),
        ("unknown_field", "colour"),
    }
    body = response.json()
    assert body["errors"][0] == {name: body[name] for name in ("code", "detail", "attr")}


def test_a_ticket_of_a_project_that_is_just_being_deleted_is_refused(
    writer: ApiClient, tickets_url: str, project: Project
) -> None:
    # The key is known, and forgotten only when the project is gone.
    assert writer.post(tickets_url, {}).status_code == 201
    with transaction.atomic():
        Project.objects.get(pk=project.pk).delete()
        posting = InBackground(writer.post, tickets_url, {"message": "Hi"})
        wait_until_blocked()
    with posting:
        response = posting.result()

    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


def test_what_only_the_service_sets_is_ignored(make_ticket: MakeTicket) -> None:
    ticket = make_ticket(
        id="0", ticket_number=9, channel_source="email", unread_team_count=5, message_count=-1
    )

    assert ticket["ticket_number"] == 1
    assert ticket["channel_source"] == "api"
    assert (ticket["unread_team_count"], ticket["message_count"]) == (0, 0)


def test_tags_are_trimmed_lowered_deduplicated_and_sorted(make_ticket: MakeTicket) -> None:
    assert make_ticket(tags=["VIP ", "billing", " vip"])["tags"] == ["billing", "vip"]


def test_a_hundred_different_tags_may_be_named_twice(make_ticket: MakeTicket) -> None:
    tags = [f"{number:03}" for number in range(100)]

    assert make_ticket(tags=tags * 2)["tags"] == tags


def test_a_tag_that_grows_when_lowered_is_measured_as_it_is_kept(
    writer: ApiClient, tickets_url: str
) -> None:
    # The lower case of this letter has two characters.
    response = writer.post(
        tickets_url, {"tags": ["\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" * 101]}
    )

    assert refusal(response) == (400, "max_length", "tags__0")


def test_snoozing_a_new_ticket_puts_it_on_hold(make_ticket: MakeTicket) -> None:
    until = in_an_hour()

    ticket = make_ticket(snoozed_until=until)

    assert (ticket["status"], ticket["snoozed_until"]) == ("on_hold", until)


def test_a_named_status_wins_over_the_one_that_snoozing_brings(make_ticket: MakeTicket) -> None:
    assert make_ticket(snoozed_until=in_an_hour(), status="pending")["status"] == "pending"


# --- The first message ---


def test_a_first_message_is_the_customers_and_unread(make_ticket: MakeTicket) -> None:
    ticket = make_ticket(message="  Where is my order?  ")

    assert (ticket["message_count"], ticket["unread_team_count"]) == (1, 1)
    assert ticket["unread_customer_count"] == 0
    assert ticket["last_message_text"] == "Where is my order?"
    assert ticket["last_message_at"] == ticket["created_at"]
    message = Message.objects.get(ticket=ticket["id"])
    assert (message.author_type, message.content) == ("customer", "Where is my order?")


def test_a_first_message_may_have_ten_thousand_characters_besides_white_space(
    writer: ApiClient, tickets_url: str
) -> None:
    ticket = writer.post(tickets_url, {"message": " " + "x" * 10_000 + "\n"}).json()

    (message,) = writer.get(f"{tickets_url}/{ticket['id']}/messages").json()["results"]
    assert message["content"] == "x" * 10_000
    assert ticket["last_message_text"] == "x" * 500


def test_a_ticket_with_a_message_raises_the_unread_count(
    make_ticket: MakeTicket, reader: ApiClient, unread_count_url: str
) -> None:
    assert reader.get(unread_count_url).json() == {"count": 0}

    make_ticket(message="Hi")

    assert reader.get(unread_count_url).json() == {"count": 1}


# --- Who and where ---


def test_the_location_is_the_tickets_address(
    writer: ApiClient, project: Project, tickets_url: str
) -> None:
    response = writer.post(f"/api/projects/{project.pk}/conversations/tickets/")

    location = response.headers["Location"]
    assert location == f"http://testserver{tickets_url}/{response.json()['id']}"
    assert writer.get(location.removeprefix("http://testserver")).json() == response.json()


def test_a_ticket_shows_the_person_behind_its_distinct_id(
    make_ticket: MakeTicket, project: Project
) -> None:
    person = Person.objects.create(project=project, properties={"name": "Ann"})
    PersonDistinctId.objects.create(project=project, person=person, distinct_id="ann-1")

    shown = make_ticket(distinct_id="ann-1")["person"]

    assert TIME.fullmatch(shown.pop("created_at"))
    assert shown == {
        "id": str(person.pk),
        "name": "Ann",
        "distinct_ids": ["ann-1"],
        "properties": {"name": "Ann"},
        "is_identified": False,
    }


def test_a_person_of_another_project_is_not_shown(
    make_ticket: MakeTicket, neighbour: Project
) -> None:
    person = Person.objects.create(project=neighbour, properties={"email": "ann@example.org"})
    PersonDistinctId.objects.create(project=neighbour, person=person, distinct_id="ann-1")

    assert make_ticket(distinct_id="ann-1", email_from="ann@example.org")["person"] is None


def test_an_address_finds_the_person_whom_the_distinct_id_does_not(
    make_ticket: MakeTicket, project: Project
) -> None:
    person = Person.objects.create(project=project, properties={"email": "Ann@Example.org"})

    assert make_ticket(email_from="aNN@example.org")["person"]["id"] == str(person.pk)


def test_a_ticket_is_assigned_to_a_member(make_ticket: MakeTicket, project: Project) -> None:
    user = User.objects.create_user(f"agent-{project.pk}@example.org")
    Membership.objects.create(project=project, user=user)

    assert make_ticket(assignee={"type": "user", "id": user.pk})["assignee"] == {
        "id": user.pk,
        "type": "user",
        "user": {"email": user.email},
        "role": None,
    }


def test_a_ticket_is_assigned_to_a_role(make_ticket: MakeTicket, project: Project) -> None:
    role = Role.objects.create(project=project, name="Billing")

    assert make_ticket(assignee={"type": "role", "id": str(role.pk)})["assignee"] == {
        "id": str(role.pk),
        "type": "role",
        "user": None,
        "role": {"name": "Billing"},
    }


def test_tickets_of_two_projects_are_numbered_apart(
    client_for: Any, project: Project, neighbour: Project
) -> None:
    numbers = [
        client_for(owner, "ticket:write").post(tickets_url_of(owner)).json()["ticket_number"]
        for owner in (project, neighbour, project)
    ]

    assert numbers == [1, 1, 2]
