"""GET …/tickets: what is in a list, the filters, and the orders. Walking it: test_pagination.py."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from conversations.models import ChannelSource, Status, Ticket
from projects.models import Membership, Person, PersonDistinctId, Project, Role, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import failures, refusal
from tests.test_ticket_create import in_an_hour


def numbers(response: Any) -> list[int]:
    """The ticket numbers of a list, in its order."""
    assert response.status_code == 200, response.content
    return [ticket["ticket_number"] for ticket in response.json()["results"]]


def test_a_project_without_tickets_has_an_empty_list(reader: ApiClient, tickets_url: str) -> None:
    response = reader.get(tickets_url)

    assert response.json() == {"count": 0, "next": None, "previous": None, "results": []}


def test_a_list_shows_whole_tickets(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi", tags=["vip"])

    body = reader.get(tickets_url).json()

    assert body == {"count": 1, "next": None, "previous": None, "results": [ticket]}


def test_a_list_marks_nothing_as_read(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, unread_count_url: str
) -> None:
    make_ticket(message="Hi")

    reader.get(tickets_url)

    assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_list_has_the_tickets_of_its_project_alone(
    client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket
) -> None:
    make_ticket()

    response = client_for(neighbour, "*").get("/api/projects/@current/conversations/tickets")

    assert response.json()["count"] == 0


def test_a_list_shows_persons_by_distinct_id_and_by_address(
    reader: ApiClient, make_ticket: MakeTicket, project: Project, tickets_url: str
) -> None:
    ann = Person.objects.create(project=project, properties={"email": "ANN@example.org"})
    bob = Person.objects.create(project=project, properties={"name": "Bob"})
    PersonDistinctId.objects.create(project=project, person=bob, distinct_id="bob")
    make_ticket(email_from="ann@example.org")
    # The distinct_id says more than the address.
    make_ticket(email_from="ann@example.org", distinct_id="bob")
    make_ticket()

    tickets = reader.get(tickets_url, order_by="ticket_number").json()["results"]

    shown = [ticket["person"] and ticket["person"]["id"] for ticket in tickets]
    assert shown == [str(ann.pk), str(bob.pk), None]


def test_a_list_shows_assignees(
    reader: ApiClient, make_ticket: MakeTicket, project: Project, tickets_url: str
) -> None:
    user = User.objects.create_user(f"agent-{project.pk}@example.org")
    Membership.objects.create(project=project, user=user)
    role = Role.objects.create(project=project, name="Billing")
    tickets = [
        make_ticket(assignee={"type": "user", "id": user.pk}),
        make_ticket(assignee={"type": "role", "id": str(role.pk)}),
        make_ticket(),
    ]

    assert reader.get(tickets_url, order_by="ticket_number").json()["results"] == tickets


# --- Filters ---


@pytest.fixture
def five(make_ticket: MakeTicket) -> None:
    make_ticket(status="new", priority="low", distinct_id="ann", message="Hi")
    make_ticket(status="open", priority="high", distinct_id="bob")
    make_ticket(status="pending", distinct_id="ann, the other", message="Hi")
    make_ticket(status="on_hold", priority="critical", distinct_id="ann")
    make_ticket(status="resolved", priority="medium", message="Hi")


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"status": "new"}, [1]),
        ({"status": "open,resolved"}, [2, 5]),
        ({"status": "open, resolved"}, [2, 5]),
        ({"status": "open,open"}, [2]),
        ({"status": "new,open,pending,on_hold,resolved"}, [1, 2, 3, 4, 5]),
        ({"priority": "low"}, [1]),
        ({"priority": "high,critical"}, [2, 4]),
        ({"priority": "none"}, [3]),
        ({"priority": "none,low"}, [1, 3]),
        ({"distinct_ids": "ann"}, [1, 4]),
        ({"distinct_ids": "ann,bob"}, [1, 2, 4]),
        ({"distinct_ids": "Ann"}, []),
        ({"distinct_ids": "nobody"}, []),
        ({"unread": "true"}, [1, 3, 5]),
        ({"unread": "false"}, [2, 4]),
        ({"channel_source": "api"}, [1, 2, 3, 4, 5]),
        ({"channel_source": "widget"}, []),
        ({"unread": "true", "status": "new,open,pending,on_hold"}, [1, 3]),
        ({"status": "new,on_hold", "distinct_ids": "ann", "priority": "critical"}, [4]),
        ({"status": "new", "priority": "high"}, []),
    ],
)
def test_a_filter_shows_what_it_says_and_counts_it(
    reader: ApiClient, tickets_url: str, query: dict[str, str], expected: list[int]
) -> None:
    response = reader.get(tickets_url, order_by="ticket_number", **query)

    assert numbers(response) == expected
    assert response.json()["count"] == len(expected)


@pytest.mark.usefixtures("five")
def test_tickets_are_listed_by_their_ids(reader: ApiClient, tickets_url: str) -> None:
    ids = [ticket["id"] for ticket in reader.get(tickets_url).json()["results"]]

    response = reader.get(tickets_url, ids=f"{ids[0].upper()},{ids[4]}", order_by="ticket_number")

    assert numbers(response) == [1, 5]


def test_ids_of_another_project_are_not_in_the_list(
    client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()

    response = client_for(neighbour, "ticket:read").get(
        "/api/projects/@current/conversations/tickets", ids=ticket["id"]
    )

    assert response.json()["count"] == 0


@pytest.mark.parametrize("channel", ChannelSource.values)
def test_a_channel_is_a_filter(
    reader: ApiClient, project: Project, tickets_url: str, channel: str
) -> None:
    for number, source in enumerate(ChannelSource.values, start=1):
        Ticket.objects.create(
            project=project, ticket_number=number, distinct_id="ann", channel_source=source
        )

    (ticket,) = reader.get(tickets_url, channel_source=channel).json()["results"]

    assert ticket["channel_source"] == channel


@pytest.mark.usefixtures("five")
def test_the_unread_tickets_add_up_to_the_unread_count(
    reader: ApiClient, tickets_url: str, unread_count_url: str
) -> None:
    tickets = reader.get(tickets_url, unread="true", status="new,open,pending,on_hold").json()

    total = sum(ticket["unread_team_count"] for ticket in tickets["results"])

    assert reader.get(unread_count_url).json() == {"count": total}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("status", "opne", "invalid_choice"),
        ("status", "open,opne", "invalid_choice"),
        ("status", "", "empty"),
        ("status", "open,", "empty"),
        ("status", "Open", "invalid_choice"),
        ("status", ",".join(["open"] * 101), "too_many"),
        ("priority", "urgent", "invalid_choice"),
        ("priority", "null", "invalid_choice"),
        ("channel_source", "fax", "invalid_choice"),
        ("channel_source", "api,email", "invalid_choice"),
        ("channel_source", "", "invalid_choice"),
        ("distinct_ids", "", "empty"),
        ("distinct_ids", "x" * 401, "max_length"),
        ("distinct_ids", ",".join(str(number) for number in range(101)), "too_many"),
        ("distinct_ids", "a\x00b", "null_characters_not_allowed"),
        ("ids", "1", "invalid_input"),
        ("ids", ",".join(["0192f0c1-2b3c-7d4e-8f50-617283940a1b"] * 101), "too_many"),
        ("unread", "yes", "invalid_choice"),
        ("unread", "True", "invalid_choice"),
        ("unread", "", "invalid_choice"),
        ("order_by", "status", "invalid_choice"),
        ("order_by", "--updated_at", "invalid_choice"),
        ("order_by", "updated_at,created_at", "invalid_choice"),
        ("order_by", "", "invalid_choice"),
        ("limit", "0", "min_value"),
        ("limit", "-1", "min_value"),
        ("limit", "ten", "invalid_input"),
        ("limit", "1.0", "invalid_input"),
        ("limit", "1_0", "invalid_input"),
        ("limit", "\N{ARABIC-INDIC DIGIT ONE}", "invalid_input"),
        ("limit", "", "invalid_input"),
        ("limit", "9" * 5000, "invalid_input"),
        ("offset", "-1", "min_value"),
        ("offset", "x", "invalid_input"),
        ("offset", str(2**63), "max_value"),
        ("offset", "9" * 5000, "invalid_input"),
        ("cursor", "", "blank"),
        ("cursor", "x" * 1001, "max_length"),
        ("state", "open", "unknown_parameter"),
        ("Status", "open", "unknown_parameter"),
        ("a\x00b", "1", "unknown_parameter"),
        ("", "1", "unknown_parameter"),
    ],
)
def test_a_parameter_that_means_nothing_is_named(
    reader: ApiClient, tickets_url: str, name: str, value: str, code: str
) -> None:
    response = reader.get(tickets_url, **{name: value})

    assert refusal(response) == (400, code, name)
    assert response.json()["type"] == "validation_error"


def test_all_wrong_parameters_are_listed(reader: ApiClient, tickets_url: str) -> None:
    response = reader.get(tickets_url, status="opne", limit="0", state="open")

    assert failures(response) == {
        ("invalid_choice", "status"),
        ("min_value", "limit"),
        ("unknown_parameter", "state"),
    }


def test_a_parameter_given_twice_is_refused(reader: ApiClient, tickets_url: str) -> None:
    response = reader.get(f"{tickets_url}?channel_source=api&channel_source=widget")

    assert refusal(response) == (400, "invalid_input", "channel_source")


def test_more_parameters_than_anybody_needs_are_refused(
    reader: ApiClient, tickets_url: str
) -> None:
    response = reader.get(tickets_url, **{f"p{number}": "1" for number in range(1001)})

    assert response.status_code == 400


# --- Orders ---


@pytest.fixture
def shuffled(writer: ApiClient, make_ticket: MakeTicket, tickets_url: str) -> None:
    """Four tickets of which each order makes another list."""
    soon, later = in_an_hour(), "2099-01-01T00:00:00Z"
    make_ticket(priority="high", sla_due_at=later, snoozed_until=soon)
    make_ticket(priority="low", sla_due_at=soon, snoozed_until=later)
    make_ticket(priority="critical")
    make_ticket(priority="medium", message="Hi")
    writer.post(f"{tickets_url}/2/reply", {"message": "Hello"})
    writer.patch(f"{tickets_url}/3", {"tags": ["touched"]})


@pytest.mark.usefixtures("shuffled")
@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        ("updated_at", [1, 4, 2, 3]),
        ("-updated_at", [3, 2, 4, 1]),
        ("created_at", [1, 2, 3, 4]),
        ("-created_at", [4, 3, 2, 1]),
        ("ticket_number", [1, 2, 3, 4]),
        ("-ticket_number", [4, 3, 2, 1]),
        ("sla_due_at", [2, 1, 3, 4]),
        ("-sla_due_at", [1, 2, 4, 3]),
        ("snoozed_until", [1, 2, 3, 4]),
        ("-snoozed_until", [2, 1, 4, 3]),
        ("last_message_at", [4, 2, 1, 3]),
        ("-last_message_at", [2, 4, 3, 1]),
        ("priority", [2, 4, 1, 3]),
        ("-priority", [3, 1, 4, 2]),
    ],
)
def test_a_list_is_sorted_with_nulls_last(
    reader: ApiClient, tickets_url: str, order_by: str, expected: list[int]
) -> None:
    assert numbers(reader.get(tickets_url, order_by=order_by)) == expected


@pytest.mark.usefixtures("shuffled")
def test_what_changed_last_comes_first_by_default(reader: ApiClient, tickets_url: str) -> None:
    assert numbers(reader.get(tickets_url)) == [3, 2, 4, 1]


def test_reading_and_marking_unread_do_not_move_a_ticket(
    reader: ApiClient, writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(message="Hi")
    make_ticket()

    reader.get(f"{tickets_url}/1")
    writer.post(f"{tickets_url}/1/mark_unread")

    assert numbers(reader.get(tickets_url)) == [2, 1]


def test_every_status_of_the_model_can_be_asked_for(reader: ApiClient, tickets_url: str) -> None:
    assert numbers(reader.get(tickets_url, status=",".join(Status.values))) == []


def test_a_row_of_the_list_is_what_retrieving_it_answers(
    reader: ApiClient, project: Project, tickets_url: str
) -> None:
    extremes = {
        "whole": 1,
        "float": 1.0,
        "most": 2**63 - 1,
        "least": -(2**63),
        "large": 1e300,
        "small": 5e-324,
        "deep": {"list": [None, True, "\N{GRINNING FACE}", "Zo\u00eb", "\u202e"]},
    }
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1899, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 1, tzinfo=UTC),
    ]
    person = Person.objects.create(project=project, properties=extremes, created_at=moments[0])
    PersonDistinctId.objects.create(project=project, person=person, distinct_id="\u00e4" * 400)
    ticket = Ticket.objects.create(
        project=project,
        ticket_number=2**31 - 1,
        channel_source=ChannelSource.EMAIL,
        channel_detail="detail",
        distinct_id="\u00e4" * 400,
        identity_verified=False,
        status=Status.RESOLVED,
        priority="critical",
        assignee_role=Role.objects.create(project=project, name="\u200b"),
        anonymous_traits=extremes,
        ai_resolved=True,
        escalation_reason="\n",
        tags=["a,b", '"', "\\", "null"],
        sla_due_at=moments[0],
        snoozed_until=moments[2],
        session_id="",
        session_context=extremes,
        email_subject="",
        email_from="Ann@Example.org",
        created_at=moments[0],
        updated_at=moments[1],
        resolved_at=moments[2],
        message_count=2**31 - 1,
        last_message_at=moments[1],
        last_message_text="\N{GRINNING FACE}" * 500,
        unread_customer_count=1,
    )

    alone = reader.get(f"{tickets_url}/{ticket.pk}", mark_read="false").content

    assert None not in json.loads(alone).values()
    assert alone in reader.get(tickets_url).content


def test_lists_that_are_asked_alike_are_each_projects_own(
    reader: ApiClient, client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket
) -> None:
    make_ticket(status="open")
    asked = "/api/projects/@current/conversations/tickets?status=open"

    counts = [
        client.get(asked).json()["count"] for client in (reader, client_for(neighbour, "*"), reader)
    ]

    assert counts == [1, 0, 1]


def test_lists_that_are_asked_in_turn_show_what_each_asks_for(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    for status in ("new", "open", "open"):
        make_ticket(status=status)
    oldest = {"order_by": "ticket_number"}

    for _ in range(2):
        assert numbers(reader.get(tickets_url, **oldest, limit=1)) == [1]
        assert numbers(reader.get(tickets_url, **oldest)) == [1, 2, 3]
        assert numbers(reader.get(tickets_url, **oldest, status="open")) == [2, 3]
        assert numbers(reader.get(tickets_url, **oldest, status="new")) == [1]
        assert numbers(reader.get(tickets_url, **oldest, offset=1)) == [2, 3]
        assert numbers(reader.get(tickets_url, order_by="-ticket_number")) == [3, 2, 1]


def test_a_list_that_was_asked_before_shows_what_came_since(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket()
    reader.get(tickets_url)
    make_ticket()

    page = reader.get(tickets_url).json()

    assert (page["count"], len(page["results"])) == (2, 2)


def test_a_deadline_passes_between_two_lists(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    due = timezone.now() + timedelta(seconds=0.5)
    make_ticket(sla_due_at=due.isoformat())
    before = numbers(reader.get(tickets_url, sla="breached"))

    while timezone.now() <= due:
        time.sleep(0.05)

    assert before == []
    assert numbers(reader.get(tickets_url, sla="breached")) == [1]


def test_me_is_whoever_asks(project: Project, make_ticket: MakeTicket, tickets_url: str) -> None:
    ada, bo = (User.objects.create_user(f"{name}-{project.pk}@example.org") for name in "ab")
    for agent in (ada, bo):
        Membership.objects.create(project=project, user=agent)
    make_ticket(assignee={"type": "user", "id": ada.pk})

    def mine(agent: User) -> list[int]:
        browser = Client()
        browser.force_login(agent)
        return numbers(browser.get(tickets_url, {"assignee": "me"}))

    assert (mine(ada), mine(bo)) == ([1], [])


def test_a_view_that_was_changed_is_another_list(
    client_for: ClientFor, project: Project, make_ticket: MakeTicket, tickets_url: str
) -> None:
    client = client_for(project, "*")
    for status in ("new", "open"):
        make_ticket(status=status)
    views_url = f"/api/projects/{project.pk}/conversations/views"
    view = client.post(views_url, {"name": "Mine", "filters": {"status": ["new"]}}).json()
    shown = [numbers(client.get(tickets_url, view=view["short_id"]))]

    client.patch(f"{views_url}/{view['short_id']}", {"filters": {"status": ["open"]}})
    shown.append(numbers(client.get(tickets_url, view=view["short_id"])))

    assert shown == [[1], [2]]
