"""How PostgreSQL runs the hot queries over many rows: by which index, and reading how much."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.events import verbs as events
from conversations.models import Event, Message, SavedView, Ticket, Webhook
from projects.models import ApiKey, Project
from rest import idempotency
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
    return nodes(tree_of(explained))


def tree_of(explained: Any) -> Any:
    # The driver may leave JSON as text, depending on how it is set up.
    return (json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]


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


def test_a_status_is_read_in_order_from_an_index(client: ApiClient, url: str) -> None:
    plan = page(plan_of(client, url, status="open", limit=20))

    # That of all unresolved tickets is the smaller one, but not by much where nearly all are open.
    names = {node.get("Index Name") for node in plan}
    [index] = {"ticket_unresolved", "ticket_status"} & names
    assert reads(plan, index) == 21
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
    """The nodes of the subplan that counts, with those of its own subplans."""
    top, *_ = [node for node in plan if node.get("Parent Relationship") == "InitPlan"]
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


def test_what_is_not_snoozed_is_counted_by_what_is(client: ApiClient, url: str) -> None:
    plan = counting(plan_of(client, url, limit=20, status="open,resolved", snoozed="false"))

    # By the index alone or by a bitmap of it, as the planner likes.
    assert "Seq Scan" not in {node["Node Type"] for node in plan}
    indexes = {node["Index Name"] for node in plan if "Index Name" in node}
    assert indexes == {"ticket_snoozed_until", "conversations_tickettotal_pkey"}
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


# --- What else there is much of ----------------------------------------------

LONG, MANY = 3_000, 10_000
_CROWD = [
    # One conversation goes on for very long.
    """
    INSERT INTO conversations_message (
        id, project_id, ticket_id, seq, author_type, content, is_private, created_at
    )
    SELECT gen_random_uuid(), project_id, ticket.id, seq, 'support', 'Hello', FALSE,
        ticket.created_at + seq * interval '1 second'
    FROM conversations_ticket AS ticket,
        generate_series(1, CASE ticket_number WHEN 1 THEN %(long)s ELSE 1 END) AS seq
    WHERE project_id = %(project)s AND ticket_number <= %(many)s
    """,
    """
    UPDATE conversations_ticket SET last_seq = %(long)s
    WHERE project_id = %(project)s AND ticket_number = 1
    """,
    "UPDATE projects_project SET last_ticket_number = %(tickets)s WHERE id = %(project)s",
    """
    INSERT INTO projects_apikey (project_id, label, scopes, digest, previous_digest, created_at)
    SELECT %(project)s, 'one of many', '{}', md5('now' || n), md5('then' || n), now()
    FROM generate_series(1, %(many)s) AS n
    """,
    """
    INSERT INTO rest_storedanswer (digest, fingerprint, status, headers, body, about, created_at)
    SELECT md5(n::text), '', 200, '{}', '', ARRAY[gen_random_uuid()], now()
    FROM generate_series(1, %(many)s) AS n
    """,
    """
    INSERT INTO conversations_savedview (id, project_id, short_id, name, filters, created_at)
    SELECT gen_random_uuid(), %(project)s, n, 'one of many', '{}', now()
    FROM generate_series(1, %(many)s) AS n
    """,
    """
    INSERT INTO conversations_event (
        id, project_id, ticket_id, ticket_number, type, actor, changes, created_at
    )
    SELECT gen_random_uuid(), project_id, id, ticket_number, 'ticket.updated',
        '{"type": "system", "id": null, "name": null}', '{}', now()
    FROM conversations_ticket WHERE project_id = %(project)s AND ticket_number <= %(many)s
    """,
    """
    INSERT INTO conversations_delivery (
        id, project_id, webhook_id, event_id, status, created_at
    )
    SELECT gen_random_uuid(), %(project)s, webhook.id, event.id,
        CASE event.ticket_number %% 100 WHEN 0 THEN 'failed' ELSE 'succeeded' END, event.created_at
    FROM conversations_event AS event, conversations_webhook AS webhook
    WHERE event.project_id = %(project)s AND webhook.project_id = %(project)s
    """,
]
_CROWDED = (
    "conversations_delivery",
    "conversations_event",
    "conversations_message",
    "conversations_savedview",
    "projects_apikey",
    "rest_storedanswer",
)
_LARGE = {*_CROWDED, "conversations_ticket", "projects_person", "projects_persondistinctid"}


@pytest.fixture(scope="module")
def crowded(busy: Project) -> Project:
    """The other busy project, with many rows of all other kinds that grow, to be written to."""
    project = Project.objects.filter(name="Busy as well").latest("pk")
    Webhook.objects.create(project=project, url="https://example.org/", enabled=False)
    values = {"project": project.pk, "long": LONG, "many": MANY, "tickets": TICKETS}
    with connection.cursor() as cursor:
        for statement in _CROWD:
            cursor.execute(statement, values)
        cursor.execute(f"VACUUM (ANALYZE) {', '.join(_CROWDED)}, conversations_ticket")
    return project


@pytest.fixture
def inside(crowded: Project) -> ApiClient:
    _, secret = ApiKey.issue(project=crowded, label="plans", scopes=["*"])
    return ApiClient(secret)


@pytest.fixture
def crowd_url(crowded: Project) -> str:
    return f"/api/projects/{crowded.pk}"


Call = Callable[[], Any]
_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE)\b")


def plans_of(call: Call) -> list[tuple[str, Plan]]:
    """Each statement of a call that names one of the large tables, with its plan.

    Those that only read are run once more, to see how much.
    """
    with CaptureQueriesContext(connection) as captured:
        call()
    found = []
    for query in captured.captured_queries:
        sql = query["sql"]
        if any(name in sql for name in _LARGE):
            with connection.cursor() as cursor:
                analyze = "" if _WRITES.search(sql) else "ANALYZE, "
                cursor.execute(f"EXPLAIN ({analyze}FORMAT JSON) {sql}")
                (explained,) = cursor.fetchone()
            found.append((sql, nodes(tree_of(explained))))
    return found


def read_by(plan: Plan) -> int:
    """How many rows of large tables a statement read, those that a filter dropped included."""
    read = [
        (node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0))
        * node.get("Actual Loops", 1)
        for node in plan
        if node.get("Relation Name") in _LARGE
    ]
    return int(sum(read))


def assert_found_by_indexes(call: Call) -> None:
    """Each statement of it reads no more rows than belong to what is asked for."""
    found = plans_of(call)
    assert found
    for sql, plan in found:
        assert not scanned_whole(plan) & _LARGE, sql
        assert read_by(plan) <= 20, sql


@pytest.mark.parametrize(
    "path",
    [
        "tickets/2",
        "tickets/2/messages",
        "tickets/2/activity",
        "views/777",
        "tickets?view=777&distinct_ids=customer-7",
        "tickets?ids=00000000-0000-0000-0000-000000000000",
        "tickets?emails=mail-7@example.org",
        "events?limit=10",
    ],
)
def test_what_is_asked_for_by_name_is_found_by_an_index(
    inside: ApiClient, crowd_url: str, path: str
) -> None:
    address = f"{crowd_url}/conversations/{path}"

    def read() -> None:
        assert inside.get(address).status_code == 200

    assert_found_by_indexes(read)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "tickets", {"message": "Hi", "distinct_id": "customer-7"}),
        ("PATCH", "tickets/2", {"priority": "critical"}),
        ("PATCH", "tickets/2", {"tags": ["vip"]}),
        ("POST", "tickets/1/messages", {"content": "Hi"}),
        ("POST", "tickets/1/messages", {"content": "Hi", "author_type": "customer"}),
        ("POST", "tickets/2/reply", {"message": "Hi"}),
        ("POST", "tickets/2/mark_unread", None),
        ("DELETE", "tickets/3", None),
    ],
)
def test_a_write_finds_what_it_changes_by_indexes(
    inside: ApiClient, crowd_url: str, method: str, path: str, body: Any
) -> None:
    address = f"{crowd_url}/conversations/{path}"

    def write() -> None:
        response = inside.request(method, address, body)
        assert response.status_code in (200, 201, 204), response.content

    assert_found_by_indexes(write)


def test_a_message_is_edited_and_deleted_by_indexes(
    inside: ApiClient, crowded: Project, crowd_url: str
) -> None:
    message = Message.objects.get(ticket__project=crowded, ticket__ticket_number=5)
    address = f"{crowd_url}/conversations/tickets/5/messages/{message.pk}"

    assert_found_by_indexes(lambda: inside.patch(address, {"content": "Bye"}))
    assert_found_by_indexes(lambda: inside.delete(address))


@pytest.mark.parametrize("order", ["next", "previous"])
def test_a_page_far_in_a_long_conversation_reads_no_more_than_its_messages(
    inside: ApiClient, crowd_url: str, order: str
) -> None:
    address = f"{crowd_url}/conversations/tickets/1/messages"
    here = inside.get(address, limit=20, offset=LONG // 2).json()

    plan = page(
        plan_of(inside, here[order].removeprefix("http://testserver"), of="conversations_message")
    )

    assert reads(plan, "message_seq_unique") <= 22
    assert "Sort" not in {node["Node Type"] for node in plan}


@pytest.mark.parametrize(
    ("query", "index"), [({}, "delivery_list"), ({"status": "failed"}, "delivery_by_status")]
)
def test_deliveries_are_listed_in_the_order_of_their_index(
    inside: ApiClient, crowded: Project, crowd_url: str, query: dict[str, str], index: str
) -> None:
    webhook = Webhook.objects.get(project=crowded)

    plan = page(
        plan_of(
            inside,
            f"{crowd_url}/webhooks/{webhook.pk}/deliveries",
            of="conversations_delivery",
            limit=20,
            **query,
        )
    )

    assert reads(plan, index) == 21
    assert "Sort" not in {node["Node Type"] for node in plan}


def test_a_followed_feed_reads_what_came_since(
    inside: ApiClient, crowded: Project, crowd_url: str
) -> None:
    feed = f"{crowd_url}/conversations/events"
    half = Event.objects.filter(project=crowded).order_by("position")[MANY // 2]

    assert_found_by_indexes(lambda: inside.get(feed, after=half.pk, limit=10))


@pytest.mark.parametrize("rotated", [False, True])
def test_a_key_is_found_by_either_of_its_digests(
    crowded: Project, crowd_url: str, rotated: bool
) -> None:
    api_key, secret = ApiKey.issue(project=crowded, label="new to the cache", scopes=["*"])
    if rotated:
        api_key.rotate(overlap=timedelta(hours=1))

    found = plans_of(lambda: ApiClient(secret).get(crowd_url))

    (plan,) = (plan for sql, plan in found if sql.startswith("SELECT"))
    used = {node["Index Name"] for node in plan if "Index Name" in node}
    # A unique text has an index of its own for LIKE, which serves as well.
    assert {re.sub("digest_.*", "digest", name) for name in used} == {
        "projects_apikey_digest",
        "projects_apikey_previous_digest",
    }
    assert read_by(plan) == 1


def test_a_repeated_request_is_found_by_its_digest(inside: ApiClient, crowd_url: str) -> None:
    address = f"{crowd_url}/conversations/tickets/2/messages"

    def post() -> None:
        asked = inside.request("POST", address, {"content": "Hi"}, idempotency_key="plans")
        assert asked.status_code == 201

    assert_found_by_indexes(post)
    assert_found_by_indexes(post)


@pytest.mark.usefixtures("crowded")
@pytest.mark.parametrize("prune", [idempotency.prune, events.prune])
def test_what_is_kept_long_enough_is_found_by_its_time(prune: Call) -> None:
    assert_found_by_indexes(prune)


@pytest.mark.usefixtures("crowded")
def test_saved_views_are_found_by_their_project() -> None:
    small = Project.objects.create(name="Small")
    SavedView.objects.create(project=small, name="One", filters={})
    _, secret = ApiKey.issue(project=small, label="plans", scopes=["*"])
    address = f"/api/projects/{small.pk}/conversations/views"

    assert_found_by_indexes(lambda: ApiClient(secret).get(address))
