"""The list's count by status comes from totals, which are right however tickets are written."""

import importlib
import random
from collections.abc import Callable, Iterator
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.state import ProjectState
from django.test.utils import CaptureQueriesContext

from conversations.models import Status, Ticket
from conversations.tickets.totals import TicketTotal, repair_totals, total, wrong_totals
from projects.models import Person, Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of
from tests.test_unread_count import WAYS as WAYS_OF_THE_API
from tests.threads import InBackground, at_once, wait_until_blocked

MIGRATION = importlib.import_module("conversations.migrations.0013_ticket_totals")


def told(api: ApiClient, url: str) -> dict[str, int]:
    """What the list says, by status and in all."""
    counts = {
        status: api.get(url, limit=1, status=status).json()["count"] for status in Status.values
    }
    return {**counts, "all": api.get(url, limit=1).json()["count"]}


def there_are(project: Project) -> dict[str, int]:
    """The same, by counting the tickets themselves."""
    tickets = Ticket.objects.filter(project=project)
    counts = {status: tickets.filter(status=status).count() for status in Status.values}
    return {**counts, "all": tickets.count()}


def run(sql: str, *parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def number_of_changes(project: Project) -> int:
    return TicketTotal.objects.filter(project_id=project.pk).count()


@pytest.fixture
def tickets(project: Project) -> list[Ticket]:
    """Thirty of them, of all statuses, stored at once."""
    statuses = Status.values * 6
    return Ticket.objects.bulk_create(
        Ticket(project=project, ticket_number=number + 1, distinct_id="x", status=status)
        for number, status in enumerate(statuses)
    )


# --- However they are written ------------------------------------------------


@pytest.mark.parametrize("way", WAYS_OF_THE_API)
def test_the_count_is_right_at_once_after(
    way: str, writer: ApiClient, project: Project, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(message="Hi")
    make_ticket(status="pending")

    WAYS_OF_THE_API[way](writer, tickets_url, ticket["id"])

    assert told(writer, tickets_url) == there_are(project)


def test_each_verb_moves_what_it_says(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    one, two = make_ticket(), make_ticket()
    seen = [told(writer, tickets_url)]

    changes: list[Callable[[], Any]] = [
        lambda: writer.patch(f"{tickets_url}/{one['id']}", {"status": "open"}),
        lambda: writer.post(
            f"{tickets_url}/bulk_update_status",
            {"ids": [one["id"], two["id"]], "status": "resolved"},
        ),
        lambda: writer.delete(f"{tickets_url}/{two['id']}"),
    ]
    for change in changes:
        assert change().status_code < 300
        seen.append(told(writer, tickets_url))

    none = dict.fromkeys(Status.values, 0)
    assert seen == [
        {**none, "new": 2, "all": 2},
        {**none, "new": 1, "open": 1, "all": 2},
        {**none, "resolved": 2, "all": 2},
        {**none, "resolved": 1, "all": 1},
    ]


_CREATE = """
INSERT INTO conversations_ticket SELECT (jsonb_populate_record(ticket, %s)).*
FROM conversations_ticket AS ticket WHERE id = %s
"""
_UPSERT = f"{_CREATE} ON CONFLICT (project_id, ticket_number) DO UPDATE SET status = 'on_hold'"
_NEW_ID = '{"id": "0193a7f0-0000-7000-8000-00000000%04x"%s}'


def _copy(project: Project) -> None:
    """What is written by COPY, as a restored dump is."""
    run("CREATE TEMP TABLE IF NOT EXISTS copied AS SELECT * FROM conversations_ticket LIMIT 0")
    run("TRUNCATE copied")
    run(
        "INSERT INTO copied SELECT * FROM conversations_ticket WHERE project_id = %s LIMIT 4",
        project.pk,
    )
    run("UPDATE copied SET id = gen_random_uuid(), ticket_number = ticket_number + 100")
    with connection.cursor() as cursor:
        with cursor.copy("COPY copied TO STDOUT") as copy:
            lines = [bytes(line) for line in copy]
        with cursor.copy("COPY conversations_ticket FROM STDIN") as copy:
            for line in lines:
                copy.write(line)


def _upsert(project: Project) -> None:
    """One row that comes, and one that is there."""
    ticket = Ticket.objects.filter(project=project, status="open").first()
    assert ticket is not None
    for changes in (', "ticket_number": 500', ""):
        record = _NEW_ID % (project.pk % 0xFFFF, changes)
        run(_UPSERT, record, ticket.pk)


def _in_project(project: Project) -> Any:
    return Ticket.objects.filter(project=project)


WAYS_OF_SQL: dict[str, Callable[[Project, Project], Any]] = {
    "bulk_create": lambda project, _: None,
    "bulk_update": lambda project, _: Ticket.objects.bulk_update(
        [Ticket(pk=pk, status="open") for pk in _in_project(project).values_list("pk", flat=True)],
        ["status"],
    ),
    "QuerySet.update": lambda project, _: _in_project(project).update(status="resolved"),
    "QuerySet.delete": lambda project, _: _in_project(project).filter(status="open").delete(),
    "raw update": lambda project, _: run(
        "UPDATE conversations_ticket SET status = CASE status WHEN 'new' THEN 'open'"
        " WHEN 'open' THEN 'new' ELSE 'pending' END WHERE project_id = %s",
        project.pk,
    ),
    "raw update of a part": lambda project, _: run(
        "UPDATE conversations_ticket SET status = 'open', id = gen_random_uuid()"
        " WHERE project_id = %s AND ticket_number < 8",
        project.pk,
    ),
    "raw delete": lambda project, _: run(
        "DELETE FROM conversations_ticket WHERE project_id = %s AND ticket_number < 8", project.pk
    ),
    "to another project": lambda project, neighbour: (
        _in_project(project).filter(status="open").update(project=neighbour)
    ),
    "COPY": lambda project, _: _copy(project),
    "INSERT ON CONFLICT": lambda project, _: _upsert(project),
    "both in one statement": lambda project, _: run(
        "WITH gone AS (DELETE FROM conversations_ticket WHERE project_id = %s AND status = 'new')"
        " UPDATE conversations_ticket SET status = 'new' WHERE project_id = %s AND status = 'open'",
        *(project.pk, project.pk),
    ),
}


@pytest.mark.parametrize("way", WAYS_OF_SQL)
@pytest.mark.usefixtures("tickets")
def test_the_count_is_right_after_sql(
    way: str, project: Project, neighbour: Project, client_for: ClientFor
) -> None:
    before = there_are(project)

    WAYS_OF_SQL[way](project, neighbour)

    assert way == "bulk_create" or there_are(project) != before
    for each in (project, neighbour):
        assert told(client_for(each, "ticket:read"), tickets_url_of(each)) == there_are(each)


def test_many_tickets_in_one_statement_leave_a_row_for_each_status(
    project: Project, tickets: list[Ticket]
) -> None:
    before = number_of_changes(project)

    Ticket.objects.filter(project=project).update(status="resolved")

    assert len(tickets) == 30
    assert number_of_changes(project) - before <= len(Status)


def test_what_changes_no_status_leaves_no_row(
    project: Project, tickets: list[Ticket], writer: ApiClient, tickets_url: str
) -> None:
    before = number_of_changes(project)

    writer.post(f"{tickets_url}/1/messages", {"content": "Hi", "author_type": "customer"})
    writer.get(f"{tickets_url}/1")
    for ticket in tickets[:3]:
        ticket.save()

    assert number_of_changes(project) == before


def test_a_rollback_leaves_nothing(
    project: Project, tickets: list[Ticket], reader: ApiClient, tickets_url: str
) -> None:
    before = told(reader, tickets_url), number_of_changes(project)

    with transaction.atomic():
        with transaction.atomic():
            tickets[0].delete()
            transaction.set_rollback(True)
        assert told(reader, tickets_url) == before[0]
        Ticket.objects.filter(project=project).update(status="open")
        assert told(reader, tickets_url)["open"] == 30
        transaction.set_rollback(True)

    assert (told(reader, tickets_url), number_of_changes(project)) == before


def test_a_change_is_counted_when_it_is_committed(
    project: Project, tickets: list[Ticket], reader: ApiClient, tickets_url: str
) -> None:
    before = told(reader, tickets_url)
    looking = partial(told, reader, tickets_url)

    with transaction.atomic():
        Ticket.objects.filter(project=project).update(status="open")
        with InBackground(looking) as meanwhile:
            assert meanwhile.result() == before

    assert told(reader, tickets_url)["open"] == 30


# --- What goes with the project, and with the table --------------------------


@pytest.mark.usefixtures("tickets")
def test_a_deleted_project_leaves_nothing(project: Project) -> None:
    pk = project.pk
    assert number_of_changes(project) > 0

    project.delete()

    assert not TicketTotal.objects.filter(project_id=pk).exists()


@pytest.mark.usefixtures("tickets")
def test_a_person_erased_with_their_tickets_is_counted_no_more(
    project: Project, reader: ApiClient, client_for: ClientFor, tickets_url: str
) -> None:
    persons = f"/api/projects/{project.pk}/persons"
    api = client_for(project, "person:write", "ticket:write")
    api.post(persons, {"distinct_ids": ["x"]})

    person = Person.objects.get(project=project)
    assert api.delete(f"{persons}/{person.pk}", tickets="true").status_code == 204

    assert told(reader, tickets_url) == {**dict.fromkeys(Status.values, 0), "all": 0}


@pytest.mark.usefixtures("tickets")
def test_merged_persons_leave_the_count_as_it_is(
    project: Project, reader: ApiClient, client_for: ClientFor, tickets_url: str
) -> None:
    persons = f"/api/projects/{project.pk}/persons"
    api = client_for(project, "person:write", "ticket:write")
    first, second = (api.post(persons, {"distinct_ids": [name]}).json()["id"] for name in "xy")
    before = told(reader, tickets_url)

    assert api.post(f"{persons}/{first}/merge", {"person": second}).status_code == 200

    assert told(reader, tickets_url) == before == there_are(project)


@pytest.mark.usefixtures("tickets")
def test_a_writer_without_a_search_path_is_counted_too(project: Project) -> None:
    with transaction.atomic():
        run("SET LOCAL search_path = ''")
        run(
            "UPDATE public.conversations_ticket SET status = 'open'"
            " WHERE project_id = %s AND status = 'new'",
            project.pk,
        )
        run("SET LOCAL search_path = public")
        assert total(project.pk, ["open"]).get() == 12
        run("SET LOCAL search_path = ''")
        run("DELETE FROM public.conversations_ticket WHERE project_id = %s", project.pk)
        run("DELETE FROM public.projects_project WHERE id = %s", project.pk)

    assert number_of_changes(project) == 0


# The tests' own database: nobody else's tickets go with these.
@pytest.mark.parametrize(
    "truncate",
    [
        "TRUNCATE projects_project CASCADE",
        "TRUNCATE conversations_ticket, conversations_tickettotal CASCADE",
    ],
)
@pytest.mark.usefixtures("tickets")
def test_emptied_tables_leave_nothing(truncate: str) -> None:
    run(truncate)

    assert not TicketTotal.objects.exists()


@pytest.mark.usefixtures("tickets")
def test_a_dump_of_the_models_has_no_totals(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("dumpdata", "conversations", "--natural-foreign")

    dumped = capsys.readouterr().out
    assert f'"project": {project.pk}' in dumped
    assert "tickettotal" not in dumped


# --- Who asks for more than the status ---------------------------------------


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 30),
        ({"status": "open"}, 6),
        ({"status": "open,new,open"}, 12),
        ({"status": "open", "order_by": "created_at", "offset": "5"}, 6),
        ({"status": "open", "offset": "50"}, 6),
        ({"status": "open", "priority": "high"}, 0),
        ({"search": "7"}, 1),
        ({"unread": "false"}, 30),
        ({"created_to": "2000-01-01"}, 0),
    ],
)
@pytest.mark.usefixtures("tickets")
def test_the_count_is_that_of_the_filters(
    reader: ApiClient, tickets_url: str, filters: dict[str, str], count: int
) -> None:
    assert reader.get(tickets_url, **filters).json()["count"] == count


@pytest.mark.parametrize(
    ("filters", "given", "count"),
    [
        ({"status": ["open", "new"], "sorting": {"columnKey": "created_at", "order": 1}}, {}, 12),
        ({"status": ["open"]}, {"status": "new,open,pending"}, 18),
        ({"status": ["open"], "priority": ["high"]}, {}, 0),
        ({"status": ["open"]}, {"emails": "a@b.example"}, 0),
    ],
)
@pytest.mark.usefixtures("tickets")
def test_the_count_is_that_of_a_view(
    writer: ApiClient, tickets_url: str, filters: Any, given: dict[str, str], count: int
) -> None:
    views = tickets_url.replace("/tickets", "/views")
    view = writer.post(views, {"name": "View", "filters": filters}).json()["short_id"]

    page = writer.get(tickets_url, view=view, **given).json()

    assert (page["count"], len(page["results"])) == (count, count)


@pytest.mark.parametrize("query", [{}, {"status": "open"}])
def test_rows_and_count_come_from_one_statement(
    reader: ApiClient, tickets_url: str, tickets: list[Ticket], query: dict[str, str]
) -> None:
    with CaptureQueriesContext(connection) as captured:
        reader.get(tickets_url, **query)

    [asked] = [q["sql"] for q in captured.captured_queries if "tickettotal" in q["sql"]]
    assert "conversations_ticket" in asked.replace("conversations_tickettotal", "")


# --- Folding -----------------------------------------------------------------


def fold(project: Project) -> None:
    run("SELECT fold_ticket_totals(ARRAY[%s]::bigint[])", project.pk)


def make_the_next_statement_fold() -> None:
    """Lets the dice of this connection fall so, until it has been thrown once."""
    with connection.cursor() as cursor:
        for step in range(10_000):
            cursor.execute("SELECT setseed(%s)", [step / 10_000])
            cursor.execute("SELECT random() * 64 < 1")
            if cursor.fetchone() == (True,):
                cursor.execute("SELECT setseed(%s)", [step / 10_000])
                return
    raise AssertionError("The dice never fell so.")


def change_one_by_one(project: Project, times: int) -> None:
    """Changes of one ticket, none of which folds."""
    for status in (Status.values * times)[:times]:
        run("SELECT setseed(0.5)")
        _in_project(project).filter(ticket_number=1).update(status=status)


def test_many_changes_are_folded_without_anybody_doing_it(project: Project) -> None:
    Ticket.objects.create(project=project, ticket_number=1, distinct_id="x")
    times = 1500

    # Each a transaction, as if it came from its own request.
    run(
        f"""
        DO $$ BEGIN FOR step IN 1..{times} LOOP
            UPDATE conversations_ticket SET status = CASE status WHEN 'new' THEN 'open'
                ELSE 'new' END WHERE project_id = {project.pk};
            COMMIT;
        END LOOP; END $$
        """
    )

    # That it is not has a probability of less than 1 in 10,000,000,000.
    assert number_of_changes(project) < 2 * times
    assert wrong_totals(project.pk) == []


@pytest.mark.usefixtures("tickets")
def test_a_fold_leaves_one_row_for_each_status(project: Project) -> None:
    change_one_by_one(project, 12)
    assert number_of_changes(project) > len(Status)

    make_the_next_statement_fold()
    _in_project(project).filter(ticket_number=1).update(status="resolved")

    assert number_of_changes(project) == len(Status)
    assert wrong_totals(project.pk) == []


def test_a_fold_leaves_none_where_there_is_no_ticket(project: Project) -> None:
    ticket = Ticket.objects.create(project=project, ticket_number=1, distinct_id="x")

    make_the_next_statement_fold()
    ticket.delete()

    assert number_of_changes(project) == 0


@pytest.mark.usefixtures("tickets")
def test_a_transaction_folds_once(project: Project) -> None:
    with transaction.atomic():
        make_the_next_statement_fold()
        _in_project(project).filter(ticket_number=1).update(status="open")
        folded = number_of_changes(project)
        make_the_next_statement_fold()
        _in_project(project).filter(ticket_number=1).update(status="resolved")

        assert (folded, number_of_changes(project)) == (5, 7)


@pytest.mark.usefixtures("tickets")
def test_a_fold_that_is_not_committed_holds_nobody_up(
    project: Project, reader: ApiClient, tickets_url: str
) -> None:
    change_one_by_one(project, 12)

    def change_and_fold() -> Any:
        run("SET lock_timeout = '1s'")
        _in_project(project).filter(ticket_number=2).update(status="resolved")
        fold(project)
        return told(reader, tickets_url)

    with transaction.atomic():
        fold(project)
        with InBackground(change_and_fold) as other:
            seen = other.result()
        assert seen == told(reader, tickets_url)

    assert seen == told(reader, tickets_url) == there_are(project)


@pytest.mark.usefixtures("tickets")
def test_a_fold_that_is_rolled_back_leaves_the_rows(project: Project) -> None:
    change_one_by_one(project, 12)
    before = number_of_changes(project)

    with transaction.atomic():
        fold(project)
        assert number_of_changes(project) < before
        transaction.set_rollback(True)

    assert number_of_changes(project) == before
    assert wrong_totals(project.pk) == []


@pytest.mark.usefixtures("tickets")
def test_a_writer_with_a_snapshot_of_its_own_is_not_disturbed_by_a_fold(project: Project) -> None:
    with transaction.atomic():
        run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        there_are(project)
        with InBackground(fold, project) as other:
            other.result()
        make_the_next_statement_fold()
        _in_project(project).filter(ticket_number=1).update(status="resolved")
        assert wrong_totals(project.pk) == []

    assert wrong_totals(project.pk) == []


# --- Everything at once ------------------------------------------------------


def _write(project: Project, client_for: ClientFor, seed: int, done: list[Event]) -> str:
    """Forty random verbs."""
    dice = random.Random(seed)
    api, url = client_for(project, "ticket:write"), tickets_url_of(project)
    ids = [api.post(url, {}).json()["id"] for _ in range(4)]
    for _ in range(36):
        status, chosen = dice.choice(Status.values), dice.choice(ids)
        others = list(_in_project(project).values_list("pk", flat=True)[:5])
        act = dice.choice(["create", "patch", "patch", "message", "bulk", "delete", "sql"])
        if act == "create":
            ids.append(api.post(url, {"status": status}).json()["id"])
        elif act == "patch":
            api.patch(f"{url}/{chosen}", {"status": status})
        elif act == "message":
            api.post(f"{url}/{chosen}/messages", {"content": "Hi", "author_type": "customer"})
        elif act == "bulk":
            body = {"ids": [*map(str, others)] or ids, "status": status}
            api.post(f"{url}/bulk_update_status", body)
        elif act == "delete":
            api.delete(f"{url}/{chosen}")
        else:
            with transaction.atomic():
                Ticket.objects.filter(pk=chosen).update(status=status)
                transaction.set_rollback(dice.random() < 0.5)
    done.pop().set()
    return "wrote"


def _fold_until(project: Project, done: Event) -> str:
    while not done.is_set():
        fold(project)
    return "folded"


def _compare_until(project: Project, done: Event) -> list[Any]:
    """Pairs of what the totals say and what there is, of one snapshot each, which differ."""
    differing = []
    while not done.is_set():
        with transaction.atomic():
            run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            said = {status: total(project.pk, [status]).get() for status in Status.values}
            said["all"] = total(project.pk).get()
            there = there_are(project)
        if said != there:
            differing.append((said, there))
    return differing


def test_in_a_storm_of_writes_every_snapshot_has_the_right_totals(
    project: Project, client_for: ClientFor, tickets_url: str
) -> None:
    done = [Event() for _ in range(3)]
    last = done[0]
    seen = at_once(
        *(partial(_write, project, client_for, seed, done) for seed in range(len(done))),
        *(partial(_fold_until, project, last) for _ in range(2)),
        *(partial(_compare_until, project, last) for _ in range(2)),
    )

    assert seen == ["wrote"] * 3 + ["folded"] * 2 + [[]] * 2
    api = client_for(project, "ticket:read")
    assert told(api, tickets_url) == there_are(project)
    walked, page = [], api.get(tickets_url, order_by="created_at", limit=7).json()
    count = page["count"]
    while True:
        walked += [ticket["id"] for ticket in page["results"]]
        if not page["next"]:
            break
        page = api.get(page["next"].removeprefix("http://testserver")).json()
    assert len(walked) == len(set(walked)) == count > 0


# --- Putting them right ------------------------------------------------------


@pytest.mark.usefixtures("tickets")
def test_a_repair_leaves_out_what_is_not_committed_and_is_right_when_it_is(
    project: Project,
) -> None:
    run("DELETE FROM conversations_tickettotal WHERE project_id = %s", project.pk)

    with transaction.atomic():
        _in_project(project).filter(status="new").update(status="open")
        with InBackground(repair_totals, project.pk) as other:
            repaired = other.result()

    assert {one.status: one.counted for one in repaired} == dict.fromkeys(Status.values, 6)
    assert wrong_totals(project.pk) == []


@pytest.mark.usefixtures("tickets")
def test_two_repairs_at_once_add_it_once(project: Project) -> None:
    run("DELETE FROM conversations_tickettotal WHERE project_id = %s", project.pk)

    with transaction.atomic():
        assert len(repair_totals(project.pk)) == len(Status)
        second = InBackground(repair_totals, project.pk)
        wait_until_blocked()
    with second:
        assert second.result() == []

    assert wrong_totals(project.pk) == []


# --- The migration -----------------------------------------------------------


@pytest.fixture
def without_totals() -> Iterator[Callable[[], None]]:
    """The database as it was before; the call brings the totals back."""
    migration = MIGRATION.Migration("0013_ticket_totals", "conversations")
    applied = Event()

    def apply() -> None:
        with connection.schema_editor() as editor:
            migration.apply(ProjectState(), editor)
        applied.set()

    with connection.schema_editor() as editor:
        migration.unapply(ProjectState(), editor)
    yield apply
    if not applied.is_set():
        apply()


@pytest.mark.usefixtures("tickets")
def test_the_migration_counts_what_is_committed_before_it_and_what_comes_after(
    project: Project, without_totals: Callable[[], None]
) -> None:
    stop = Event()

    def write(number: int) -> None:
        while not stop.is_set():
            mine = _in_project(project).filter(ticket_number=number)
            with transaction.atomic():
                mine.update(status=random.choice(Status.values))

    def migrate() -> None:
        try:
            without_totals()
        finally:
            stop.set()

    at_once(migrate, *(partial(write, number) for number in range(1, 5)))

    assert wrong_totals(project.pk) == []
    _in_project(project).update(status="open")
    assert wrong_totals(project.pk) == []


@pytest.mark.usefixtures("tickets")
def test_the_migration_waits_for_who_is_writing_and_counts_that(
    project: Project, without_totals: Callable[[], None]
) -> None:
    with transaction.atomic():
        _in_project(project).update(status="open")
        migrating = InBackground(without_totals)
        wait_until_blocked()
    with migrating:
        migrating.result()

    assert wrong_totals(project.pk) == []
    assert total(project.pk, ["open"]).get() == 30
