"""A ticket as a row of the list."""

from dataclasses import dataclass
from datetime import datetime

from conversations.inbox.people import Assignable, assignee_name, customer_name
from conversations.models import Ticket
from conversations.tickets.filters import sla_state


@dataclass(frozen=True)
class Row:
    ticket: Ticket
    customer: str
    assignee: str | None
    sla: str | None


def rows_of(tickets: list[Ticket], among: list[Assignable], now: datetime) -> list[Row]:
    return [
        Row(
            ticket=ticket,
            customer=customer_name(ticket),
            assignee=assignee_name(ticket, among),
            sla=None if ticket.is_resolved else sla_state(ticket.sla_due_at, now),
        )
        for ticket in tickets
    ]
