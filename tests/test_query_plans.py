"""How PostgreSQL runs the hot queries over many rows: by which index, and reading how much."""

import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.models import Ticket
from projects.models import ApiKey, Project
from tests.api import ApiClient
from tests.conftest import tickets_url_of

TICKETS = 20_000
_FILL = [
    """
    INSERT INTO conversations_ticket (
        id, project_id, ticket_number, channel_source, distinct_id, status, priority,
        anonymous_traits, ai_resolved, tags, session_context, email_from,
        created_at, updated_at, message_count, last_seq, team_read_seq, customer_read_seq,
        marked_unread, unread_team_count, unread_customer_count, search
    )
    SELECT
        gen_random_uuid(), %(project)s, n, 'api', 'customer-' || n,
        CASE WHEN n %% 20 = 0 THEN 'open' ELSE 'resolved' END,
        CASE WHEN n %% 3 = 0 THEN 'high' END,
        '{}', FALSE, '{}', '{}', 'mail-' || n || '@example.org',
        now() - n * interval '1 minute', now() - (n * 7919 %% 20011) * interval '1 minute',
        1, 1, 0, 0, FALSE, CASE WHEN n %% 200 = 0 THEN 1 ELSE 0 END, 0, ''
    FROM generate_series(1, %(count)s) AS n
    """,
    """
    WITH person AS (
        INSERT INTO projects_person (id, project_id, properties, is_identified, created_at)
        SELECT gen_random_uuid(), %(project)s,
            jsonb_build_object('email', 'Mail-' || n || '@example.org', 'n', n), TRUE, now()
        FROM generate_series(1, %(count)s) AS n
        RETURNING id, properties
    )
    INSERT INTO projects_persondistinctid (project_id, person_id, distinct_id)
    SELECT %(project)s, id, 'customer-' || (properties->>'n') FROM person
    """,
]
# Changes of its tickets that nobody has folded, and that come to nothing.
_CHANGES = """
INSERT INTO conversations_tickettotal (project_id, status, change)
SELECT %s, 'open', 1 - 2 * (n %% 2) FROM generate_series(1, 10000) AS n
"""


@pytest.fixture(scope="module")
def busy(database: None) -> Project:
    """A project with many tickets and persons, beside another one with as many."""
    projects = [Project.objects.create(name=name) for name in ("Busy", "Busy as well")]
    with connection.cursor() as cursor:
        for project in projects:
            for statement in _FILL:
                cursor.execute(statement, {"project": project.pk, "count": TICKETS})
        cursor.execute(_CHANGES, [projects[1].pk])
        # The index-only scans need the visibility map, the planner its statistics.
        for table in (
            "conversations_ticket",
            "conversations_tickettotal",
            "projects_person",
            "projects_persondistinctid",
        ):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    return projects[0]


@pytest.fixture
def url(busy: Project) -> str:
    return tickets_url_of(busy)


@pytest.fixture
def client(busy: Project) -> ApiClient:
    _, secret = ApiKey.issue(project=busy, label="plans", scopes=["*"])
    return ApiClient(secret)


Plan = list[dict[str, Any]]


def nodes(plan: dict[str, Any]) -> Plan:
    return [plan, *(node for inner in plan.get("Plans", []) for node in nodes(inner))]


def plan_of(client: ApiClient, url: str, of: str = "conversations_ticket", **query: Any) -> Plan:
    """How the first statement of a request that reads this table was run, node by node."""
    client.get(url, **query)
    with CaptureQueriesContext(connection) as captured:
        response = client.get(url, **query)
    assert response.status_code == 200, response.content
    return explain(captured, of)


def explain(captured: CaptureQueriesContext, of: str = "conversations_ticket") -> Plan:
    from_it = re.compile(rf'FROM "?{of}\b')
    sql = next(query["sql"] for query in captured.captured_queries if from_it.search(query["sql"]))
    return explain_sql(sql)


def explain_sql(sql: str) -> Plan:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        (explained,) = cursor.fetchone()
    # The driver may leave JSON as text, depending on how it is set up.
    return nodes((json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"])


def reads(plan: Plan, index: str) -> int:
    """How many rows were read by this index, those that a filter dropped included."""
    scans = [node for node in plan if node.get("Index Name") == index]
    assert scans, [(node["Node Type"], node.get("Index Name")) for node in plan]
    return sum(
        int((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in scans
    )


def page(plan: Plan) -> Plan:
    """The nodes that find the rows of the page; its count is a subplan of its own."""
    counting = [node for node in plan if node.get("Parent Relationship") == "InitPlan"]
    counted = [id(inner) for node in counting for inner in nodes(node)]
    return [node for node in plan if id(node) not in counted]


def scanned_whole(plan: Plan) -> set[str]:
    return {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}


def test_the_unread_count_reads_the_unread_rows_of_their_index_alone(
    client: ApiClient, url: str, busy: Project
) -> None:
    # Saving a ticket drops the cached number, so that the database is asked.
    Ticket.objects.in_project(busy.pk).first().save()  # type: ignore[union-attr]  # (there is one)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(f"{url}/unread_count").json() == {"count": TICKETS // 200}
    plan = explain(captured)

    scan = next(node for node in plan if node.get("Index Name") == "ticket_unread")
    assert scan["Node Type"] == "Index Only Scan"
    assert reads(plan, "ticket_unread") == TICKETS // 200


@pytest.mark.parametrize(
    ("order_by", "index"),
    [
        ("-updated_at", "ticket_updated"),
        ("updated_at", "ticket_updated"),
        ("created_at", "ticket_created"),
        ("-created_at", "ticket_created"),
        ("ticket_number", "ticket_number_unique"),
        ("-ticket_number", "ticket_number_unique"),
    ],
)
def test_a_page_is_read_in_the_order_of_its_index(
    client: ApiClient, url: str, order_by: str, index: str
) -> None:
    first = page(plan_of(client, url, order_by=order_by, limit=20))

    assert reads(first, index) == 21
    assert "Sort" not in {node["Node Type"] for node in first}


@pytest.mark.parametrize(
    ("order_by", "index"),
    [
        ("-updated_at", "ticket_updated"),
        ("updated_at", "ticket_updated"),
        ("created_at", "ticket_created"),
        ("-created_at", "ticket_created"),
        ("ticket_number", "ticket_number_unique"),
        ("-ticket_number", "ticket_number_unique"),
    ],
)
@pytest.mark.parametrize("link", ["next", "previous"])
def test_a_page_deep_in_the_list_reads_no_more_than_the_first(
    client: ApiClient, url: str, order_by: str, index: str, link: str
) -> None:
    here = client.get(url, order_by=order_by, limit=20, offset=TICKETS * 3 // 4).json()

    deep = page(plan_of(client, here[link].removeprefix("http://testserver")))

    # One row more than the page, and the row at the place itself.
    assert reads(deep, index) <= 22
    assert "Sort" not in {node["Node Type"] for node in deep}


def test_a_status_is_read_in_order_from_its_own_index(client: ApiClient, url: str) -> None:
    plan = page(plan_of(client, url, status="open", limit=20))

    assert reads(plan, "ticket_status") == 21
    assert "Sort" not in {node["Node Type"] for node in plan}


def test_a_ticket_is_found_by_its_number_in_the_index(client: ApiClient, url: str) -> None:
    plan = plan_of(client, f"{url}/{TICKETS // 2}", mark_read="false")

    assert reads(plan, "ticket_number_unique") == 1


def test_a_ticket_is_found_by_its_id_in_the_index(
    client: ApiClient, url: str, busy: Project
) -> None:
    ticket = Ticket.objects.get(project=busy, ticket_number=1)

    plan = plan_of(client, f"{url}/{ticket.pk}", mark_read="false")

    assert reads(plan, "conversations_ticket_pkey") == 1


def test_an_offset_passes_over_entries_of_the_index_and_not_over_rows(
    client: ApiClient, url: str
) -> None:
    plan = page(plan_of(client, url, limit=20, offset=TICKETS // 2))

    passed = next(node for node in plan if node.get("Index Name") == "ticket_updated")
    assert passed["Node Type"] == "Index Only Scan"
    assert reads(plan, "conversations_ticket_pkey") == 21


def test_a_customers_tickets_are_found_by_their_index(client: ApiClient, url: str) -> None:
    plan = page(plan_of(client, url, distinct_ids="customer-5,customer-6"))

    assert reads(plan, "ticket_distinct_id") == 2


def counting(plan: Plan) -> Plan:
    """The nodes of the subplan that counts."""
    (top,) = [node for node in plan if node.get("Parent Relationship") == "InitPlan"]
    return nodes(top)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, TICKETS),
        ({"status": "open"}, TICKETS // 20),
        ({"status": "new,open,resolved"}, TICKETS),
    ],
)
def test_a_list_is_counted_by_the_index_of_the_totals_alone(
    client: ApiClient, url: str, query: dict[str, str], count: int
) -> None:
    assert client.get(url, limit=1, **query).json()["count"] == count

    plan = counting(plan_of(client, url, limit=20, **query))

    relations = {(node["Node Type"], node["Relation Name"]) for node in plan if "Alias" in node}
    assert relations == {("Index Only Scan", "conversations_tickettotal")}
    assert reads(plan, "conversations_tickettotal_pkey") <= 10


def test_a_view_of_a_status_is_counted_so_too(client: ApiClient, url: str) -> None:
    body = {"name": "Open", "filters": {"status": ["open"]}}
    view = client.post(url.replace("/tickets", "/views"), body).json()["short_id"]

    plan = counting(plan_of(client, url, limit=20, view=view))

    assert {node["Relation Name"] for node in plan if "Alias" in node} == {
        "conversations_tickettotal"
    }


def test_a_list_of_more_than_a_status_is_counted_by_the_tickets(
    client: ApiClient, url: str
) -> None:
    plan = counting(plan_of(client, url, limit=20, status="open", unread="true"))

    assert {node["Relation Name"] for node in plan if "Alias" in node} == {"conversations_ticket"}


def test_persons_are_found_by_distinct_id_in_the_index(client: ApiClient, url: str) -> None:
    plan = plan_of(client, url, of="projects_person", limit=20)

    assert reads(plan, "distinct_id_unique") <= 21
    assert not {"projects_person", "projects_persondistinctid"} & scanned_whole(plan)


def test_persons_are_found_by_address_in_the_index(client: ApiClient, url: str) -> None:
    plan = plan_of(client, url, of="projects_person", limit=20)

    assert reads(plan, "person_email") <= 21
