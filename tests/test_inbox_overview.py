"""The inbox's overview: what is to be done, and how the last thirty days went."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conversations.inbox.overview import numbers
from conversations.inbox.overview.charts import COUNTS, DAY, DURATIONS, HOUR, chart, duration
from conversations.inbox.overview.numbers import Span
from conversations.models import Ticket
from conversations.tickets.filters import matching
from projects.models import Project
from tests.conftest import MakeTicket
from tests.inbox import Browser, agent_of, inbox_of, numbers_in, text_of
from tests.test_query_plans import Plan, explain_sql, reads

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
# Session, agent, projects of the agent; a number each for states, unread, overdue, days.
QUERIES = 7


@pytest.fixture
def browser(project: Project) -> Browser:
    return Browser(agent_of(project))


@pytest.fixture
def overview(project: Project) -> str:
    return f"{inbox_of(project)}/overview"


def made(project: Project, at: datetime, reply: int | None = None, **fields: Any) -> Ticket:
    """A ticket of that moment, which the team replied to after so many seconds."""
    number = Ticket.objects.filter(project=project).count() + 1
    return Ticket.objects.create(
        project=project,
        ticket_number=number,
        distinct_id=str(number),
        created_at=at,
        first_reply_seconds=reply,
        **fields,
    )


def last_days(project: Project, zone: str = "UTC", now: datetime = NOW) -> tuple[Span, Any]:
    whole, days = numbers.last_days(project.pk, zone=ZoneInfo(zone), now=now)
    return whole, {day.date: day.span for day in days if day.span.tickets}


# --- What is to be done ------------------------------------------------------


@pytest.fixture
def busy(project: Project, neighbour: Project) -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    for owner in (project, neighbour):
        made(owner, NOW, status="new", unread_team_count=2, sla_due_at=hour_ago)
        made(owner, NOW, status="open", unread_team_count=1)
        made(owner, NOW, status="open", sla_due_at=timezone.now() + timedelta(hours=1))
        made(owner, NOW, status="resolved", unread_team_count=5, sla_due_at=hour_ago)


@pytest.mark.usefixtures("busy")
def test_it_counts_what_is_unresolved_unread_and_overdue(browser: Browser, overview: str) -> None:
    page = text_of(browser.get(overview))

    assert re.findall(r"<b>(\d+)</b> <span>(\w+)</span>", page) == [
        ("3", "unresolved"),
        ("2", "unread"),
        ("1", "overdue"),
    ]
    assert "3 messages in them" in page
    assert re.findall(r">([a-z ]+ \d+)</a>", page) == ["new 1", "open 2", "pending 0", "on hold 0"]


@pytest.mark.usefixtures("busy")
def test_each_number_leads_to_a_list_of_as_many(browser: Browser, overview: str) -> None:
    page = text_of(browser.get(overview))
    tallies = re.findall(r'<a href="([^"]+)"><b>(\d+)</b>', page)
    tallies += re.findall(r'<a href="([^"]+)">[a-z ]+ (\d+)</a>', page)

    assert len(tallies) == 7
    for address, number in tallies:
        assert len(numbers_in(browser.get(address))) == int(number)


# --- Thirty days -------------------------------------------------------------


def test_a_day_is_one_by_the_clock_of_the_project(project: Project) -> None:
    made(project, datetime(2026, 6, 10, 14, 59, tzinfo=UTC))
    made(project, datetime(2026, 6, 10, 15, 0, tzinfo=UTC))

    whole, days = last_days(project, "Asia/Tokyo")

    assert list(days) == [date(2026, 6, 10), date(2026, 6, 11)]
    assert whole.tickets == 2


def test_a_day_of_25_hours_has_all_of_them(project: Project) -> None:
    for hour in range(25):
        made(project, datetime(2026, 10, 24, 22, 30, tzinfo=UTC) + timedelta(hours=hour))

    _, days = last_days(project, "Europe/Berlin", datetime(2026, 11, 1, tzinfo=UTC))

    assert {day: span.tickets for day, span in days.items()} == {date(2026, 10, 25): 25}


def test_there_are_thirty_days_with_today(project: Project) -> None:
    for ago in (0, 29, 30, -1):
        made(project, NOW - timedelta(days=ago))

    whole, days = last_days(project)

    assert list(days) == [date(2026, 5, 17), date(2026, 6, 15)]
    assert whole.tickets == 2


def test_another_projects_tickets_are_not_counted(project: Project, neighbour: Project) -> None:
    made(neighbour, NOW, reply=5)

    assert last_days(project) == (Span(0, 0, None), {})


def test_the_median_is_of_the_tickets_with_a_reply(project: Project) -> None:
    for reply in (60, 7200, 600, None, None):
        made(project, NOW, reply)
    made(project, NOW - timedelta(days=1), 10)

    whole, days = last_days(project)

    assert days[NOW.date()] == Span(tickets=5, replied=3, median_seconds=600)
    assert whole == Span(tickets=6, replied=4, median_seconds=60)


# --- The page ----------------------------------------------------------------


def test_what_the_pictures_show_is_in_words_and_in_a_table(
    browser: Browser, overview: str, project: Project
) -> None:
    Project.objects.filter(pk=project.pk).update(time_zone="Pacific/Kiritimati")
    made(project, timezone.now(), reply=3 * HOUR)
    made(project, timezone.now())
    today = timezone.now().astimezone(ZoneInfo("Pacific/Kiritimati"))
    day = f"{today:%a} {today.day} {today:%b}"

    page = text_of(browser.get(overview))

    assert len(re.findall(r'<svg [^>]*role="img" aria-labelledby="\w+-title \w+-desc', page)) == 2
    assert f"<title>{day}: 2</title>" in page
    assert f"<title>{day}: 3 h</title>" in page
    row = f'<th scope="row">{day}</th><td>2</td><td>1</td><td>3 h</td>'
    assert row in page
    assert len(re.findall('<th scope="row">', page)) == 30
    assert f"Highest on {day}: 2. Lowest on" in page
    assert "Pacific/Kiritimati" in page


def test_a_project_without_tickets_has_an_overview(browser: Browser, overview: str) -> None:
    page = text_of(browser.get(overview))

    assert page.count("There is nothing to show.") == 2
    assert "came within" not in page


def test_it_asks_for_no_more_however_many_tickets_there_are(
    browser: Browser, overview: str, make_ticket: MakeTicket
) -> None:
    for _ in range(3):
        make_ticket(message="Hi")

    assert len(browser.queries(overview)) <= QUERIES


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (HOUR - 1, "59 min"),
        (HOUR, "1 h"),
        (2 * HOUR + 600, "2 h 10 min"),
        (DAY + 4 * HOUR + 59, "1 d 4 h"),
        (400 * DAY, "400 d"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("highest", "tops", "marks"),
    [
        (0, COUNTS, ["2", "1", "0"]),
        (3, COUNTS, ["4", "2", "0"]),
        (1000, COUNTS, ["1000", "500", "0"]),
        (61, COUNTS, ["100", "50", "0"]),
        (90, DURATIONS, ["120", "60", "0"]),
        (10**12, COUNTS, [str(10**12), str(10**12 // 2), "0"]),
    ],
)
def test_an_axis_ends_at_a_round_number_above_all_bars(
    highest: int, tops: list[int], marks: list[str]
) -> None:
    shown = chart("c", "C", [(NOW.date(), highest), (NOW.date(), None)], tops=tops, text=str)

    assert shown.marks == marks
    assert all(bar.y >= 0 and bar.y + bar.height <= shown.height for bar in shown.bars)


def test_a_small_number_is_seen_and_none_is_not() -> None:
    days = [(NOW.date(), number) for number in (100_000, 1, 0, None)]

    bars = chart("c", "C", days, tops=COUNTS, text=str).bars

    assert [bar.height for bar in bars] == [100.0, 1.0, 0.0, 0.0]


# --- Plans -------------------------------------------------------------------

TICKETS = 4000


@pytest.fixture(scope="module")
def crowded(database: None) -> Project:
    """A project with many tickets, half of them older than thirty days, beside one like it."""
    projects = [Project.objects.create(name=name) for name in ("Crowded", "Crowded as well")]
    with connection.cursor() as cursor:
        for project in projects:
            cursor.execute(_FILL, {"project": project.pk, "count": TICKETS})
        # The index-only scans need the visibility map, the planner its statistics.
        cursor.execute("VACUUM (ANALYZE) conversations_ticket")
    return projects[0]


_FILL = """
INSERT INTO conversations_ticket (
    id, project_id, ticket_number, channel_source, distinct_id, status, anonymous_traits,
    ai_resolved, tags, session_context, created_at, updated_at, message_count, last_seq,
    team_read_seq, customer_read_seq, marked_unread, unread_team_count, unread_customer_count,
    sla_due_at, first_reply_seconds, last_message_text
)
SELECT
    gen_random_uuid(), %(project)s, n, 'api', n,
    CASE WHEN n %% 20 = 0 THEN 'open' ELSE 'resolved' END, '{}', FALSE, '{}', '{}',
    now() - n * interval '60 days' / %(count)s, now() - n * interval '1 minute', 1, 1, 0, 0,
    FALSE, CASE WHEN n %% 200 = 0 THEN 1 ELSE 0 END, 0,
    CASE WHEN n %% 2 = 0 THEN now() - interval '1 hour' END,
    CASE WHEN n %% 10 <> 0 THEN n END, repeat('a long message ', 20)
FROM generate_series(1, %(count)s) AS n
"""


def plan_of(ask: Any) -> Plan:
    """How the one statement was run that this sends."""
    with CaptureQueriesContext(connection) as captured:
        ask()
    [query] = captured.captured_queries
    return explain_sql(query["sql"])


def index_alone(plan: Plan, index: str) -> int:
    """How many rows were read from an index that has all that is asked for."""
    used = {node["Node Type"] for node in plan if node.get("Index Name") == index}
    assert used == {"Index Only Scan"}
    return reads(plan, index)


def test_thirty_days_are_read_from_an_index_and_nothing_older(crowded: Project) -> None:
    now = timezone.now()
    plan = plan_of(lambda: numbers.last_days(crowded.pk, zone=ZoneInfo("UTC"), now=now))

    # Once for each day and once for all of them; PostgreSQL rounds the mean of 31 scans.
    assert abs(index_alone(plan, "ticket_created") - 2 * TICKETS / 2) < 200


def test_the_states_are_totals_for_which_no_ticket_is_read(crowded: Project) -> None:
    plan = plan_of(lambda: numbers.status_totals(crowded.pk))

    assert {node.get("Relation Name") for node in plan} - {None} == {"conversations_tickettotal"}
    assert numbers.status_totals(crowded.pk)["open"] == TICKETS // 20


def test_the_unread_are_counted_from_their_index(crowded: Project) -> None:
    plan = plan_of(lambda: numbers.unread(crowded.pk))

    assert index_alone(plan, "ticket_unread") == TICKETS // 200


def test_the_overdue_are_counted_from_their_index_without_what_is_resolved(
    crowded: Project,
) -> None:
    plan = plan_of(lambda: numbers.breached(crowded.pk))

    assert index_alone(plan, "ticket_unresolved_due") == TICKETS // 20


def test_the_list_of_the_overdue_begins_at_the_first_and_passes_nothing(crowded: Project) -> None:
    query = {"status": numbers.UNRESOLVED, "sla": "breached"}
    tickets = matching(Ticket.objects.in_project(crowded.pk), query)

    plan = plan_of(lambda: list(tickets.order_by("sla_due_at", "pk")[:10]))

    assert reads(plan, "ticket_unresolved_due") == 10


@pytest.mark.parametrize(
    "query",
    [
        {"assignee": [Q(assignee_user=None, assignee_role=None)]},
        {"priority": ["high", "none"]},
        {"channel_source": "api"},
    ],
    ids=str,
)
def test_filters_of_what_is_unresolved_are_counted_from_an_index_alone(
    crowded: Project, query: dict[str, Any]
) -> None:
    query = {"status": numbers.UNRESOLVED, **query}
    tickets = matching(Ticket.objects.in_project(crowded.pk), query, counting=True)

    plan = plan_of(lambda: tickets.count())

    assert index_alone(plan, "ticket_unresolved") == TICKETS // 20
