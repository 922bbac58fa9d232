from typing import Any

from django.core.management.base import CommandError, CommandParser

from conversations.messages.counters import Comparison, comparisons
from conversations.messages.verbs import repair_counters
from projects.management.base import ServiceCommand, find_project, shown
from rest.json import timestamp

BATCH_SIZE = 500
# Of more than these only the number is told: what is kept in memory does not grow.
MOST_LISTED = 100


class Command(ServiceCommand):
    help = (
        "Counts the messages of every ticket anew, and compares what the ticket says: how many "
        "there are, which is the last, how many are unread. Exits with 1 when something is wrong "
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
            raise CommandError("The counters of tickets are wrong; --repair puts them right.")
        return answer

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        named, repair = options["project"], options["repair"]
        project_id = None if named is None else find_project(named).pk
        tickets = wrong = repaired = 0
        listed: list[dict[str, Any]] = []
        for batch in comparisons(project_id=project_id, batch_size=BATCH_SIZE):
            tickets += len(batch)
            for comparison in filter(_differs, batch):
                wrong += 1
                repaired += repair and bool(repair_counters(ticket_id=comparison.ticket_id))
                if len(listed) < MOST_LISTED:
                    listed.append(_differences(comparison))
        self.left_wrong = 0 if repair else wrong
        return {"tickets": tickets, "wrong": wrong, "repaired": repaired, "listed": listed}

    def in_words(self, answer: dict[str, Any]) -> str:
        lines = [_line(ticket) for ticket in answer["listed"]]
        if answer["wrong"] > len(lines):
            lines.append(f"... and {answer['wrong'] - len(lines)} more")
        lines.append(
            f"{answer['tickets']} tickets, {answer['wrong']} of them wrong, "
            f"{answer['repaired']} repaired"
        )
        return "\n".join(lines)


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


def _line(ticket: dict[str, Any]) -> str:
    stored, counted = ticket["stored"], ticket["counted"]
    fields = ", ".join(
        f"{name} should be {_word(counted[name])}, not {_word(stored[name])}" for name in stored
    )
    return f"project {ticket['project_id']}, ticket #{ticket['ticket_number']}: {fields}"


def _word(value: Any) -> str:
    return timestamp(value) if hasattr(value, "astimezone") else shown(value)
