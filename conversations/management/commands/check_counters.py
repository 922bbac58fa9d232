from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from conversations.messages.counters import Comparison, comparisons
from conversations.messages.verbs import repair_counters
from conversations.tickets.totals import (
    WrongTotal,
    projects_with_totals,
    repair_totals,
    wrong_totals,
)
from projects.management.base import ServiceCommand, find_project, shown
from rest.json import timestamp

BATCH_SIZE = 500
# Of more than these only the number is told: what is kept in memory does not grow.
MOST_LISTED = 100


class Command(ServiceCommand):
    help = (
        "Counts the messages of every ticket anew, and compares what the ticket says: how many "
        "there are, which is the last, how many are unread. Then the tickets of every project by "
        "their status, beside the totals that the list tells. Exits with 1 when something is wrong "
        "and was not repaired. The service may run meanwhile."
    )
    in_one_transaction = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="put right what is wrong")
        parser.add_argument("--project", metavar="ID", help="only the tickets of this project")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        self.left_wrong = 0
        answer = super().handle(*args, **options)
        if self.left_wrong:
            self.stdout.write(answer)
            raise CommandError("Counters of tickets are wrong; --repair puts them right.")
        return answer

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        named, repair = options["project"], options["repair"]
        project_id = None if named is None else find_project(named).pk
        answer = _check_tickets(project_id, repair=repair)
        answer["totals"] = _check_totals(project_id, repair=repair)
        if not repair:
            self.left_wrong = answer["wrong"] + answer["totals"]["wrong"]
        return answer

    def in_words(self, answer: dict[str, Any]) -> str:
        totals = answer["totals"]
        return "\n".join(
            [
                *_listed(answer, _ticket_line),
                f"{answer['tickets']} tickets, {answer['wrong']} of them wrong, "
                f"{answer['repaired']} repaired",
                *_listed(totals, _total_line),
                f"{totals['wrong']} totals wrong, {totals['repaired']} repaired",
            ]
        )


def _check_tickets(project_id: int | None, *, repair: bool) -> dict[str, Any]:
    tickets = wrong = repaired = 0
    listed: list[dict[str, Any]] = []
    for batch in comparisons(project_id=project_id, batch_size=BATCH_SIZE):
        tickets += len(batch)
        for comparison in filter(_differs, batch):
            wrong += 1
            repaired += repair and bool(repair_counters(ticket_id=comparison.ticket_id))
            if len(listed) < MOST_LISTED:
                listed.append(_differences(comparison))
    return {"tickets": tickets, "wrong": wrong, "repaired": repaired, "listed": listed}


def _check_totals(project_id: int | None, *, repair: bool) -> dict[str, Any]:
    found: list[WrongTotal] = []
    for each in projects_with_totals() if project_id is None else [project_id]:
        found += repair_totals(each) if repair else wrong_totals(each)
    return {
        "wrong": len(found),
        "repaired": len(found) if repair else 0,
        "listed": [vars(total) for total in found[:MOST_LISTED]],
    }


def _differs(comparison: Comparison) -> bool:
    return bool(comparison.differing)


def _differences(comparison: Comparison) -> dict[str, Any]:
    stored, counted = vars(comparison.stored), vars(comparison.counted)
    return {
        "project_id": comparison.project_id,
        "ticket_id": str(comparison.ticket_id),
        "ticket_number": comparison.ticket_number,
        "stored": {name: stored[name] for name in comparison.differing},
        "counted": {name: counted[name] for name in comparison.differing},
    }


def _listed(part: dict[str, Any], line: Callable[[dict[str, Any]], str]) -> list[str]:
    lines = [line(one) for one in part["listed"]]
    if part["wrong"] > len(lines):
        lines.append(f"... and {part['wrong'] - len(lines)} more")
    return lines


def _ticket_line(ticket: dict[str, Any]) -> str:
    stored, counted = ticket["stored"], ticket["counted"]
    fields = ", ".join(
        f"{name} should be {_word(counted[name])}, not {_word(stored[name])}" for name in stored
    )
    return f"project {ticket['project_id']}, ticket #{ticket['ticket_number']}: {fields}"


def _total_line(total: dict[str, Any]) -> str:
    return (
        f"project {total['project_id']}, tickets with status {total['status']}: "
        f"should be {total['counted']}, not {total['stored']}"
    )


def _word(value: Any) -> str:
    return timestamp(value) if hasattr(value, "astimezone") else shown(value)
