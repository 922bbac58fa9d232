"""POST …/tickets/bulk_update_status, bulk_update_tags and bulk_assign."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.models import Ticket
from conversations.search import of_ticket
from projects.models import Membership, Project, Role, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of
from tests.threads import InBackground, at_once, wait_until_blocked

# What each takes besides the ids.
BULKS: dict[str, dict[str, Any]] = {
    "bulk_update_status": {"status": "pending"},
    "bulk_update_tags": {"action": "add", "tags": ["vip"]},
    "bulk_assign": {"assignee": None},
}
each_bulk = pytest.mark.parametrize("bulk", BULKS)


@pytest.fixture
def agent(project: Project) -> User:
    user = User.objects.create_user(f"agent-{project.pk}@example.org")
    Membership.objects.create(project=project, user=user)
    return user


Bulk = Callable[..., Any]


@pytest.fixture
def bulk(writer: ApiClient, tickets_url: str) -> Bulk:
    """`bulk("bulk_update_status", ids, status="open")`; the answer, which must be a 200."""

    def post(name: str, ids: list[str], **fields: Any) -> Any:
        response = writer.post(f"{tickets_url}/{name}", {"ids": ids, **fields})
        assert response.status_code == 200, response.content
        return response.json()

    return post


Look = Callable[..., Any]


@pytest.fixture
def look(writer: ApiClient, tickets_url: str) -> Look:
    """A ticket as it is now, not marked as read by looking."""
    return lambda ticket: writer.get(f"{tickets_url}/{ticket['id']}", mark_read="false").json()


def refusal(response: Any) -> tuple[int, str, str | None]:
    body = response.json()
    return response.status_code, body["code"], body["attr"]


def many(project: Project, count: int, **fields: Any) -> list[str]:
    """The ids of so many tickets, made at once."""
    tickets = Ticket.objects.bulk_create(
        Ticket(project=project, ticket_number=number + 1, distinct_id=str(number), **fields)
        for number in range(count)
    )
    return [str(ticket.pk) for ticket in tickets]


# --- What is changed and what is answered ------------------------------------


def test_the_answer_names_what_changed_in_the_order_of_the_request(
    bulk: Bulk, make_ticket: MakeTicket
) -> None:
    first, second, third = (make_ticket()["id"] for _ in range(3))
    bulk("bulk_update_status", [second], status="open")

    assert bulk("bulk_update_status", [third, second, first], status="open") == {
        "updated": 2,
        "ids": [third, first],
    }


def test_a_status_is_given_to_all(bulk: Bulk, make_ticket: MakeTicket, look: Look) -> None:
    tickets = [make_ticket(status=status) for status in ("new", "open", "resolved")]
    spared = make_ticket()

    bulk("bulk_update_status", [ticket["id"] for ticket in tickets], status="pending")

    assert [look(ticket)["status"] for ticket in tickets] == ["pending"] * 3
    assert look(spared) == spared


def test_assigning_shows_the_agent_then_the_role_then_nobody(
    bulk: Bulk, make_ticket: MakeTicket, look: Look, agent: User, project: Project
) -> None:
    role = Role.objects.create(project=project, name="Billing")
    ticket = make_ticket()
    ids = [ticket["id"]]

    bulk("bulk_assign", ids, assignee={"type": "user", "id": agent.pk})
    to_agent = look(ticket)["assignee"]
    bulk("bulk_assign", ids, assignee={"type": "role", "id": str(role.pk)})
    to_role = look(ticket)["assignee"]
    bulk("bulk_assign", ids, assignee=None)

    assert (to_agent["user"], to_agent["role"]) == ({"email": agent.email}, None)
    assert (to_role["user"], to_role["role"]) == (None, {"name": "Billing"})
    assert look(ticket)["assignee"] is None


@pytest.mark.parametrize(
    ("action", "tags", "expected"),
    [
        ("add", ["New"], [["a", "b", "new"], ["new"]]),
        ("add", ["b", " A "], [["a", "b"], ["a", "b"]]),
        ("add", [], [["a", "b"], []]),
        ("remove", ["B", "c"], [["a"], []]),
        ("remove", [], [["a", "b"], []]),
        ("remove", ["a", "b"], [[], []]),
        ("set", ["z", "A", "z "], [["a", "z"], ["a", "z"]]),
        ("set", [], [[], []]),
    ],
)
def test_tags_are_added_removed_or_replaced(
    bulk: Bulk,
    make_ticket: MakeTicket,
    look: Look,
    action: str,
    tags: list[str],
    expected: list[list[str]],
) -> None:
    tickets = [make_ticket(tags=["a", "b"]), make_ticket()]

    answer = bulk(
        "bulk_update_tags", [ticket["id"] for ticket in tickets], action=action, tags=tags
    )

    now = [look(ticket) for ticket in tickets]
    assert [ticket["tags"] for ticket in now] == expected
    changed = [
        new["id"] for old, new in zip(tickets, now, strict=True) if old["tags"] != new["tags"]
    ]
    assert answer == {"updated": len(changed), "ids": changed}


@each_bulk
def test_what_does_not_differ_is_not_touched(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, look: Look, bulk: str
) -> None:
    ticket = make_ticket(status="pending", tags=["vip"])

    response = writer.post(f"{tickets_url}/{bulk}", {"ids": [ticket["id"]], **BULKS[bulk]})

    assert response.json() == {"updated": 0, "ids": []}
    assert look(ticket) == ticket


def test_an_id_that_is_named_twice_counts_once(bulk: Bulk, make_ticket: MakeTicket) -> None:
    one = make_ticket()["id"]

    assert bulk("bulk_update_status", [one, one.upper(), one], status="open") == {
        "updated": 1,
        "ids": [one],
    }


def test_ids_of_other_projects_and_of_nothing_are_ignored(
    bulk: Bulk, make_ticket: MakeTicket, neighbour: Project, client_for: ClientFor
) -> None:
    own = make_ticket()["id"]
    foreign = client_for(neighbour, "*").post(tickets_url_of(neighbour)).json()["id"]

    answer = bulk("bulk_update_status", [foreign, own, str(uuid4())], status="resolved")

    assert answer == {"updated": 1, "ids": [own]}
    assert Ticket.objects.get(pk=foreign).status == "new"


def test_resolved_at_follows_the_status(bulk: Bulk, make_ticket: MakeTicket, look: Look) -> None:
    fresh, resolved = make_ticket(), make_ticket(status="resolved")
    ids = [fresh["id"], resolved["id"]]

    bulk("bulk_update_status", ids, status="resolved")

    assert look(fresh)["resolved_at"] == look(fresh)["updated_at"]
    assert look(resolved)["resolved_at"] == resolved["resolved_at"]

    bulk("bulk_update_status", ids, status="open")

    assert [look(ticket)["resolved_at"] for ticket in (fresh, resolved)] == [None, None]


@pytest.mark.parametrize("status", ["new", "open", "pending", "on_hold", "resolved"])
@pytest.mark.parametrize(
    "before",
    [
        {"status": "resolved"},
        {"status": "open"},
        {"snoozed_until": "2999-01-01T00:00:00Z"},
        {"snoozed_until": "2999-01-01T00:00:00Z", "status": "resolved"},
    ],
    ids=str,
)
def test_what_follows_is_what_follows_a_patch(
    bulk: Bulk,
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    look: Look,
    status: str,
    before: dict[str, Any],
) -> None:
    together, alone = make_ticket(**before), make_ticket(**before)

    answer = bulk("bulk_update_status", [together["id"]], status=status)
    writer.patch(f"{tickets_url}/{alone['id']}", {"status": status})

    after = [look(together), look(alone)]
    assert [ticket["snoozed_until"] for ticket in after] == [after[0]["snoozed_until"]] * 2
    assert [ticket["status"] for ticket in after] == [status] * 2
    assert len({ticket["resolved_at"] is None for ticket in after}) == 1
    assert answer["updated"] == int(after[1]["updated_at"] != alone["updated_at"])


def test_updated_at_moves_forward_though_clocks_differ(
    bulk: Bulk, make_ticket: MakeTicket, look: Look
) -> None:
    late, early = make_ticket(), make_ticket()
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    Ticket.objects.filter(pk=late["id"]).update(updated_at=ahead)

    bulk("bulk_update_status", [late["id"], early["id"]], status="open")

    assert datetime.fromisoformat(look(late)["updated_at"]) > ahead
    assert early["updated_at"] < look(early)["updated_at"] < look(late)["updated_at"]


def test_a_bulk_changes_nothing_else(
    bulk: Bulk, make_ticket: MakeTicket, look: Look, agent: User
) -> None:
    ticket = make_ticket(
        message="Hi",
        tags=["a"],
        priority="high",
        anonymous_traits={"n": 1e300},
        assignee={"type": "user", "id": agent.pk},
        email_from="ada@example.com",
    )

    bulk("bulk_update_status", [ticket["id"]], status="open")
    bulk("bulk_update_tags", [ticket["id"]], action="add", tags=["b"])
    bulk("bulk_assign", [ticket["id"]], assignee=None)

    after = look(ticket)
    assert after == {
        **ticket,
        "status": "open",
        "tags": ["a", "b"],
        "assignee": None,
        "updated_at": after["updated_at"],
    }


def test_the_search_finds_the_new_tags(bulk: Bulk, make_ticket: MakeTicket) -> None:
    tickets = [make_ticket(tags=["old"], email_subject="Parcel"), make_ticket(tags=["old"])]
    ids = [ticket["id"] for ticket in tickets]

    bulk("bulk_update_tags", ids, action="set", tags=["very new"])

    for pk in ids:
        ticket = Ticket.objects.get(pk=pk)
        stored: Any = ticket.search
        ticket.search = of_ticket(ticket)
        ticket.save(update_fields=["search"])
        assert stored == Ticket.objects.get(pk=pk).search
        assert "very" in stored
        assert "old" not in stored


def test_resolving_many_tickets_takes_them_out_of_the_unread_count(
    bulk: Bulk, make_ticket: MakeTicket, writer: ApiClient, unread_count_url: str
) -> None:
    ids = [make_ticket(message="Hi")["id"] for _ in range(3)]
    assert writer.get(unread_count_url).json() == {"count": 3}

    bulk("bulk_update_status", ids[:2], status="resolved")

    assert writer.get(unread_count_url).json() == {"count": 1}


# --- What is refused ---------------------------------------------------------


@each_bulk
@pytest.mark.parametrize(
    ("ids", "code", "attr"),
    [
        (None, "null", "ids"),
        ([], "empty", "ids"),
        ("0192f0c1-2b3c-7d4e-8f50-617283940a1b", "not_a_list", "ids"),
        ({}, "not_a_list", "ids"),
        (5, "not_a_list", "ids"),
        ([str(UUID(int=number)) for number in range(501)], "max_length", "ids"),
        ([str(UUID(int=1))] * 501, "max_length", "ids"),
        (["x"] * 100_000, "max_length", "ids"),
        ([*[str(UUID(int=1))] * 3, "x"], "invalid_input", "ids__3"),
        ([1], "invalid_input", "ids__0"),
        ([True], "invalid_input", "ids__0"),
        ([None], "null", "ids__0"),
        ([[]], "invalid_input", "ids__0"),
        ([""], "invalid_input", "ids__0"),
        (["0192f0c12b3c7d4e8f50617283940a1b"], "invalid_input", "ids__0"),
        (["urn:uuid:0192f0c1-2b3c-7d4e-8f50-617283940a1b"], "invalid_input", "ids__0"),
        (["{0192f0c1-2b3c-7d4e-8f50-617283940a1b}"], "invalid_input", "ids__0"),
        (["0192f0c1-2b3c-7d4e-8f50-617283940a1b\n"], "invalid_input", "ids__0"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_ids_are_refused(
    writer: ApiClient, tickets_url: str, bulk: str, ids: Any, code: str, attr: str
) -> None:
    response = writer.post(f"{tickets_url}/{bulk}", {"ids": ids, **BULKS[bulk]})

    assert refusal(response) == (400, code, attr)


@pytest.mark.parametrize(
    ("bulk", "change", "code", "attr"),
    [
        ("bulk_update_status", {"status": "opne"}, "invalid_choice", "status"),
        ("bulk_update_status", {"status": None}, "null", "status"),
        ("bulk_update_status", {"status": ["open"]}, "invalid_choice", "status"),
        ("bulk_update_status", {"priority": "low"}, "unknown_field", "priority"),
        ("bulk_update_tags", {"action": "append"}, "invalid_choice", "action"),
        ("bulk_update_tags", {"action": None}, "null", "action"),
        ("bulk_update_tags", {"tags": None}, "null", "tags"),
        ("bulk_update_tags", {"tags": "vip"}, "not_a_list", "tags"),
        ("bulk_update_tags", {"tags": [" "]}, "blank", "tags__0"),
        ("bulk_update_tags", {"tags": ["ok", 5]}, "invalid_input", "tags__1"),
        ("bulk_update_tags", {"tags": ["x" * 201]}, "max_length", "tags__0"),
        ("bulk_update_tags", {"tags": [str(n) for n in range(101)]}, "max_length", "tags"),
        ("bulk_update_tags", {"status": "open"}, "unknown_field", "status"),
        ("bulk_assign", {"assignee": 5}, "invalid_input", "assignee"),
        ("bulk_assign", {"assignee": {"type": "user", "id": 0}}, "invalid_input", "assignee"),
        ("bulk_assign", {"role": None}, "unknown_field", "role"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_wrong_change_is_refused_and_changes_nothing(
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    look: Look,
    bulk: str,
    change: dict[str, Any],
    code: str,
    attr: str,
) -> None:
    ticket = make_ticket()
    body = {"ids": [ticket["id"]], **BULKS[bulk], **change}

    assert refusal(writer.post(f"{tickets_url}/{bulk}", body)) == (400, code, attr)

    assert look(ticket) == ticket


@pytest.mark.parametrize(
    ("bulk", "missing"),
    [(bulk, name) for bulk, fields in BULKS.items() for name in ("ids", *fields)],
)
def test_every_field_is_required(
    writer: ApiClient, tickets_url: str, bulk: str, missing: str
) -> None:
    body = {"ids": [str(uuid4())], **BULKS[bulk]}
    del body[missing]

    assert refusal(writer.post(f"{tickets_url}/{bulk}", body)) == (400, "required", missing)


def test_an_assignee_of_another_project_is_refused(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, look: Look, neighbour: Project
) -> None:
    role = Role.objects.create(project=neighbour, name="Billing")
    ticket = make_ticket()
    body = {"ids": [ticket["id"]], "assignee": {"type": "role", "id": str(role.pk)}}

    response = writer.post(f"{tickets_url}/bulk_assign", body)

    assert refusal(response) == (400, "invalid_input", "assignee")
    assert response.json()["detail"] == "role does not belong to this project"
    assert look(ticket) == ticket


def test_a_ticket_that_would_have_more_than_a_hundred_tags_stops_all(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, look: Look
) -> None:
    before = make_ticket()
    full = make_ticket(tags=[f"{number:03}" for number in range(100)])
    after = make_ticket()
    ids = [ticket["id"] for ticket in (before, full, after)]

    response = writer.post(
        f"{tickets_url}/bulk_update_tags", {"ids": ids, "action": "add", "tags": ["vip"]}
    )

    assert refusal(response) == (400, "max_length", "tags")
    assert f"#{full['ticket_number']} " in response.json()["detail"]
    assert [look(ticket) for ticket in (before, full, after)] == [before, full, after]


def test_a_ticket_with_a_hundred_tags_may_get_one_that_it_has(
    bulk: Bulk, make_ticket: MakeTicket
) -> None:
    full = make_ticket(tags=[f"{number:03}" for number in range(100)])
    other = make_ticket()

    answer = bulk("bulk_update_tags", [full["id"], other["id"]], action="add", tags=["050"])

    assert answer["ids"] == [other["id"]]


@each_bulk
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(
    writer: ApiClient, tickets_url: str, bulk: str, method: str
) -> None:
    response = writer.request(method, f"{tickets_url}/{bulk}", BULKS[bulk])

    assert refusal(response) == (405, "method_not_allowed", None)


@each_bulk
def test_it_needs_the_scope_to_write(
    client_for: ClientFor, project: Project, tickets_url: str, make_ticket: MakeTicket, bulk: str
) -> None:
    body = {"ids": [make_ticket()["id"]], **BULKS[bulk]}

    response = client_for(project, "ticket:read").post(f"{tickets_url}/{bulk}", body)

    assert refusal(response) == (403, "permission_denied", None)


# --- What it costs -----------------------------------------------------------


@pytest.mark.parametrize("count", [1, 500])
@pytest.mark.parametrize(
    ("bulk", "fields", "cost"),
    [
        # The tickets, locked; writing them.
        ("bulk_update_status", {"status": "resolved"}, 2),
        ("bulk_update_tags", {"action": "set", "tags": ["a", "b"]}, 2),
        # The member as well.
        ("bulk_assign", {"assignee": "agent"}, 3),
    ],
)
def test_a_bulk_costs_the_same_for_any_number_of_tickets(
    writer: ApiClient,
    tickets_url: str,
    project: Project,
    agent: User,
    bulk: str,
    fields: dict[str, Any],
    cost: int,
    count: int,
) -> None:
    ids = many(project, count)
    writer.get(tickets_url, limit=1)
    if "assignee" in fields:
        fields = {"assignee": {"type": "user", "id": agent.pk}}

    with CaptureQueriesContext(connection) as captured:
        answer = writer.post(f"{tickets_url}/{bulk}", {"ids": ids, **fields}).json()

    assert answer == {"updated": count, "ids": ids}
    bounds = ("BEGIN", "COMMIT")
    found = [query["sql"] for query in captured if not query["sql"].startswith(bounds)]
    # Besides: the persons that the events show, and the events.
    assert len(found) == cost + 2, [sql[:200] for sql in found]


# --- At the same time --------------------------------------------------------


@pytest.fixture
def unsorted_scans() -> Iterator[None]:
    """New connections read tables as they lie on disk, not by an index that is sorted."""
    settings = ("enable_indexscan", "enable_bitmapscan")
    with connection.cursor() as cursor:
        database = connection.ops.quote_name(connection.settings_dict["NAME"])
        for name in settings:
            cursor.execute(f"ALTER DATABASE {database} SET {name} = off")
        yield
        for name in settings:
            cursor.execute(f"ALTER DATABASE {database} RESET {name}")


@pytest.mark.usefixtures("unsorted_scans")
def test_tickets_are_locked_in_the_order_of_their_ids_wherever_they_lie(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ids = sorted(make_ticket()["id"] for _ in range(3))
    # A changed row is written anew, behind the others.
    writer.patch(f"{tickets_url}/{ids[0]}", {"priority": "low"})
    body = {"ids": ids[::-1], "status": "open"}
    with transaction.atomic():
        Ticket.objects.select_for_update().get(pk=ids[0])
        waiting = InBackground(writer.post, f"{tickets_url}/bulk_update_status", body)
        wait_until_blocked()
        # It waits for the first one, and holds none of the others.
        locked = Ticket.objects.filter(pk__in=ids[1:]).select_for_update(skip_locked=True)
        held_by_nobody = len(locked)
    with waiting:
        assert waiting.result().json()["ids"] == ids[::-1]

    assert held_by_nobody == 2


def test_bulks_in_opposite_order_do_not_deadlock(
    client_for: ClientFor, project: Project, tickets_url: str
) -> None:
    ids = many(project, 60)
    before = _deadlocks()

    def work(number: int) -> list[int]:
        api = client_for(project, "ticket:write")
        named = ids if number % 2 else ids[::-1]
        statuses = ["open", "pending", "on_hold", "resolved"]
        return [
            api.post(
                f"{tickets_url}/bulk_update_status",
                {"ids": named, "status": statuses[(number + step) % 4]},
            ).status_code
            for step in range(5)
        ]

    answers = at_once(*[lambda number=number: work(number) for number in range(4)])

    assert answers == [[200] * 5] * 4
    # One that the service had tried again would not show in the answers.
    assert _deadlocks() == before
    assert Ticket.objects.filter(pk__in=ids).values("status").distinct().count() == 1


def _deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def test_a_bulk_and_a_patch_at_once_lose_nothing(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, look: Look
) -> None:
    ticket = make_ticket(tags=["a"])
    with transaction.atomic():
        row = Ticket.objects.select_for_update().get(pk=ticket["id"])
        waiting = InBackground(
            writer.post,
            f"{tickets_url}/bulk_update_tags",
            {"ids": [ticket["id"]], "action": "add", "tags": ["c"]},
        )
        wait_until_blocked()
        row.tags = ["a", "b"]
        row.save(update_fields=["tags"])
    with waiting:
        assert waiting.result().json()["updated"] == 1

    assert look(ticket)["tags"] == ["a", "b", "c"]


def test_a_ticket_that_is_deleted_meanwhile_is_ignored(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    gone, kept = (make_ticket()["id"] for _ in range(2))
    with transaction.atomic():
        Ticket.objects.select_for_update().get(pk=gone).delete()
        waiting = InBackground(
            writer.post,
            f"{tickets_url}/bulk_update_status",
            {"ids": [gone, kept], "status": "open"},
        )
        wait_until_blocked()
    with waiting:
        assert waiting.result().json() == {"updated": 1, "ids": [kept]}
