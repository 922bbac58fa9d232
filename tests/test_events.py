"""A project's events: read to the end, each exactly once, and kept for so long."""

import random
import threading
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations.events import verbs as events
from conversations.events.actors import SYSTEM, Actor
from conversations.events.models import EventType
from conversations.jobs import prune_events
from conversations.models import Event, Ticket, Webhook
from conversations.tickets.verbs import update_ticket
from projects.models import Membership, Project, Role, User, new_uuid
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of
from tests.events import events_of, events_url_of, settle
from tests.jobs import enqueue, run_jobs
from tests.refusals import refusal
from tests.test_queries import statements
from tests.threads import InBackground, at_once, wait_until_blocked


@pytest.fixture
def url(project: Project) -> str:
    return events_url_of(project)


def types(found: list[Any]) -> list[str]:
    return [event["type"] for event in found]


def change(ticket: Any, reason: str) -> None:
    """As a request does, in a transaction that the test holds open."""
    row = Ticket.objects.select_for_update().get(pk=ticket["id"])
    update_ticket(ticket=row, actor=SYSTEM, escalation_reason=reason)


def tell(ticket: Any, count: int, event_type: EventType = EventType.TICKET_UPDATED) -> None:
    """So many events of a ticket, to which nothing happened."""
    row = Ticket.objects.get(pk=ticket["id"])
    events.record([events.of_ticket(event_type, row, actor=SYSTEM) for _ in range(count)])


# --- What they say -----------------------------------------------------------


def test_what_happens_in_a_project_is_told_in_order(
    writer: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str
) -> None:
    one, two = make_ticket(), make_ticket(message="Hi")
    writer.patch(f"{tickets_url}/{one['id']}", {"priority": "low"})
    writer.delete(f"{tickets_url}/{two['id']}")

    found = events_of(writer, project)

    assert [(event["type"], event["ticket_number"]) for event in found] == [
        ("ticket.created", 1),
        ("ticket.created", 2),
        ("message.created", 2),
        ("ticket.updated", 1),
        ("ticket.deleted", 2),
    ]


def test_a_deleted_ticket_is_told_as_it_was_last(
    writer: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(tags=["vip"], message="Hi")

    writer.delete(f"{tickets_url}/{ticket['id']}")

    deleted = events_of(writer, project)[-1]
    assert (deleted["type"], deleted["object"], deleted["changes"]) == (
        "ticket.deleted",
        ticket,
        {},
    )


def test_the_customers_secret_is_in_none(
    writer: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi")
    writer.patch(f"{tickets_url}/{ticket['id']}", {"status": "open"})
    writer.delete(f"{tickets_url}/{ticket['id']}")

    assert "widget_session_id" not in str(events_of(writer, project))


BULKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "bulk_update_status": ({"status": "pending"}, {"status": ["new", "pending"]}),
    "bulk_update_tags": ({"action": "set", "tags": ["a"]}, {"tags": [[], ["a"]]}),
    "bulk_assign": ({"assignee": {"type": "role"}}, {"assignee": [None, {"type": "role"}]}),
}


@pytest.mark.parametrize("bulk", BULKS)
def test_a_bulk_is_an_event_for_each_ticket_that_it_changed(
    writer: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str, bulk: str
) -> None:
    body, changes = BULKS[bulk]
    if "assignee" in body:
        role = Role.objects.create(project=project, name="Billing")
        shown = {"id": str(role.pk), "type": "role", "user": None, "role": {"name": "Billing"}}
        body = {"assignee": {"type": "role", "id": str(role.pk)}}
        changes = {"assignee": [None, shown]}
    ids = [make_ticket()["id"] for _ in range(4)]
    writer.post(f"{tickets_url}/{bulk}", {"ids": ids[:1], **body})
    before = events_of(writer, project)

    assert writer.post(f"{tickets_url}/{bulk}", {"ids": ids, **body}).json()["updated"] == 3

    found = events_of(writer, project)[len(before) :]
    assert [event["ticket_id"] for event in found] == sorted(ids[1:])
    assert [event["changes"] for event in found] == [changes] * 3
    now = {ticket["id"]: ticket for ticket in writer.get(tickets_url).json()["results"]}
    assert [event["object"] for event in found] == [now[event["ticket_id"]] for event in found]


def test_reassigning_many_tells_whom_they_were_taken_from(
    writer: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str
) -> None:
    user = User.objects.create_user(f"agent-{project.pk}@example.com")
    Membership.objects.create(project=project, user=user)
    ticket = make_ticket(assignee={"type": "user", "id": user.pk})

    writer.post(f"{tickets_url}/bulk_assign", {"ids": [ticket["id"]], "assignee": None})

    changes = events_of(writer, project)[-1]["changes"]
    assert changes == {"assignee": [ticket["assignee"], None]}


def test_the_neighbours_events_are_not_told(
    writer: ApiClient, project: Project, neighbour: Project, client_for: ClientFor
) -> None:
    client_for(neighbour, "*").post(tickets_url_of(neighbour), {})

    assert events_of(writer, project) == []


@pytest.mark.parametrize("deep", [1, 20])
def test_numbers_survive_as_they_are_shown(
    writer: ApiClient, project: Project, make_ticket: MakeTicket, deep: int
) -> None:
    value: Any = [1e300, 2**63 - 1, 1.0, 0.1, True, None, "é\u2028😀"]
    for _ in range(deep):
        value = {"a": value}
    ticket = make_ticket(anonymous_traits={"a": value})

    assert events_of(writer, project)[0]["object"] == ticket


# --- Reading on --------------------------------------------------------------


def test_reading_on_goes_from_the_first_to_the_last(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    for _ in range(7):
        make_ticket()
    everything = events_of(reader, project)

    first = reader.get(url, limit=3).json()
    second = reader.get(url, limit=3, after=first["next_after"]).json()
    third = reader.get(url, limit=3, after=second["next_after"]).json()
    end = reader.get(url, limit=3, after=third["next_after"]).json()

    pages = [page["results"] for page in (first, second, third, end)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [event for page in pages for event in page] == everything
    assert [page["next_after"] for page in (first, second, third, end)] == [
        everything[2]["id"],
        everything[5]["id"],
        everything[6]["id"],
        everything[6]["id"],
    ]


def test_before_the_first_event_there_is_nothing_to_go_on_with(reader: ApiClient, url: str) -> None:
    assert reader.get(url).json() == {"results": [], "next_after": None}


def test_a_hundred_come_at_once_and_a_thousand_at_most(
    reader: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    tell(make_ticket(), 1000)

    assert len(events_of(reader, project)) == 100
    assert len(events_of(reader, project, limit=1000)) == 1000
    assert len(events_of(reader, project, limit=5000)) == 1000


def test_an_answer_ends_before_it_is_too_large_and_says_where_to_go_on(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    tell(make_ticket(), 50)
    Event.objects.filter(project=project).update(changes={"title": [None, "x" * 200_000]})
    settle()

    pages = [reader.get(url)]
    while pages[-1].json()["results"]:
        pages.append(reader.get(url, after=pages[-1].json()["next_after"]))

    assert [len(page.json()["results"]) for page in pages] == [20, 20, 11, 0]
    assert max(len(page.content) for page in pages) < 4.2 * 1024 * 1024
    ids = [event["id"] for page in pages for event in page.json()["results"]]
    kept = Event.objects.filter(project=project).order_by("position")
    assert ids == [str(pk) for pk in kept.values_list("pk", flat=True)]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": "0"}, "min_value"),
        ({"limit": "x"}, "invalid_input"),
        ({"after": "x"}, "invalid_input"),
        ({"after": ""}, "invalid_input"),
        ({"after": "6d1c2a524a5b4f6a9d590b7d4c1f3e21"}, "invalid_input"),
        ({"offset": "1"}, "unknown_parameter"),
    ],
)
def test_a_wrong_parameter_is_refused(
    reader: ApiClient, url: str, query: dict[str, str], code: str
) -> None:
    ((name, _),) = query.items()

    assert refusal(reader.get(url, **query)) == (400, code, name)


@pytest.mark.parametrize("version", [4, 7])
def test_an_event_that_never_was_is_refused(reader: ApiClient, url: str, version: int) -> None:
    unknown = new_uuid() if version == 7 else "6f1c0d57-5f0e-4a0e-8d53-1f1a1b1c1d1e"

    assert refusal(reader.get(url, after=str(unknown))) == (400, "does_not_exist", "after")


def test_an_event_of_another_project_is_refused(
    reader: ApiClient, url: str, neighbour: Project, client_for: ClientFor
) -> None:
    next_door = client_for(neighbour, "*")
    next_door.post(tickets_url_of(neighbour), {})
    (foreign,) = events_of(next_door, neighbour)

    assert refusal(reader.get(url, after=foreign["id"])) == (400, "does_not_exist", "after")


def test_it_needs_the_scope(client_for: ClientFor, project: Project, url: str) -> None:
    assert client_for(project, "person:read", "webhook:read").get(url).status_code == 403
    assert client_for(project, "ticket:read").get(url).status_code == 200


def test_a_key_of_another_project_is_refused(
    client_for: ClientFor, neighbour: Project, url: str
) -> None:
    assert client_for(neighbour, "*").get(url).status_code == 403


# --- Transactions that commit out of order -----------------------------------


def test_a_reader_waits_for_a_transaction_that_began_to_write_before(
    reader: ApiClient, writer: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    slow, fast = make_ticket(), make_ticket()
    seen = events_of(reader, project)[-1]["id"]
    with transaction.atomic():
        change(slow, "slow")
        patch = ApiClient(**writer.headers).patch
        fast_url = f"{tickets_url_of(project)}/{fast['id']}"
        with InBackground(patch, fast_url, {"escalation_reason": "fast"}) as patching:
            assert patching.result().status_code == 200
        with InBackground(ApiClient(**reader.headers).get, f"{url}?after={seen}") as reading:
            during = reading.result().json()

    after = events_of(reader, project, after=during["next_after"])

    assert during == {"results": [], "next_after": seen}
    reasons = [event["changes"]["escalation_reason"][1] for event in after]
    assert reasons == ["slow", "fast"]


def test_what_waited_for_a_ticket_comes_behind_what_it_waited_for(
    reader: ApiClient, writer: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    """A bulk change has begun to write, and so has the smaller transaction id."""
    first, second = make_ticket(), make_ticket()
    seen = events_of(reader, project)[-1]["id"]
    tickets_url = tickets_url_of(project)
    with ExitStack() as stack, transaction.atomic():
        Ticket.objects.select_for_update().get(pk=second["id"])
        patch = ApiClient(**writer.headers).patch
        body: dict[str, Any] = {"priority": "high"}
        stack.enter_context(InBackground(patch, f"{tickets_url}/{second['id']}", body))
        wait_until_blocked(1)
        body = {"ids": [first["id"], second["id"]], "status": "resolved"}
        post = ApiClient(**writer.headers).post
        stack.enter_context(InBackground(post, f"{tickets_url}/bulk_update_status", body))
        wait_until_blocked(2)

    told = events_of(reader, project, after=seen)
    of_second = [list(event["changes"]) for event in told if event["ticket_id"] == second["id"]]
    assert of_second == [["priority"], ["status", "resolved_at"]]
    assert len(told) == 3


def test_one_that_takes_its_position_late_is_not_passed_over(
    reader: ApiClient, writer: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    """The later transaction has the smaller position, and commits last."""
    early, late = make_ticket(), make_ticket()
    seen = events_of(reader, project)[-1]["id"]
    recorded, commit = threading.Event(), threading.Event()

    def later() -> None:
        with transaction.atomic():
            change(late, "second transaction, first position")
            recorded.set()
            assert commit.wait(20)

    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
        second = InBackground(later)
        assert recorded.wait(20)
        change(early, "first transaction, second position")
    with second:
        first = reader.get(url, after=seen).json()
        commit.set()
        second.result()
    settle()
    rest = reader.get(url, after=first["next_after"]).json()

    told = [
        event["changes"]["escalation_reason"][1] for event in first["results"] + rest["results"]
    ]
    assert told == ["first transaction, second position", "second transaction, first position"]
    positions = list(Event.objects.filter(project=project).order_by("xid").values_list("position"))
    assert positions[-2:] == sorted(positions[-2:], reverse=True)


def test_a_transaction_that_is_rolled_back_holds_nobody_up(
    reader: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    with transaction.atomic():
        change(ticket, "never")
        transaction.set_rollback(True)

    make_ticket()

    assert types(events_of(reader, project)) == ["ticket.created"] * 2


def test_after_a_restore_into_another_server_events_go_on(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    """What the README advises; there the transaction ids begin anew, and are far smaller."""
    for _ in range(3):
        make_ticket()
    first, *others = events_of(reader, project)
    with connection.cursor() as cursor:
        of_here = "WHERE project_id = %s"
        cursor.execute(f"UPDATE conversations_event SET xid = '9999999999' {of_here}", [project.pk])
        assert events_of(reader, project) == []
        cursor.execute(f"UPDATE conversations_event SET xid = '0' {of_here}", [project.pk])

    make_ticket()

    followed = events_of(reader, project, after=first["id"])
    assert followed[:2] == others
    assert types(followed[2:]) == ["ticket.created"]


@pytest.mark.parametrize("seed", range(3))
def test_a_reader_that_follows_while_many_write_sees_each_event_once(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str, seed: int
) -> None:
    tickets = [make_ticket() for _ in range(3)]
    writers = 6
    done = threading.Semaphore(0)

    def write(number: int) -> list[str]:
        chance = random.Random(seed * 100 + number)
        try:
            for turn in range(12):
                with transaction.atomic(), connection.cursor() as cursor:
                    if chance.random() < 0.5:
                        # An old transaction with a new position.
                        cursor.execute("SELECT pg_current_xact_id(), pg_sleep(%s)", [0.005])
                    change(chance.choice(tickets), f"{number} {turn}")
                    cursor.execute("SELECT pg_sleep(%s)", [chance.random() / 100])
                    transaction.set_rollback(chance.random() < 0.1)
        finally:
            done.release()
        return []

    def follow() -> list[str]:
        client = ApiClient(**reader.headers)
        seen: list[str] = []
        place: dict[str, str] = {}
        finished = 0
        while True:
            finished += sum(done.acquire(blocking=False) for _ in range(writers))
            if finished == writers:
                settle()
            page = client.get(url, limit=7, **place).json()
            seen += [event["id"] for event in page["results"]]
            place = {"after": page["next_after"]} if page["next_after"] else {}
            if finished == writers and not page["results"]:
                return seen

    *_, seen = at_once(*[lambda n=n: write(n) for n in range(writers)], follow)

    stored = Event.objects.filter(project=project).values_list("pk", flat=True)
    assert sorted(seen) == sorted(str(pk) for pk in stored)


# --- What they cost ----------------------------------------------------------


def added_by(found: list[str]) -> list[str]:
    return [sql for sql in found if "conversations_event" in sql]


WRITES: dict[str, Any] = {
    "create": lambda api, url, t: api.post(url, {}),
    "create with a message": lambda api, url, t: api.post(url, {"message": "Hi"}),
    "change": lambda api, url, t: api.patch(f"{url}/{t}", {"priority": "low", "tags": ["a"]}),
    "delete": lambda api, url, t: api.delete(f"{url}/{t}"),
    "message": lambda api, url, t: api.post(f"{url}/{t}/messages", {"content": "Hi"}),
    "message that reopens": lambda api, url, t: api.post(
        f"{url}/{t}/messages", {"content": "Hi", "author_type": "customer"}
    ),
    "bulk": lambda api, url, t: api.post(
        f"{url}/bulk_update_tags",
        {
            "ids": [one["id"] for one in api.get(url).json()["results"]],
            "action": "add",
            "tags": ["z"],
        },
    ),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("others", [0, 5])
def test_the_events_of_a_write_are_one_statement(
    writer: ApiClient,
    make_ticket: MakeTicket,
    tickets_url: str,
    name: str,
    others: int,
) -> None:
    for _ in range(others):
        make_ticket(message="Hi")
    ticket = make_ticket(status="resolved", message="Hi")

    with statements() as found:
        assert WRITES[name](writer, tickets_url, ticket["id"]).status_code < 300

    assert len(added_by(found)) == 1, added_by(found)


def test_a_write_that_changes_nothing_has_no_statement_for_events(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi")

    with statements() as found:
        writer.patch(f"{tickets_url}/{ticket['id']}", {"status": "new"})
        writer.get(f"{tickets_url}/{ticket['id']}")
        writer.post(f"{tickets_url}/{ticket['id']}/mark_unread")

    assert added_by(found) == []


def test_a_reopening_asks_for_the_person_once(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(status="resolved")
    body = {"content": "Hi", "author_type": "customer"}

    with statements() as found:
        writer.post(f"{tickets_url}/{ticket['id']}/messages", body)

    # The ticket, locked; whether it reopens; the message; writing the ticket; the person,
    # whom the event of the change shows; both events.
    assert len(found) == 6, found


def test_reading_on_costs_two_statements(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    for _ in range(5):
        make_ticket()
    first = events_of(reader, project, limit=1)

    with statements() as found:
        reader.get(url, after=first[0]["id"])

    # The place of the last event seen; what follows.
    assert len(found) == 2


def test_reading_on_is_a_scan_of_the_index_from_that_place(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    tell(make_ticket(), 5000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE conversations_event")
    place = events_of(reader, project, limit=1000)[-1]["id"]
    with statements() as found:
        reader.get(url, after=place)

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {found[-1]}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    step = plan.split("Index Scan using event_feed")[1]
    assert "ROW(xid, " in step.split("Filter:")[0]
    assert "Seq Scan" not in plan


# --- How long they are kept --------------------------------------------------


def grow_old(*found: Any) -> None:
    """As if these events had happened before what is kept."""
    long_ago = timezone.now() - timedelta(days=91)
    Event.objects.filter(pk__in=[event["id"] for event in found]).update(created_at=long_ago)


def prune() -> None:
    enqueue(prune_events)
    run_jobs()


def test_old_events_are_pruned_by_a_job(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str
) -> None:
    for _ in range(3):
        make_ticket()
    old, *young = events_of(reader, project)
    grow_old(old)

    prune()

    assert events_of(reader, project) == young
    assert reader.get(f"{tickets_url}/{old['ticket_id']}/activity").json()["count"] == 0


def test_more_than_one_batch_is_pruned_by_one_job(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PRUNE_AT_ONCE", 2)
    for _ in range(6):
        make_ticket()
    *old, young = events_of(reader, project)
    grow_old(*old)

    prune()

    assert events_of(reader, project) == [young]


def test_the_setting_says_how_long(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, settings: Any
) -> None:
    make_ticket()
    found = events_of(reader, project)
    grow_old(*found)
    settings.EVENT_RETENTION = 92

    prune()

    assert len(events_of(reader, project)) == 1


def test_an_event_that_is_no_longer_kept_is_gone(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str, settings: Any
) -> None:
    make_ticket()
    (event,) = events_of(reader, project)
    settings.EVENT_RETENTION = 0
    prune()

    response = reader.get(url, after=event["id"])

    assert refusal(response) == (410, "cursor_expired", None)
    assert response.json()["type"] == "invalid_request"


def test_an_old_event_that_waits_for_its_delivery_is_gone_for_readers(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, url: str
) -> None:
    """Its successors may be pruned already: to go on behind it would pass them over."""
    ticket = make_ticket()
    Webhook.objects.create(
        project=project, url="https://example.com/hook", event_types=["ticket.created"]
    )
    make_ticket()
    tell(ticket, 2)
    _, kept, pruned, young = events_of(reader, project)
    grow_old(kept, pruned)

    prune()

    assert Event.objects.filter(pk=kept["id"]).exists()
    assert not Event.objects.filter(pk=pruned["id"]).exists()
    assert refusal(reader.get(url, after=kept["id"])) == (410, "cursor_expired", None)
    assert young in events_of(reader, project)
    assert kept not in events_of(reader, project)


@pytest.mark.parametrize(
    "far", ["ffffffff-ffff-7fff-bfff-ffffffffffff", "6f1c0d57-5f0e-4a0e-8d53-1f1a1b1c1d1e"]
)
def test_what_was_never_an_id_of_ours_is_not_gone_but_wrong(
    reader: ApiClient, url: str, settings: Any, far: str
) -> None:
    settings.EVENT_RETENTION = 0

    assert refusal(reader.get(url, after=far)) == (400, "does_not_exist", "after")


# --- Erasing a person --------------------------------------------------------


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "*")


@pytest.fixture
def person_url(api: ApiClient, project: Project) -> str:
    url = f"/api/projects/{project.pk}/persons"
    body = {"distinct_ids": ["u1"], "properties": {"email": "ada@example.com"}}
    return f"{url}/{api.post(url, body).json()['id']}"


KEPT = ("id", "type", "created_at", "project_id", "ticket_id", "ticket_number", "actor")


@pytest.mark.parametrize("tickets", ["true", "false"])
@pytest.mark.parametrize("known_by", [{"distinct_id": "u1"}, {"email_from": "Ada@example.com"}])
def test_erasing_a_person_blanks_what_happened_to_their_tickets(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    tickets_url: str,
    person_url: str,
    tickets: str,
    known_by: dict[str, str],
) -> None:
    ticket = make_ticket(**known_by, anonymous_traits={"name": "Ada"}, message="Hi")
    api.patch(f"{tickets_url}/{ticket['id']}", {"anonymous_traits": {"name": "Ada Lovelace"}})
    other = make_ticket(distinct_id="u2", message="Hello")
    before = events_of(api, project)

    api.delete(person_url, tickets=tickets)

    after = events_of(api, project)
    last = "ticket.deleted" if tickets == "true" else "ticket.updated"
    assert types(after) == [*types(before), last]
    for event in after:
        if event["ticket_id"] != other["id"]:
            assert (event["object"], event["changes"]) == (None, {})
    for was, now in zip(before, after, strict=False):
        assert [was[name] for name in KEPT] == [now[name] for name in KEPT]
    assert [event for event in after if event["ticket_id"] == other["id"]] == before[-2:]
    assert "Ada" not in str(after)


@pytest.mark.parametrize("known_by", [{"distinct_id": "u1"}, {"email_from": "Ada@example.com"}])
def test_erasing_a_person_blanks_tickets_that_are_long_gone(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    tickets_url: str,
    person_url: str,
    known_by: dict[str, str],
) -> None:
    theirs = make_ticket(**known_by, message="I am Ada")
    others = make_ticket(distinct_id="u2", email_from="grace@example.com", message="I am Grace")
    for ticket in (theirs, others):
        api.delete(f"{tickets_url}/{ticket['id']}")

    api.delete(person_url)

    after = events_of(api, project)
    assert "I am Ada" not in str(after)
    assert "I am Grace" in str(after)


@pytest.mark.parametrize("deleted", [False, True])
def test_erasing_a_person_blanks_what_showed_them_by_a_former_address(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    tickets_url: str,
    person_url: str,
    deleted: bool,
) -> None:
    """Neither the ticket leads to them any more nor they to the ticket."""
    ticket = make_ticket(email_from="ada@example.com", message="I am Ada")
    make_ticket(email_from="grace@example.com", message="I am Grace")
    api.patch(person_url, {"properties": {"email": "lovelace@example.com"}})
    if deleted:
        api.delete(f"{tickets_url}/{ticket['id']}")
    before = events_of(api, project)
    assert before[0]["object"]["person"]["id"] in person_url

    api.delete(person_url)

    after = events_of(api, project)
    for was, now in zip(before, after, strict=True):
        theirs = was["ticket_id"] == ticket["id"]
        assert now == ({**was, "object": None, "changes": {}} if theirs else was)


def test_a_customers_name_goes_and_an_agents_stays(
    api: ApiClient, project: Project, make_ticket: MakeTicket, person_url: str
) -> None:
    row = Ticket.objects.get(pk=make_ticket(distinct_id="u1")["id"])
    update_ticket(ticket=row, actor=Actor.customer("u1", "Ada"), status="pending")

    api.delete(person_url)

    actors = [event["actor"] for event in events_of(api, project)]
    assert [actor["type"] for actor in actors] == ["api_key", "customer", "api_key"]
    assert actors[1] == {"type": "customer", "id": None, "name": None}
    assert actors[0]["name"] == "test"


def test_a_reader_goes_on_where_it_was_after_a_person_was_erased(
    api: ApiClient, project: Project, make_ticket: MakeTicket, person_url: str, url: str
) -> None:
    make_ticket(distinct_id="u1")
    (seen,) = events_of(api, project)

    api.delete(person_url)

    assert types(events_of(api, project, after=seen["id"])) == ["ticket.updated"]


def test_what_is_to_be_blanked_is_found_by_index(
    api: ApiClient, make_ticket: MakeTicket, person_url: str
) -> None:
    tell(make_ticket(distinct_id="other"), 5000, EventType.TICKET_DELETED)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE conversations_event")
    with statements() as found:
        api.delete(person_url)
    looks = [sql for sql in found if sql.startswith("SELECT") and 'FROM "conversations_ev' in sql]

    with connection.cursor() as cursor:
        plans = []
        for sql in looks:
            cursor.execute(f"EXPLAIN {sql}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    gone, shown = plans
    assert {"event_gone_distinct_id", "event_gone_email_from"} <= set(gone.split())
    assert "event_person" in shown.split()
