"""GET …/tickets: each filter with values that mean something, and with values that do not."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conversations.models import Ticket
from projects.models import Membership, Project, Role, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of


@pytest.fixture
def listed(reader: ApiClient, tickets_url: str) -> Any:
    """The numbers of the tickets that a filter lets through, which it also counts."""

    def find(**query: Any) -> list[int]:
        return numbers(reader.get(tickets_url, order_by="ticket_number", **query))

    return find


def numbers(response: Any) -> list[int]:
    assert response.status_code == 200, response.content
    page = response.json()
    assert page["count"] == len(page["results"])
    return [ticket["ticket_number"] for ticket in page["results"]]


UNKNOWN = "01990a3c-6f3e-7c52-9d1b-4b8f6f0f2a11"


# --- Every parameter ---

BAD_VALUES = [
    ("status", "", "empty"),
    ("status", "opne", "invalid_choice"),
    ("status", "Open", "invalid_choice"),
    ("status", "open,", "empty"),
    ("status", "open;new", "invalid_choice"),
    ("status", '["open"]', "invalid_choice"),
    ("status", "none", "invalid_choice"),
    ("priority", "", "empty"),
    ("priority", "urgent", "invalid_choice"),
    ("priority", "null", "invalid_choice"),
    ("priority", "low,,high", "empty"),
    ("channel_source", "", "invalid_choice"),
    ("channel_source", "phone", "invalid_choice"),
    ("channel_source", "widget,email", "invalid_choice"),
    ("channel_detail", "", "blank"),
    ("channel_detail", "x" * 65, "max_length"),
    ("channel_detail", "a\x00b", "null_characters_not_allowed"),
    ("assignee", "", "empty"),
    ("assignee", "nobody", "invalid_input"),
    ("assignee", "none", "invalid_input"),
    ("assignee", "user:", "invalid_input"),
    ("assignee", "user:ann", "invalid_input"),
    ("assignee", "user:-1", "invalid_input"),
    ("assignee", "user:1.0", "invalid_input"),
    ("assignee", "user:٣", "invalid_input"),
    ("assignee", "user: 1", "invalid_input"),
    ("assignee", f"user:{UNKNOWN}", "invalid_input"),
    ("assignee", "user:9223372036854775808", "too_large"),
    ("assignee", "user:" + "9" * 30, "invalid_input"),
    ("assignee", "role:1", "invalid_input"),
    ("assignee", f"role:{UNKNOWN[:-1]}", "invalid_input"),
    ("assignee", f"role:{UNKNOWN.replace('-', '')}", "invalid_input"),
    ("assignee", "unassigned,", "empty"),
    ("assignee", ",".join(f"user:{number}" for number in range(101)), "too_many"),
    ("assignee", "me", "not_signed_in"),
    ("assignee", "unassigned,me", "not_signed_in"),
    *[
        (name, value, code)
        for name in ("date_from", "date_to", "created_from", "created_to")
        for value, code in [
            ("", "blank"),
            ("yesterday", "unknown"),
            ("-7", "unknown"),
            ("-7D", "unknown"),
            ("d", "unknown"),
            ("all,all", "unknown"),
            ("None", "unknown"),
            ("1771418415", "unknown"),
            ("2026-1-5", "unknown"),
            ("2026-02-30", "unknown"),
            ("0000-01-01", "unknown"),
            ("10000-01-01", "unknown"),
            ("2026-02-18T25:00", "unknown"),
            ("2026-02-18T08:15:30 02:00", "unknown"),
            ("2026-02-18\x00", "null_characters_not_allowed"),
            ("-999999999d", "beyond"),
            ("-2026y", "beyond"),
            ("9999-12-31T23:30-08:00", "beyond"),
            ("-" + "9" * 40 + "d", "max_length"),
        ]
    ],
    ("date_to", "9999-12-31", "beyond"),
    ("distinct_ids", "", "empty"),
    ("distinct_ids", "ann,,bob", "empty"),
    ("distinct_ids", "x" * 401, "max_length"),
    ("distinct_ids", "a\x00b", "null_characters_not_allowed"),
    ("distinct_ids", ",".join(str(number) for number in range(101)), "too_many"),
    ("emails", "", "empty"),
    ("emails", "a@example.org,", "empty"),
    ("emails", "x" * 321, "max_length"),
    ("emails", "a\x00@example.org", "null_characters_not_allowed"),
    ("emails", ",".join(f"{number}@example.org" for number in range(101)), "too_many"),
    ("ids", "", "empty"),
    ("ids", "1", "invalid_input"),
    ("ids", UNKNOWN.replace("-", ""), "invalid_input"),
    ("ids", f"urn:uuid:{UNKNOWN}", "invalid_input"),
    ("ids", f"{{{UNKNOWN}}}", "invalid_input"),
    ("ids", f"{UNKNOWN},", "empty"),
    ("ids", ",".join([UNKNOWN] * 101), "too_many"),
    ("search", "", "blank"),
    ("search", "#", "no_word"),
    ("search", "x" * 201, "max_length"),
    ("sla", "", "invalid_choice"),
    ("sla", "at_risk", "invalid_choice"),
    ("sla", "breached,at-risk", "invalid_choice"),
    ("sla", "none", "invalid_choice"),
    *[
        (name, value, "invalid_choice")
        for name in ("snoozed", "unread")
        for value in ("", "1", "0", "yes", "True", "null", "true,false")
    ],
    *[
        (name, value, code)
        for name in ("tags", "tags_all", "tags_exclude")
        for value, code in [
            ("", "empty"),
            ("vip,", "empty"),
            ("x" * 201, "max_length"),
            ("a\x00b", "null_characters_not_allowed"),
            (",".join(str(number) for number in range(51)), "too_many"),
            ("[]", "empty"),
            ('[""]', "empty"),
            ('[" "]', "blank"),
            ("[1]", "not_an_array"),
            ('["vip", null]', "not_an_array"),
            ('[["vip"]]', "not_an_array"),
            ('["vip"', "not_an_array"),
            ("[vip]", "not_an_array"),
            ("[" * 10_000, "not_an_array"),
            ('["\\ud800"]', "surrogate_characters_not_allowed"),
            ('["a\\u0000b"]', "null_characters_not_allowed"),
            (f'["{"x" * 201}"]', "max_length"),
            (str(["x"] * 51).replace("'", '"'), "too_many"),
        ]
    ],
    ("order_by", "", "invalid_choice"),
    ("order_by", "status", "invalid_choice"),
    ("order_by", "--updated_at", "invalid_choice"),
    ("order_by", "updated_at,created_at", "invalid_choice"),
    ("stauts", "open", "unknown_parameter"),
    ("tag", "vip", "unknown_parameter"),
    ("status[]", "open", "unknown_parameter"),
]


@pytest.mark.parametrize(("name", "value", "code"), BAD_VALUES)
def test_a_value_that_means_nothing_is_refused_by_name(
    reader: ApiClient, tickets_url: str, name: str, value: str, code: str
) -> None:
    response = reader.get(tickets_url, **{name: value})

    assert response.status_code == 400, response.content
    body = response.json()
    assert (body["type"], body["code"], body["attr"]) == ("validation_error", code, name)


def test_all_wrong_parameters_are_listed(reader: ApiClient, tickets_url: str) -> None:
    response = reader.get(tickets_url, status="opne", tags="[1]", date_from="x", search="#", a="b")

    assert {error["attr"] for error in response.json()["errors"]} == {
        "status", "tags", "date_from", "search", "a",
    }  # fmt: skip


def test_filters_apply_to_the_list_alone(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket()

    response = reader.get(f"{tickets_url}/1", status="open")

    assert (response.status_code, response.json()["attr"]) == (400, "status")


# --- Channel ---


def test_the_channel_is_matched_exactly(
    make_ticket: MakeTicket, project: Project, listed: Any
) -> None:
    make_ticket()
    make_ticket()
    widget = Ticket.objects.filter(project=project, ticket_number=2)
    widget.update(channel_source="widget", channel_detail="widget_embedded")

    assert listed(channel_source="widget") == [2]
    assert listed(channel_source="api") == [1]
    assert listed(channel_detail="widget_embedded") == [2]
    assert listed(channel_detail="widget") == []


# --- Assignee ---


@pytest.fixture
def agents(project: Project) -> list[User]:
    made = [User.objects.create_user(f"{uuid4()}@example.org") for _ in range(2)]
    Membership.objects.bulk_create(Membership(project=project, user=user) for user in made)
    return made


@pytest.fixture
def role(project: Project) -> Role:
    return Role.objects.create(project=project, name="Billing")


@pytest.fixture
def assigned(make_ticket: MakeTicket, agents: list[User], role: Role) -> None:
    """Tickets 1 and 2 of an agent each, 3 of a role, 4 of nobody."""
    make_ticket(assignee={"type": "user", "id": agents[0].pk})
    make_ticket(assignee={"type": "user", "id": agents[1].pk})
    make_ticket(assignee={"type": "role", "id": str(role.pk)})
    make_ticket()


@pytest.mark.usefixtures("assigned")
def test_tickets_are_listed_by_who_has_them(agents: list[User], role: Role, listed: Any) -> None:
    first, second = agents

    assert listed(assignee="unassigned") == [4]
    assert listed(assignee=f"user:{first.pk}") == [1]
    assert listed(assignee=f"role:{str(role.pk).upper()}") == [3]
    assert listed(assignee=f"user:{first.pk}, user:{second.pk}") == [1, 2]
    assert listed(assignee=f"unassigned,role:{role.pk},user:{second.pk}") == [2, 3, 4]
    assert listed(assignee=f"role:{UNKNOWN}") == []
    assert listed(assignee="user:9223372036854775807") == []
    assert listed(assignee=",".join(["unassigned"] * 100)) == [4]


@pytest.mark.usefixtures("assigned")
def test_me_is_the_agent_who_is_signed_in(agents: list[User], tickets_url: str) -> None:
    agent = Client()
    agent.force_login(agents[1])

    mine = agent.get(tickets_url, {"assignee": "me", "order_by": "ticket_number"})
    mine_or_free = agent.get(
        tickets_url, {"assignee": "me,unassigned", "order_by": "ticket_number"}
    )

    assert numbers(mine) == [2]
    assert numbers(mine_or_free) == [2, 4]


def test_with_a_key_nobody_is_me(reader: ApiClient, tickets_url: str) -> None:
    response = reader.get(tickets_url, assignee="me")

    assert "API key" in response.json()["detail"]


# --- Periods ---

PERIODS = [("date_from", "date_to", "updated_at"), ("created_from", "created_to", "created_at")]


@pytest.fixture
def dated(make_ticket: MakeTicket, project: Project) -> Any:
    """Gives each ticket one of the moments, as the time when it was made or changed."""

    def make(column: str, *moments: datetime) -> None:
        for moment in moments:
            number = make_ticket()["ticket_number"]
            tickets = Ticket.objects.filter(project=project, ticket_number=number)
            tickets.update(**{column: moment})

    return make


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("since", "until", "column"), PERIODS)
def test_both_bounds_are_within_the_period(
    dated: Any, listed: Any, since: str, until: str, column: str
) -> None:
    dated(column, utc("2026-01-31 12:00"), utc("2026-01-31 12:00:00.000001"), utc("2026-02-01"))

    assert listed(**{since: "2026-01-31T12:00Z"}) == [1, 2, 3]
    assert listed(**{since: "2026-01-31T12:00:00.000001Z"}) == [2, 3]
    assert listed(**{until: "2026-01-31T12:00Z"}) == [1]
    assert listed(**{until: "2026-01-31"}) == [1, 2]
    assert listed(**{since: "2026-02-01"}) == [3]
    assert listed(**{since: "2026-02-01", until: "2026-02-01"}) == [3]
    assert listed(**{since: "2026-02-02", until: "2026-02-01"}) == []
    assert listed(**{since: "all", until: "all"}) == [1, 2, 3]
    assert listed(**{since: "0001-01-01", until: "9999-12-30"}) == [1, 2, 3]


@pytest.mark.parametrize(("since", "until", "column"), PERIODS)
def test_a_day_is_one_of_the_projects_time_zone(
    dated: Any, listed: Any, project: Project, since: str, until: str, column: str
) -> None:
    project.time_zone = "Europe/Berlin"
    project.save()
    # The 29th of March, on which the clocks go forward, has 23 hours.
    dated(
        column,
        utc("2026-03-28 22:59:59.999999"),
        utc("2026-03-28 23:00"),
        utc("2026-03-29 21:59:59.999999"),
        utc("2026-03-29 22:00"),
    )

    assert listed(**{since: "2026-03-29", until: "2026-03-29"}) == [2, 3]
    assert listed(**{until: "2026-03-28"}) == [1]
    assert listed(**{since: "2026-03-30"}) == [4]
    assert listed(**{since: "2026-03-30T00:00"}) == [4]
    assert listed(**{since: "2026-03-29T22:00Z"}) == [4]
    assert listed(**{since: "2026-03-29T23:59:59.999999+02:00"}) == [3, 4]


@pytest.mark.parametrize(("since", "until", "column"), PERIODS)
def test_a_bound_may_be_relative(
    dated: Any, listed: Any, since: str, until: str, column: str
) -> None:
    now = timezone.now()
    dated(column, *[now - timedelta(days=days, minutes=1) for days in (0, 6, 7, 400)])

    assert listed(**{since: "-1h"}) == [1]
    assert listed(**{since: "-30s"}) == []
    assert listed(**{since: "-5M"}) == [1]
    assert listed(**{since: "-7d"}) == [1, 2]
    assert listed(**{since: "-1w"}) == [1, 2]
    assert listed(**{since: "-1y", until: "-7d"}) == [3]
    assert listed(**{until: "-1mEnd"})[-1:] == [4]
    assert listed(**{until: "-1yEnd"}) == [4]
    assert listed(**{since: "-2yStart"}) == [1, 2, 3, 4]


# --- Addresses ---


def test_an_address_is_that_of_the_mail_or_of_the_traits_in_any_case(
    make_ticket: MakeTicket, listed: Any
) -> None:
    make_ticket(email_from="Ann@Example.org")
    make_ticket(anonymous_traits={"email": "ANN@example.org"})
    make_ticket(anonymous_traits={"email": "bob@example.org"}, email_from="ann@example.org")
    make_ticket(anonymous_traits={"email": None, "Email": "ann@example.org"})
    make_ticket(anonymous_traits={"email": "Ünal@example.org"})

    assert listed(emails="ann@example.org") == [1, 2, 3]
    assert listed(emails="aNN@EXAMPLE.org") == [1, 2, 3]
    assert listed(emails="bob@example.org, nobody@example.org") == [3]
    assert listed(emails="ünal@example.org") == [5]
    assert listed(emails="ann") == []
    assert listed(emails="%@example.org") == []


# --- Deadlines, snoozing, reading ---


def test_a_deadline_is_over_soon_or_later(
    make_ticket: MakeTicket, project: Project, listed: Any
) -> None:
    now = timezone.now()
    for minutes in (-1, 1, 59, 61):
        make_ticket(sla_due_at=(now + timedelta(minutes=minutes)).isoformat())
    make_ticket()
    make_ticket(sla_due_at=(now - timedelta(days=1)).isoformat(), status="resolved")

    # A deadline that was missed stays so when the ticket is resolved.
    assert listed(sla="breached") == [1, 6]
    assert listed(sla="at-risk") == [2, 3]
    assert listed(sla="on-track") == [4]
    assert listed(sla="breached", status="new,open,pending,on_hold") == [1]


def test_snoozed_tickets_are_those_that_have_a_time_to_wake_up(
    make_ticket: MakeTicket, listed: Any
) -> None:
    make_ticket(snoozed_until=(timezone.now() + timedelta(days=1)).isoformat())
    make_ticket()

    assert (listed(snoozed="true"), listed(snoozed="false")) == ([1], [2])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"status": "new"}, [1]),
        ({"status": "new,open"}, [1, 2]),
        ({"status": "resolved"}, [3]),
        ({"status": "pending"}, []),
        ({"status": "open", "unread": "true"}, []),
    ],
    ids=str,
)
def test_those_that_are_not_snoozed_are_counted_by_status(
    listed: Any, make_ticket: MakeTicket, query: dict[str, str], expected: list[int]
) -> None:
    for status in ("new", "open", "resolved"):
        make_ticket(status=status)
    tomorrow = (timezone.now() + timedelta(days=1)).isoformat()
    for status in ("new", "open", "pending"):
        make_ticket(status=status, snoozed_until=tomorrow)

    assert listed(snoozed="false", **query) == expected


def test_the_unread_count_is_the_sum_over_unread_unresolved_tickets(
    writer: ApiClient,
    reader: ApiClient,
    make_ticket: MakeTicket,
    tickets_url: str,
    unread_count_url: str,
) -> None:
    for status in ("new", "open", "pending", "on_hold", "resolved"):
        make_ticket(status=status, message="Hi")
    writer.post(f"{tickets_url}/2/messages", {"content": "Hi", "author_type": "customer"})
    make_ticket()
    make_ticket()
    writer.post(f"{tickets_url}/7/mark_unread")

    page = reader.get(tickets_url, unread="true", status="new,open,pending,on_hold").json()

    total = sum(ticket["unread_team_count"] for ticket in page["results"])
    assert {"count": total} == reader.get(unread_count_url).json() == {"count": 6}


# --- Tags ---


@pytest.fixture
def tagged(make_ticket: MakeTicket) -> None:
    make_ticket(tags=["vip", "refund"])
    make_ticket(tags=["refund"])
    make_ticket(tags=["a, b", "[x]", "straße"])
    make_ticket()


@pytest.mark.usefixtures("tagged")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"tags": "vip"}, [1]),
        ({"tags": "vip,refund"}, [1, 2]),
        ({"tags": " VIP , Nobody "}, [1]),
        ({"tags": "vi"}, []),
        ({"tags": '["vip", "refund"]'}, [1, 2]),
        ({"tags": ' ["VIP "]'}, [1]),
        ({"tags": '["A, b"]'}, [3]),
        ({"tags": "a, b"}, []),
        ({"tags": '["[x]"]'}, [3]),
        ({"tags": "STRASSE,STRAßE"}, [3]),
        ({"tags": ",".join(["vip"] * 50)}, [1]),
        ({"tags_all": "vip,refund"}, [1]),
        ({"tags_all": "refund"}, [1, 2]),
        ({"tags_all": "refund,refund"}, [1, 2]),
        ({"tags_all": "refund,nobody"}, []),
        ({"tags_exclude": "vip"}, [2, 3, 4]),
        ({"tags_exclude": "vip,refund"}, [3, 4]),
        ({"tags_exclude": '["a, b"]'}, [1, 2, 4]),
        ({"tags_exclude": "nobody"}, [1, 2, 3, 4]),
        ({"tags": "refund", "tags_exclude": "vip"}, [2]),
        ({"tags": "refund,straße", "tags_all": "vip"}, [1]),
        ({"tags": "'; DROP TABLE--"}, []),
        ({"tags": '["{}", "\\\\", "\\""]'}, []),
    ],
)
def test_tags_are_matched_as_they_are_kept(
    listed: Any, query: dict[str, str], expected: list[int]
) -> None:
    assert listed(**query) == expected


# --- Together ---


def everything(role: Role) -> dict[str, str]:
    return {
        "status": "new,open",
        "priority": "none,high",
        "channel_source": "api",
        "assignee": f"unassigned,role:{role.pk}",
        "date_from": "-7d",
        "date_to": "dEnd",
        "created_from": "-1mStart",
        "created_to": "all",
        "distinct_ids": "ann,bob",
        "emails": "ann@example.org",
        "search": "broken cup",
        "sla": "on-track",
        "snoozed": "false",
        "unread": "true",
        "tags": "vip,other",
        "tags_all": "vip",
        "tags_exclude": "spam",
    }


def test_all_filters_together_are_one_list_of_few_queries(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, role: Role, neighbour: Project
) -> None:
    fitting = {
        "status": "open",
        "priority": "high",
        "assignee": {"type": "role", "id": str(role.pk)},
        "distinct_id": "ann",
        "email_from": "ann@example.org",
        "message": "My cup is broken",
        "sla_due_at": (timezone.now() + timedelta(days=1)).isoformat(),
        "tags": ["vip", "new"],
    }
    ticket = make_ticket(**fitting)
    for differing in (
        {"status": "pending"},
        {"priority": "low"},
        {"distinct_id": "zoe"},
        {"email_from": "zoe@example.org"},
        {"message": "My cup is fine"},
        {"sla_due_at": None},
        {"tags": ["vip", "spam"]},
        {"tags": ["other"]},
    ):
        make_ticket(**fitting | differing)
    query = everything(role) | {"ids": ticket["id"]}
    reader.get(tickets_url)

    with CaptureQueriesContext(connection) as captured:
        response = reader.get(tickets_url, **query)

    assert numbers(response) == [1]
    # The project's time zone; how many tickets have a word; the tickets; their persons.
    assert len(captured) == 4
    query.pop("ids")
    assert numbers(reader.get(tickets_url, **query)) == [1]


def test_words_that_many_tickets_have_cost_two_queries_more_at_most(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.search.FEW", -1)
    make_ticket(message="One two three four five six")
    reader.get(tickets_url)

    with CaptureQueriesContext(connection) as captured:
        response = reader.get(tickets_url, search="one two three four five six")

    assert numbers(response) == [1]
    # Three words are looked up, the longest; the tickets; their persons.
    assert len(captured) == 5


def test_a_list_may_be_given_as_repeated_parameters(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    """So clients that were generated from the schema send one."""
    for status in ("new", "open", "pending"):
        make_ticket(status=status)

    repeated = reader.get(f"{tickets_url}?status=new&status=pending&order_by=ticket_number")

    assert numbers(repeated) == [1, 3]


def test_the_next_page_of_a_repeated_list_is_of_that_list(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    for status in ("new", "open", "pending"):
        make_ticket(status=status)

    repeated = reader.get(f"{tickets_url}?status=new&status=pending&order_by=ticket_number&limit=1")
    following = reader.get(repeated.json()["next"].removeprefix("http://testserver"))

    assert [ticket["ticket_number"] for ticket in following.json()["results"]] == [3]
    assert following.json()["count"] == 2


def test_each_value_of_a_repeated_list_must_mean_something(
    reader: ApiClient, tickets_url: str
) -> None:
    response = reader.get(f"{tickets_url}?status=new&status=opne")

    assert (response.status_code, response.json()["attr"]) == (400, "status")


def test_a_cursor_of_another_filter_is_refused(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(tags=["vip"], message="Hi")
    make_ticket(tags=["vip"], message="Hi")
    following = reader.get(tickets_url, tags="vip", search="hi", limit=1).json()["next"]
    address = following.removeprefix("http://testserver")

    assert reader.get(address).json()["count"] == 2
    for other in (address.replace("vip", "new"), address.replace("search=hi", "search=h")):
        response = reader.get(other)
        assert (response.status_code, response.json()["attr"]) == (400, "cursor")


def test_no_filter_shows_another_projects_tickets(
    client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket, role: Role
) -> None:
    ticket = make_ticket(
        tags=["vip"], distinct_id="ann", email_from="ann@example.org", message="Hi"
    )
    other, url = client_for(neighbour, "*"), tickets_url_of(neighbour)

    for query in (
        {"ids": ticket["id"]},
        {"tags": "vip"},
        {"tags_exclude": "spam"},
        {"distinct_ids": "ann"},
        {"emails": "ann@example.org"},
        {"assignee": f"unassigned,role:{role.pk}"},
        {"search": "hi"},
        {"search": "1"},
        {"unread": "true"},
        {"snoozed": "false"},
        {"date_from": "-1d"},
    ):
        assert other.get(url, **query).json()["count"] == 0, query


def test_an_address_that_is_no_address_is_kept_however_long(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    """An index takes no value beyond 2,700 bytes."""
    noise = "".join(chr(33 + (number * 7919) % 90) for number in range(12_000))
    make_ticket(anonymous_traits={"email": noise})

    assert writer.get(tickets_url).json()["count"] == 1
