"""What customers, clients of the API and addresses may say without a page breaking or lying."""

from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from django.utils.html import strip_tags

from conversations.models import Ticket
from conversations.templatetags.inbox import linked
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.inbox import Browser, agent_of, inbox_of, numbers_in, page_of, text_of

# What a template, asked for a part of a mapping, takes for that part.
NAMES = ["items", "keys", "values", "0", "__class__"]
LISTS = ["", "/settings/team", "/settings/keys"]
FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
FAR_WEST, FAR_EAST = "Pacific/Pago_Pago", "Pacific/Kiritimati"


@pytest.fixture
def browser(project: Project) -> Browser:
    return Browser(agent_of(project))


def move(project: Project, zone: str) -> None:
    Project.objects.filter(pk=project.pk).update(time_zone=zone)


# --- Names that mean something to Python -------------------------------------


@pytest.mark.parametrize("value", ["abc", "", [], None], ids=repr)
@pytest.mark.parametrize("source", ["traits", "properties"])
def test_what_is_known_of_a_customer_is_shown_under_any_name(
    browser: Browser,
    project: Project,
    make_ticket: MakeTicket,
    client_for: ClientFor,
    source: str,
    value: Any,
) -> None:
    known = {**dict.fromkeys(NAMES, value), "plan": "gold"}
    if source == "traits":
        ticket = make_ticket(anonymous_traits=known)
    else:
        person = {"distinct_ids": ["user_1"], "properties": known}
        client_for(project, "person:write").post(f"/api/projects/{project.pk}/persons", person)
        ticket = make_ticket(distinct_id="user_1")

    answer = browser.get(page_of(project, ticket))

    assert answer.status_code == 200
    assert numbers_in(browser.get(inbox_of(project))) == [ticket["ticket_number"]]
    for name in [*NAMES, "plan"]:
        assert f"<dt><bdi>{name}</bdi>" in text_of(answer)


@pytest.mark.parametrize("page", LISTS)
def test_a_parameter_that_there_is_not_is_refused_under_any_name(
    browser: Browser, project: Project, page: str
) -> None:
    answer = browser.get(f"{inbox_of(project)}{page}", **dict.fromkeys(NAMES, "1"))

    assert answer.status_code == 400
    for name in NAMES:
        assert f"<code>{name}</code>: There is no such parameter." in text_of(answer)


# --- Values as they are said --------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "yes"),
        (False, "no"),
        (None, "none"),
        (1.5, "1.5"),
        ("True", "True"),
        ({"a": [True, None, "ü"]}, '{"a": [true, null, "ü"]}'),
    ],
    ids=repr,
)
def test_a_value_is_written_in_words_or_as_json(
    browser: Browser, project: Project, make_ticket: MakeTicket, value: Any, said: str
) -> None:
    ticket = make_ticket(anonymous_traits={"it": value})

    assert f'<dd dir="auto">{said}</dd>' in text_of(browser.get(page_of(project, ticket)))


def test_the_activity_writes_values_so_too(
    browser: Browser, project: Project, make_ticket: MakeTicket, writer: ApiClient, tickets_url: str
) -> None:
    ticket = make_ticket()
    changes = {"anonymous_traits": {"is_it": True, "items": [None]}, "ai_resolved": True}
    writer.patch(f"{tickets_url}/{ticket['id']}", changes)

    page = text_of(browser.get(page_of(project, ticket)))

    assert '<bdi>{"is_it": true, "items": [null]}</bdi>' in page
    assert 'resolved by AI: <bdi class="was">no</bdi> → <bdi>yes</bdi>' in page


def test_why_a_ticket_was_escalated_stands_at_it(
    browser: Browser, project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(escalation_reason="The AI is <b>at a loss</b>")

    page = browser.get(page_of(project, ticket)).content.decode()

    assert "The AI is &lt;b&gt;at a loss&lt;/b&gt;</dd>" in page


# --- Times at the ends of the calendar ----------------------------------------


@pytest.mark.parametrize("field", ["sla_due_at", "snoozed_until"])
@pytest.mark.parametrize(
    ("zone", "far", "shown"),
    [
        (FAR_EAST, LAST, "31 Dec 9999, 23:59"),
        (FAR_WEST, LAST, "31 Dec 9999, 12:59"),
        (FAR_WEST, FIRST, "1 Jan 0001, "),
        (FAR_EAST, FIRST, "1 Jan 0001, "),
    ],
)
def test_a_time_that_the_projects_clock_can_not_show_breaks_no_page(
    browser: Browser,
    project: Project,
    make_ticket: MakeTicket,
    writer: ApiClient,
    tickets_url: str,
    field: str,
    zone: str,
    far: str,
    shown: str,
) -> None:
    ticket = make_ticket()
    move(project, zone)
    url = f"{tickets_url}/{ticket['id']}"
    # A ticket is not put aside until what is over.
    if writer.patch(url, {field: far}).status_code == 400:
        assert (field, far) == ("snoozed_until", FIRST)
        return

    assert numbers_in(browser.get(inbox_of(project))) == [ticket["ticket_number"]]
    assert shown in text_of(browser.get(page_of(project, ticket)))

    # In the activity it stays.
    writer.patch(url, {field: None})
    assert shown in text_of(browser.get(page_of(project, ticket)))


@pytest.mark.parametrize(
    ("zone", "typed"),
    [
        ("America/New_York", "9999-12-31T23:59"),
        ("Asia/Tokyo", "0001-01-01T00:00"),
    ],
)
@pytest.mark.parametrize("field", ["sla_due_at", "snoozed_until"])
def test_a_time_that_no_calendar_has_in_utc_is_refused(
    browser: Browser, project: Project, make_ticket: MakeTicket, field: str, zone: str, typed: str
) -> None:
    ticket = make_ticket()
    move(project, zone)

    answer = browser.post(f"{page_of(project, ticket)}/change", version="1", **{field: typed})

    assert answer.status_code == 400
    assert "Datetime value out of range." in text_of(answer)


# --- Times that the clock leaves out, or shows twice --------------------------


def due_at(ticket: Any) -> datetime | None:
    return Ticket.objects.get(pk=ticket["id"]).sla_due_at


def test_a_time_that_the_clock_leaves_out_is_refused(
    browser: Browser, project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    move(project, "America/New_York")

    answer = browser.post(
        f"{page_of(project, ticket)}/change", version="1", sla_due_at="2027-03-14T02:30"
    )

    assert answer.status_code == 400
    assert "The clocks of America/New_York leave this time out." in text_of(answer)
    assert due_at(ticket) is None


def test_of_a_time_that_the_clock_shows_twice_the_first_is_meant(
    browser: Browser, project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    move(project, "America/New_York")

    browser.post(f"{page_of(project, ticket)}/change", version="1", sla_due_at="2027-11-07T01:30")

    assert due_at(ticket) == datetime(2027, 11, 7, 5, 30, tzinfo=UTC)


def test_to_the_api_a_time_without_a_zone_is_in_utc_wherever_the_project_is(
    project: Project, make_ticket: MakeTicket, writer: ApiClient, tickets_url: str
) -> None:
    ticket = make_ticket()
    move(project, "America/New_York")

    writer.patch(f"{tickets_url}/{ticket['id']}", {"sla_due_at": "2027-03-14T02:30"})

    assert due_at(ticket) == datetime(2027, 3, 14, 2, 30, tzinfo=UTC)


# --- Links ---------------------------------------------------------------------


def links(text: str) -> list[str]:
    return [part.partition('"')[0] for part in str(text).split('href="')[1:]]


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u2028", "\u2009", "\u0085", "\u200b"])
def test_a_link_ends_at_any_kind_of_space(space: str) -> None:
    assert links(linked(f"http://a.example/b{space}and more")) == ["http://a.example/b"]


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("(http://w.example/a_(b))", "http://w.example/a_(b)"),
        ("http://w.example/a_(b).", "http://w.example/a_(b)"),
        ("(see http://w.example/a).", "http://w.example/a"),
        ("((http://w.example/(a)/(b)))!", "http://w.example/(a)/(b)"),
    ],
)
def test_a_bracket_belongs_to_a_link_that_opens_it(text: str, link: str) -> None:
    assert links(linked(text)) == [link]


@pytest.mark.parametrize(
    ("text", "shown", "found"),
    [
        ("see http://a.example/b", "see http://a.example/b", ["http://a.example/b"]),
        ("see http://a.example/bcdef", "see http://a.example/…", []),
        ("http://a.example and more", "http://a.example and …", ["http://a.example"]),
        ("<http://a.example/>", "<http://a.example/>", ["http://a.example/"]),
    ],
)
def test_what_is_cut_is_no_link(text: str, shown: str, found: list[str]) -> None:
    html = linked(text, 22)

    assert links(html) == found
    assert unescape(strip_tags(html)) == shown


def test_a_long_address_in_what_is_known_of_a_customer_leads_nowhere_else(
    browser: Browser, project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(anonymous_traits={"page": "http://a.example/" + "b" * 400})

    page = text_of(browser.get(page_of(project, ticket)))

    assert 'href="http://a.example/' not in page
    assert "http://a.example/bbb" in page
