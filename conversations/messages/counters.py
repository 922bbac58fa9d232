"""What the ticket says of its messages, counted anew from them and from the positions.

The verbs keep these columns up to date as they go. This is what they must come to at
any time: whoever takes a message away, or wants to know whether they are right, asks
here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from conversations.models import Ticket
from conversations.tickets.verbs import PREVIEW_LENGTH


@dataclass(frozen=True)
class Counters:
    """The columns of a ticket that follow from its messages and positions."""

    message_count: int
    last_message_at: datetime | None
    last_message_text: str | None
    unread_team_count: int
    unread_customer_count: int
    first_reply_seconds: int | None


COLUMNS = tuple(field.name for field in fields(Counters))
_HALF = len(COLUMNS)


@dataclass(frozen=True)
class Comparison:
    """A ticket's counters as they are stored, and as one statement counted them."""

    ticket_id: UUID
    project_id: int
    ticket_number: int
    stored: Counters
    counted: Counters

    @property
    def differing(self) -> list[str]:
        return [
            name for name in COLUMNS if getattr(self.stored, name) != getattr(self.counted, name)
        ]


def recounted(ticket: Ticket) -> dict[str, Any]:
    """The right values for a ticket that the caller has locked."""
    [comparison] = _compare("id = %(id)s", {"id": ticket.pk, "limit": 1})
    return vars(comparison.counted)


def comparisons(*, project_id: int | None, batch_size: int) -> Iterator[Sequence[Comparison]]:
    """All tickets, or those of one project, in batches: one statement and one snapshot each.

    A counter commits with the messages that it counts, so a ticket that changes
    meanwhile is right before and after.
    """
    condition = "(project_id, ticket_number) > (%(project_id)s, %(number)s)"
    place: dict[str, Any] = {"project_id": project_id or 0, "number": 0, "limit": batch_size}
    if project_id is not None:
        condition = "project_id = %(project_id)s AND ticket_number > %(number)s"
    while batch := _compare(condition, place):
        yield batch
        last = batch[-1]
        place |= {"project_id": last.project_id, "number": last.ticket_number}


def _compare(condition: str, parameters: dict[str, Any]) -> list[Comparison]:
    with connection.cursor() as cursor:
        # The condition is one of those above.
        cursor.execute(
            _COMPARE.format(condition=condition), {**parameters, "preview": PREVIEW_LENGTH}
        )
        return [
            Comparison(
                ticket_id, project_id, number, Counters(*both[:_HALF]), Counters(*both[_HALF:])
            )
            for ticket_id, project_id, number, *both in cursor.fetchall()
        ]


_COMPARE = """
SELECT ticket.id, ticket.project_id, ticket.ticket_number,
    ticket.message_count, ticket.last_message_at, ticket.last_message_text,
    ticket.unread_team_count, ticket.unread_customer_count, ticket.first_reply_seconds,
    counted.messages, last.created_at, last.preview,
    greatest(counted.behind_team, ticket.marked_unread::integer), counted.behind_customer,
    CASE WHEN counted.first_reply_at IS NOT NULL THEN
        greatest(0, floor(extract(epoch FROM counted.first_reply_at - ticket.created_at)))::integer
    END
FROM (
    SELECT * FROM conversations_ticket
    WHERE {condition} ORDER BY project_id, ticket_number LIMIT %(limit)s
) AS ticket
CROSS JOIN LATERAL (
    SELECT count(*) AS messages,
        count(*) FILTER (
            WHERE author_type = 'customer' AND seq > ticket.team_read_seq
        ) AS behind_team,
        count(*) FILTER (
            WHERE author_type <> 'customer' AND seq > ticket.customer_read_seq
        ) AS behind_customer,
        min(created_at) FILTER (WHERE author_type = 'support') AS first_reply_at
    FROM conversations_message
    WHERE ticket_id = ticket.id AND deleted_at IS NULL AND NOT is_private
) AS counted
LEFT JOIN LATERAL (
    SELECT created_at, left(content, %(preview)s) AS preview
    FROM conversations_message
    WHERE ticket_id = ticket.id AND deleted_at IS NULL AND NOT is_private
    ORDER BY seq DESC LIMIT 1
) AS last ON TRUE
ORDER BY ticket.project_id, ticket.ticket_number
"""
