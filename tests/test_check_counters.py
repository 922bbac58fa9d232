"""`manage.py check_counters`: what tickets say of their messages, counted anew."""

import io
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.management.commands import check_counters
from conversations.messages.counters import comparisons
from conversations.models import Message, Ticket
from conversations.tickets.totals import TicketTotal, projects_with_totals, repair_totals
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of
from tests.recount import recount
from tests.threads import InBackground, at_once, wait_until_blocked

NOW = datetime(2026, 11, 22, tzinfo=UTC)
# Each column with a value that is wrong for a ticket with one message, from the customer.
WRONG: dict[str, Any] = {
    "message_count": 7,
    "last_message_at": NOW,
    "last_message_text": "Bye",
    "unread_team_count": 0,
    "unread_customer_count": 2,
    "first_reply_seconds": 5,
}


def check(project: Project, *arguments: str) -> Any:
    """What it answers as JSON, and whether it ended well."""
    out = io.StringIO()
    try:
        call_command(
            "check_counters", "--project", str(project.pk), "--json", *arguments, stdout=out
        )
        ended_well = True
    except CommandError:
        ended_well = False
    return json.loads(out.getvalue()), ended_well


def spoil(ticket: Any, **columns: Any) -> None:
    Ticket.objects.filter(pk=ticket["id"]).update(**columns)


def test_nothing_is_wrong_with_a_ticket_that_only_the_service_has_written(
    project: Project, writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="One")
    url = f"{tickets_url}/{ticket['id']}"
    sent = [
        writer.post(f"{url}/messages", {"content": text, "author_type": author}).json()
        for text, author in (("Two", "support"), ("Three", "customer"), ("Four", "AI"))
    ]
    writer.delete(f"{url}/messages/{sent[-1]['id']}")
    writer.post(f"{url}/reply", {"message": "\N{PARTY POPPER}" * 600})
    writer.get(url)
    writer.post(f"{url}/mark_unread")
    make_ticket()

    totals = {"wrong": 0, "repaired": 0, "listed": []}
    assert check(project) == (
        {"tickets": 2, "wrong": 0, "repaired": 0, "listed": [], "totals": totals},
        True,
    )


@pytest.mark.parametrize("column", WRONG)
def test_a_wrong_column_is_reported_and_left_alone(
    project: Project, make_ticket: MakeTicket, column: str
) -> None:
    ticket = make_ticket(message="Hi")
    spoil(ticket, **{column: WRONG[column]})

    answer, ended_well = check(project)

    assert not ended_well
    assert (answer["wrong"], answer["repaired"]) == (1, 0)
    [listed] = answer["listed"]
    assert listed["ticket_id"] == ticket["id"]
    assert listed["ticket_number"] == ticket["ticket_number"]
    # What answers do not show is not there yet.
    assert listed["counted"] == {column: ticket.get(column)}
    assert list(listed["stored"]) == [column]
    assert getattr(Ticket.objects.get(pk=ticket["id"]), column) == WRONG[column]


@pytest.mark.parametrize("column", WRONG)
def test_repair_puts_a_column_right_and_changes_nothing_else(
    project: Project,
    reader: ApiClient,
    make_ticket: MakeTicket,
    tickets_url: str,
    column: str,
) -> None:
    ticket = make_ticket(message="Hi")
    spoil(ticket, **{column: WRONG[column]})

    answer, ended_well = check(project, "--repair")

    assert ended_well
    assert (answer["wrong"], answer["repaired"]) == (1, 1)
    assert reader.get(f"{tickets_url}/{ticket['id']}", mark_read="false").json() == ticket
    assert check(project)[0]["wrong"] == 0


def test_repair_forgets_the_cached_count(
    project: Project, reader: ApiClient, make_ticket: MakeTicket, unread_count_url: str
) -> None:
    ticket = make_ticket(message="Hi")
    spoil(ticket, unread_team_count=5)
    # Whoever asks now fills the cache with the wrong number.
    call_command("update_project", str(project.pk), "--set", "reopen_on_reply=false")
    assert reader.get(unread_count_url).json() == {"count": 5}

    check(project, "--repair")

    assert reader.get(unread_count_url).json() == {"count": recount(project)} == {"count": 1}


def test_a_ticket_without_messages_is_counted_too(
    project: Project, make_ticket: MakeTicket, reader: ApiClient, tickets_url: str
) -> None:
    ticket = make_ticket()
    spoil(ticket, **WRONG, last_seq=0)

    assert check(project, "--repair")[0]["repaired"] == 1
    assert reader.get(f"{tickets_url}/{ticket['id']}").json() == ticket


def test_a_ticket_marked_unread_counts_one_at_least(
    project: Project, make_ticket: MakeTicket, writer: ApiClient, tickets_url: str
) -> None:
    ticket = make_ticket()
    writer.post(f"{tickets_url}/{ticket['id']}/mark_unread")
    assert check(project)[1]

    spoil(ticket, unread_team_count=3)
    check(project, "--repair")

    assert Ticket.objects.get(pk=ticket["id"]).unread_team_count == 1


def test_deleted_messages_and_notes_do_not_count(
    project: Project, make_ticket: MakeTicket, writer: ApiClient, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi")
    writer.post(f"{tickets_url}/{ticket['id']}/reply", {"message": "Hm", "is_private": True})
    # Behind the service's back.
    Message.objects.filter(ticket_id=ticket["id"], seq=1).update(deleted_at=NOW)

    [listed] = check(project)[0]["listed"]

    assert listed["counted"] == {
        "message_count": 0,
        "last_message_at": None,
        "last_message_text": None,
        "unread_team_count": 0,
    }


def test_only_the_named_project_is_looked_at(
    project: Project, neighbour: Project, client_for: ClientFor
) -> None:
    foreign = client_for(neighbour, "*").post(tickets_url_of(neighbour), {"message": "Hi"}).json()
    spoil(foreign, message_count=9)

    assert check(project, "--repair")[0]["tickets"] == 0
    assert Ticket.objects.get(pk=foreign["id"]).message_count == 9
    assert check(neighbour)[0]["wrong"] == 1


def test_without_a_project_all_are_looked_at(make_ticket: MakeTicket) -> None:
    spoil(make_ticket(), unread_customer_count=9)
    out = io.StringIO()

    with pytest.raises(CommandError, match="--repair"):
        call_command("check_counters", "--json", stdout=out)

    answer = json.loads(out.getvalue())
    assert answer["tickets"] == Ticket.objects.count()
    assert answer["wrong"] > 0


def test_it_says_in_words_what_is_wrong(project: Project, make_ticket: MakeTicket) -> None:
    spoil(make_ticket(message="Hi"), unread_team_count=4, last_message_at=NOW)
    out = io.StringIO()

    with pytest.raises(CommandError, match="--repair") as refused:
        call_command("check_counters", "--project", str(project.pk), stdout=out)

    assert refused.value.returncode == 1
    lines = out.getvalue().splitlines()
    assert lines[0].startswith(f"project {project.pk}, ticket #1: last_message_at should be 2")
    assert "not 2026-11-22T00:00:00.000000Z, unread_team_count should be 1, not 4" in lines[0]
    assert lines[1] == "1 tickets, 1 of them wrong, 0 repaired"
    assert lines[2:] == ["0 totals wrong, 0 repaired"]


def test_of_very_many_only_the_number_is_told(project: Project, tickets: list[Any]) -> None:
    Ticket.objects.filter(project=project).update(message_count=1)

    answer, _ = check(project)

    assert (answer["wrong"], len(answer["listed"])) == (len(tickets), check_counters.MOST_LISTED)


def test_a_project_that_does_not_exist_is_refused() -> None:
    for named in ("0", "nonsense"):
        with pytest.raises(CommandError, match=named):
            call_command("check_counters", "--project", named)


# --- Totals by status --------------------------------------------------------


def spoil_totals(project: Project, status: str = "open", change: int = 3) -> None:
    TicketTotal.objects.create(project_id=project.pk, status=status, change=change)


def test_a_wrong_total_is_reported_and_left_alone(
    project: Project, make_ticket: MakeTicket, reader: ApiClient, tickets_url: str
) -> None:
    make_ticket(status="open")
    spoil_totals(project)

    answer, ended_well = check(project)

    wrong = {"project_id": project.pk, "status": "open", "stored": 4, "counted": 1}
    assert answer["totals"] == {"wrong": 1, "repaired": 0, "listed": [wrong]}
    assert not ended_well
    assert reader.get(tickets_url).json()["count"] == 4


def test_repair_puts_wrong_totals_right(
    project: Project, make_ticket: MakeTicket, reader: ApiClient, tickets_url: str
) -> None:
    make_ticket(status="open")
    make_ticket()
    spoil_totals(project)
    spoil_totals(project, "new", -1)
    spoil_totals(project, "resolved", 1)

    answer, ended_well = check(project, "--repair")

    assert ended_well
    assert (answer["totals"]["wrong"], answer["totals"]["repaired"]) == (3, 3)
    counts = [reader.get(tickets_url, status=s).json()["count"] for s in ("open", "new")]
    assert (counts, reader.get(tickets_url).json()["count"]) == ([1, 1], 2)
    assert check(project)[0]["totals"]["wrong"] == 0


def test_what_a_project_has_left_behind_is_found_and_removed(neighbour: Project) -> None:
    pk = neighbour.pk
    neighbour.delete()
    TicketTotal.objects.create(project_id=pk, status="open", change=3)

    assert pk in projects_with_totals()
    repair_totals(pk)

    assert pk not in projects_with_totals()


def test_it_says_in_words_which_totals_are_wrong(project: Project) -> None:
    spoil_totals(project)
    out = io.StringIO()

    with pytest.raises(CommandError, match="--repair"):
        call_command("check_counters", "--project", str(project.pk), stdout=out)

    assert out.getvalue().splitlines()[1:] == [
        f"project {project.pk}, tickets with status open: should be 0, not 3",
        "1 totals wrong, 0 repaired",
    ]


# --- Going through many ------------------------------------------------------


@pytest.fixture
def tickets(project: Project) -> list[Any]:
    return Ticket.objects.bulk_create(
        Ticket(project=project, ticket_number=number + 1, distinct_id="x")
        for number in range(check_counters.MOST_LISTED + 20)
    )


@pytest.mark.parametrize("batch_size", [1, 7, 40, 1000])
def test_batches_together_have_each_ticket_once(
    project: Project, tickets: list[Any], batch_size: int
) -> None:
    with CaptureQueriesContext(connection) as captured:
        batches = list(comparisons(project_id=project.pk, batch_size=batch_size))

    seen = [comparison.ticket_id for batch in batches for comparison in batch]
    assert seen == [ticket.pk for ticket in tickets]
    # One for each batch, and one that finds no more.
    assert len(captured) == len(batches) + 1


def test_all_projects_together_have_each_ticket_once(
    project: Project, neighbour: Project, tickets: list[Any], client_for: ClientFor
) -> None:
    foreign = client_for(neighbour, "*").post(tickets_url_of(neighbour)).json()["id"]

    batches = comparisons(project_id=None, batch_size=9)
    seen = [comparison.ticket_id for batch in batches for comparison in batch]

    assert len(seen) == len(set(seen))
    assert {*(ticket.pk for ticket in tickets), uuid.UUID(foreign)} <= set(seen)


# --- While the service runs --------------------------------------------------


def test_a_repair_waits_for_a_message_that_is_being_written_and_counts_it(
    project: Project, make_ticket: MakeTicket, writer: ApiClient, tickets_url: str
) -> None:
    ticket = make_ticket(message="One")
    spoil(ticket, message_count=5)
    with transaction.atomic():
        writer.post(f"{tickets_url}/{ticket['id']}/messages", {"content": "Two"})
        repairing = InBackground(check, project, "--repair")
        wait_until_blocked()
    with repairing:
        answer, _ = repairing.result()

    assert answer["repaired"] == 1
    stored = Ticket.objects.get(pk=ticket["id"])
    assert (stored.message_count, stored.last_message_text) == (2, "Two")


def test_while_others_write_it_finds_nothing_wrong(
    project: Project, make_ticket: MakeTicket, client_for: ClientFor, tickets_url: str
) -> None:
    urls = [f"{tickets_url}/{make_ticket()['id']}" for _ in range(3)]

    def write() -> list[Any]:
        api = client_for(project, "ticket:write")
        for step in range(12):
            message = api.post(
                f"{urls[step % 3]}/messages",
                {"content": "Hi", "author_type": ["customer", "support"][step % 2]},
            ).json()
            if step % 4 == 0:
                api.delete(f"{urls[step % 3]}/messages/{message['id']}")
            api.get(urls[step % 3])
        return []

    def look() -> list[Any]:
        return [check(project) for _ in range(15)]

    seen = at_once(write, write, look)[-1]

    assert [answer for answer, ended_well in seen if not ended_well] == []


def test_a_ticket_that_is_deleted_before_its_repair_is_no_error(
    project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    spoil(ticket, message_count=5)
    with transaction.atomic():
        Ticket.objects.get(pk=ticket["id"]).delete()
        repairing = InBackground(check, project, "--repair")
        wait_until_blocked()
    with repairing:
        answer, ended_well = repairing.result()

    assert (answer["wrong"], answer["repaired"], ended_well) == (1, 0, True)
