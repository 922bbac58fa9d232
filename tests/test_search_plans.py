"""How PostgreSQL runs searches and filters: by which index, whatever its statistics say."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from projects.models import ApiKey, Project
from tests.api import ApiClient
from tests.conftest import tickets_url_of

BIG, SMALL = 30_000, 300
_TABLES = ("conversations_ticket", "conversations_message")
_FILL = [
    """
    INSERT INTO conversations_ticket (
        id, project_id, ticket_number, channel_source, distinct_id, status, priority,
        assignee_user_id, anonymous_traits, ai_resolved, tags, session_context, email_from,
        created_at, updated_at, sla_due_at, snoozed_until,
        message_count, last_seq, team_read_seq, customer_read_seq,
        marked_unread, unread_team_count, unread_customer_count, search
    )
    SELECT
        gen_random_uuid(), %(project)s, n, 'api', 'customer-' || n,
        CASE WHEN n %% 20 = 0 THEN 'open' ELSE 'resolved' END,
        CASE WHEN n %% 300 = 0 THEN 'critical' WHEN n %% 2 = 0 THEN 'high' END,
        NULL, jsonb_build_object('email', 'trait-' || n || '@example.org'), FALSE,
        CASE WHEN n %% 300 = 0 THEN '{rare}' ELSE '{}' END::text[], '{}',
        CASE WHEN n %% 2 = 0 THEN 'Mail-' || n || '@example.org' END,
        now() - n * interval '1 minute', now() - (n * 7919 %% 30011) * interval '1 minute',
        CASE WHEN n %% 300 = 0 THEN now() - interval '1 day'
             WHEN n %% 300 = 1 THEN now() + interval '1 day' END,
        CASE WHEN n %% 300 = 0 THEN now() + interval '1 day' END,
        1, 1, 0, 0, FALSE, CASE WHEN n %% 300 = 0 THEN 1 ELSE 0 END, 0,
        array_to_tsvector(ARRAY[%(project)s || ':mail', %(project)s || ':subject' || n])
    FROM generate_series(1, %(count)s) AS n
    """,
    """
    INSERT INTO conversations_message (
        id, project_id, ticket_id, seq, author_type, content, is_private, created_at, search
    )
    SELECT gen_random_uuid(), project_id, id, seq, 'customer', repeat('some text ', 20), FALSE,
        now(), array_to_tsvector(ARRAY[
            project_id || ':common', project_id || ':frequent', project_id || ':word' || seq,
            CASE WHEN ticket_number %% 300 = 0 THEN project_id || ':rareword'
                 ELSE project_id || ':other' || ticket_number %% 1000 END
        ])
    FROM conversations_ticket, generate_series(1, 2) AS seq WHERE project_id = %(project)s
    """,
]
_FORGET = [f"DELETE FROM pg_statistic WHERE starelid = '{name}'::regclass" for name in _TABLES]


def _claim(rows: float, pages: int) -> list[str]:
    return [
        f"UPDATE pg_class SET reltuples = {rows}, relpages = {pages} WHERE oid = '{name}'::regclass"
        for name in _TABLES
    ]


# What the planner may believe, and how to make it.
BELIEFS = {
    "nothing": [*_FORGET, *_claim(-1, 0)],
    "the truth": [f"VACUUM (ANALYZE) {name}" for name in _TABLES],
    "one row a page": _claim(1000, 1000),
    "three hundred rows a page": _claim(300_000, 1000),
    "a million rows a page": _claim(1_000_000, 1),
}


@pytest.fixture(scope="module")
def filled(database: None) -> Iterator[tuple[Project, Project]]:
    """A big project beside a small one; nobody but the test says what is in the statistics."""
    projects = (Project.objects.create(name="Big"), Project.objects.create(name="Small"))
    _run(f"ALTER TABLE {name} SET (autovacuum_enabled = off)" for name in _TABLES)
    for project, count in zip(projects, (BIG, SMALL), strict=True):
        with connection.cursor() as cursor:
            for statement in _FILL:
                cursor.execute(statement, {"project": project.pk, "count": count})
    yield projects
    _run(f"ALTER TABLE {name} RESET (autovacuum_enabled)" for name in _TABLES)
    _run(BELIEFS["the truth"])


@pytest.fixture(params=BELIEFS)
def believing(filled: None, request: pytest.FixtureRequest) -> str:
    _run(BELIEFS["the truth"])
    _run(BELIEFS[request.param])
    return str(request.param)


@pytest.fixture
def knowing(filled: None) -> None:
    _run(BELIEFS["the truth"])


def _run(statements: Any) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


Plan = list[dict[str, Any]]


def plans(project: Project, **query: Any) -> tuple[list[Plan], Plan]:
    """How the words of a request were looked up, and its tickets listed and counted.

    Each statement is a list of its nodes. The count of an empty page, which is a
    statement of its own, is added to those of the page.
    """
    _, secret = ApiKey.issue(project=project, label="plans", scopes=["*"])
    client, url = ApiClient(secret), tickets_url_of(project)
    client.get(url, limit=1)
    with CaptureQueriesContext(connection) as captured:
        response = client.get(url, limit=20, **query)
    assert response.status_code == 200, response.content
    lookups, listing = [], []
    for executed in captured.captured_queries:
        if any(name in executed["sql"] for name in _TABLES):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {executed['sql']}")
                (explained,) = cursor.fetchone()
            # The driver may leave JSON as text, depending on how it is set up.
            tree = json.loads(explained) if isinstance(explained, str) else explained
            if executed["sql"].startswith("WITH"):
                lookups.append(nodes(tree[0]["Plan"]))
            else:
                listing += nodes(tree[0]["Plan"])
    assert listing
    return lookups, listing


def page_of(listing: Plan) -> Plan:
    """The nodes that find the rows of the page; its count is a subplan of its own."""
    counted = [id(node) for node in count_of(listing)]
    return [node for node in listing if id(node) not in counted]


def count_of(listing: Plan) -> Plan:
    counting = [node for node in listing if node.get("Parent Relationship") == "InitPlan"]
    return [inner for node in counting for inner in nodes(node)]


def nodes(plan: dict[str, Any]) -> Plan:
    return [plan, *(node for inner in plan.get("Plans", []) for node in nodes(inner))]


def scanned_whole(plan: Plan) -> set[str]:
    scans = [node for node in plan if "Seq Scan" in node["Node Type"]]
    return {name for name in _TABLES for node in scans if node["Relation Name"] == name}


def indexes(plan: Plan) -> set[str]:
    return {node["Index Name"] for node in plan if "Index Name" in node}


def rows_read(plan: Plan) -> float:
    """Rows that were fetched from the two tables, those that a filter dropped included."""
    read = [
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in plan
        if node.get("Relation Name") in _TABLES
    ]
    return float(sum(read))


# --- Searches ---


@pytest.mark.usefixtures("believing")
@pytest.mark.parametrize(
    ("search", "most"),
    [
        # Nobody has it; a hundred tickets do, each in two messages; eleven tickets do.
        ("absent", 0),
        ("rareword", 300),
        ("subject777", 22),
        ("rareword common", 500),
        ("subject777 common frequent absent", 44),
    ],
)
def test_few_hits_are_found_by_the_indexes_whatever_the_statistics_say(
    filled: tuple[Project, Project], search: str, most: int
) -> None:
    _, listing = plans(filled[0], search=search)

    # Once for the page and once for its count.
    assert rows_read(listing) <= 2 * most
    assert not scanned_whole(listing)


@pytest.mark.usefixtures("believing")
def test_looking_up_a_word_reads_the_indexes_and_no_more_than_it_needs(
    filled: tuple[Project, Project],
) -> None:
    # The longest first: the first that is rare ends it.
    rare, _ = plans(filled[0], search="rareword common")
    many, listing = plans(filled[0], search="common frequent")

    assert (len(rare), len(many)) == (1, 2)
    for plan in (*rare, *many):
        assert indexes(plan) == {"ticket_search", "message_search"}
        assert rows_read(plan) <= 10_001
        assert not scanned_whole(plan)
    assert "conversations_message" not in scanned_whole(listing)


@pytest.mark.usefixtures("believing")
@pytest.mark.parametrize("search", ["common", "common frequent", "word mail"])
@pytest.mark.parametrize(
    ("order_by", "index"),
    [("-updated_at", "ticket_updated"), ("created_at", "ticket_created")],
)
def test_a_page_of_very_many_hits_is_read_in_its_order(
    filled: tuple[Project, Project], search: str, order_by: str, index: str
) -> None:
    _, listing = plans(filled[0], search=search, order_by=order_by)

    page = page_of(listing)
    assert index in indexes(page)
    # Each ticket of the page with its two messages.
    assert rows_read(page) <= 21 * 3
    assert {"ticket_search", "message_search"} <= indexes(listing)
    # All of it, whichever way, but not again for each ticket.
    assert rows_read(listing) <= 10 * BIG
    assert "conversations_message" not in scanned_whole(listing)


@pytest.mark.usefixtures("believing")
@pytest.mark.parametrize("search", ["common", "common frequent", "word mail"])
def test_very_many_hits_are_sorted_to_be_counted_and_no_ticket_is_read_besides(
    filled: tuple[Project, Project], search: str
) -> None:
    _, listing = plans(filled[0], search=search)

    count = count_of(listing)
    assert indexes(count) <= {"ticket_search", "message_search", "projects_project_pkey"}
    # A hash of many more ids than were expected takes longer than to sort them.
    assert "Hashed" not in {node.get("Strategy") for node in count}
    assert not scanned_whole(count)


@pytest.mark.usefixtures("believing")
@pytest.mark.parametrize("search", ["common", "common frequent", "rareword", "absent", "mail"])
def test_a_small_project_does_not_pay_for_a_big_one(
    filled: tuple[Project, Project], search: str
) -> None:
    lookups, listing = plans(filled[1], search=search)

    for plan in (*lookups, listing):
        # The ticket's own row, and those of its messages: for the page and for its count.
        assert rows_read(plan) <= 10 * SMALL
        assert not scanned_whole(plan)


# --- Filters ---


@pytest.mark.usefixtures("knowing")
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"status": "open"},
        {"status": "new,open,pending"},
        {"priority": "critical"},
        {"priority": "none,critical"},
        {"channel_source": "email"},
        {"channel_detail": "widget_embedded"},
        {"assignee": "unassigned"},
        {"assignee": "user:1"},
        {"assignee": "user:1,role:00000000-0000-0000-0000-000000000000"},
        {"assignee": "unassigned,user:1"},
        {"date_from": "-1h"},
        {"date_to": "-1d"},
        {"created_from": "-1h", "created_to": "dEnd"},
        {"distinct_ids": "customer-5,customer-6"},
        {"emails": "mail-6@example.org,trait-7@example.org"},
        {"ids": "00000000-0000-0000-0000-000000000000"},
        {"sla": "breached"},
        {"sla": "on-track"},
        {"snoozed": "true"},
        {"snoozed": "false"},
        {"unread": "true"},
        {"unread": "false"},
        {"tags": "rare"},
        {"tags_all": "rare"},
        {"tags_exclude": "rare"},
    ],
)
def test_no_filter_makes_a_small_project_read_a_big_ones_rows(
    filled: tuple[Project, Project], query: dict[str, str]
) -> None:
    _, listing = plans(filled[1], **query)

    assert not scanned_whole(listing)
    assert rows_read(listing) <= 4 * SMALL


@pytest.mark.usefixtures("knowing")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        # Nearly all that is unresolved is open: the two indexes are the same to the planner.
        ({"status": "open"}, "ticket_unresolved or ticket_status"),
        ({"priority": "critical"}, "ticket_priority"),
        ({"assignee": "user:1"}, "ticket_assignee_user"),
        ({"assignee": "role:00000000-0000-0000-0000-000000000000"}, "ticket_assignee_role"),
        ({"date_from": "-10M"}, "ticket_updated"),
        ({"created_from": "-10M"}, "ticket_created"),
        ({"distinct_ids": "customer-5,customer-6"}, "ticket_distinct_id"),
        ({"search": "#12345"}, "ticket_number_unique"),
        ({"emails": "mail-6@example.org"}, "ticket_email_from"),
        ({"emails": "MAIL-6@example.org,TRAIT-7@example.org"}, "ticket_traits_email"),
        ({"sla": "breached"}, "ticket_sla_due_at"),
        ({"sla": "on-track"}, "ticket_sla_due_at"),
        ({"snoozed": "true"}, "ticket_snoozed_until"),
        ({"unread": "true", "status": "new,open,pending,on_hold"}, "ticket_unread"),
        ({"tags": "rare"}, "ticket_tags"),
        ({"tags_all": "rare"}, "ticket_tags"),
    ],
)
def test_what_few_tickets_have_is_found_by_an_index(
    filled: tuple[Project, Project], query: dict[str, str], index: str
) -> None:
    """The count reads this index. Whether the page does too, or follows the order of the
    list, the planner decides by a sample, differently from one to the next."""
    _, listing = plans(filled[0], **query)

    assert indexes(listing) & set(index.split(" or "))
    assert not scanned_whole(listing)


@pytest.mark.usefixtures("knowing")
@pytest.mark.parametrize(
    "query",
    [
        {"priority": "none"},
        {"channel_source": "api"},
        {"assignee": "unassigned"},
        {"date_to": "all"},
        {"created_to": "-1h"},
        {"snoozed": "false"},
        {"unread": "false"},
        {"tags_exclude": "rare"},
    ],
)
def test_what_most_tickets_have_is_listed_in_order(
    filled: tuple[Project, Project], query: dict[str, str]
) -> None:
    _, listing = plans(filled[0], **query)

    page = page_of(listing)
    assert "Sort" not in {node["Node Type"] for node in page}
    assert not scanned_whole(page)
    assert rows_read(page) <= 200
