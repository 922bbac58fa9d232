"""The ways a ticket changes. REST, widget, imports and jobs all go through these."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from psycopg import errors
from rest_framework.exceptions import PermissionDenied

from conversations import unread
from conversations.events import verbs as events
from conversations.events.actors import SYSTEM, Actor
from conversations.events.models import EventType
from conversations.models import (
    AuthorType,
    ChannelSource,
    Message,
    NextTicketNumber,
    Status,
    Ticket,
    load_assignee_names,
    set_fields,
)
from conversations.search import SEARCHED, of_message, of_ticket
from conversations.tickets.finding import ticket_columns
from conversations.tickets.serializers import load_persons
from conversations.widget import polls
from projects.models import new_uuid
from projects.permissions import NO_ACCESS
from rest.json import timestamp
from rest.statements import first, insert, update

PREVIEW_LENGTH = 500
WAKE_AT_ONCE = 500
_TICK = timedelta(microseconds=1)


def open_ticket(
    *,
    project_id: int,
    actor: Actor,
    channel_source: str = ChannelSource.API,
    message: str | None = None,
    message_id: UUID | None = None,
    **fields: Any,
) -> Ticket:
    """A new ticket with the project's next number, and the customer's first message.

    The message has the ticket's time, and the id `message_id`. `fields` are the
    writable fields of a ticket, validated. An explicit `status` wins over the one that
    snoozing brings.
    """
    now = timezone.now()
    ticket = Ticket(
        project_id=project_id,
        channel_source=channel_source,
        distinct_id=fields.pop("distinct_id", None) or str(new_uuid()),
        created_at=now,
        updated_at=now,
    )
    set_fields(ticket, _with_consequences(ticket, fields, now))
    ticket.search = of_ticket(ticket)
    opening = None
    with transaction.atomic(savepoint=False):
        if message is not None:
            ticket.last_seq = ticket.message_count = ticket.unread_team_count = 1
            ticket.last_message_at, ticket.last_message_text = now, message[:PREVIEW_LENGTH]
            # Before its ticket, whose foreign key is checked at the commit: inserting
            # the ticket locks the project's counter, and every other new ticket waits.
            opening = Message(
                id=message_id or new_uuid(),
                project_id=project_id,
                ticket_id=ticket.pk,
                seq=1,
                author_type=AuthorType.CUSTOMER,
                content=message,
                search=of_message(project_id, message),
                created_at=now,
            )
            insert(opening)
        # So that the others do not wait for this query, either.
        load_persons(project_id, [ticket])
        ticket.ticket_number = NextTicketNumber(project_id)
        try:
            insert(ticket)
        except IntegrityError as exc:
            if isinstance(exc.__cause__, errors.NotNullViolation):
                # There is no number, since the project has just been deleted.
                raise PermissionDenied(NO_ACCESS) from exc
            raise
        happened = [events.of_ticket(EventType.TICKET_CREATED, ticket, actor=actor)]
        if opening is not None:
            created = EventType.MESSAGE_CREATED
            happened.append(events.of_message(created, opening, ticket=ticket, actor=actor))
        events.record(happened)
    return ticket


def update_ticket(*, ticket: Ticket, actor: Actor, **fields: Any) -> list[str]:
    """Changes a ticket that the caller has locked; returns the columns that were written.

    Nothing is written where nothing differs. `resolved_at` follows the status, the
    status follows `snoozed_until` unless it is among `fields`.
    """
    was = events.before(ticket)
    # As it is in the lists of its customer until now; and what a process changed that died
    # before it could forget.
    polls.forget(ticket)
    changed = change(ticket, fields, timezone.now())
    if changed:
        with transaction.atomic(savepoint=False):
            update(ticket, changed)
            events.record(events.updated({ticket: was}, actor=actor))
    else:
        # The change may have been made by a process that died before it could forget.
        unread.forget(ticket.project_id)
    return changed


def change(ticket: Ticket, fields: dict[str, Any], now: datetime) -> list[str]:
    """What `update_ticket` does short of saving; returns the columns to save.

    `updated_at` and `version` are among them, and `search` where the words to be found changed.
    """
    changed = set_fields(ticket, _with_consequences(ticket, fields, now))
    if not changed:
        return []
    touch(ticket, now)
    ticket.version += 1
    if not SEARCHED.isdisjoint(changed):
        ticket.search = of_ticket(ticket)
        changed.append("search")
    return [*changed, "updated_at", "version"]


def touch(ticket: Ticket, now: datetime) -> datetime:
    """Moves `updated_at` forward, strictly, also when clocks of two servers disagree."""
    ticket.updated_at = max(now, ticket.updated_at + _TICK)
    return ticket.updated_at


def _with_consequences(ticket: Ticket, fields: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The columns to set: the fields, and what follows from them."""
    fields = dict(fields)
    if "assignee" in fields:
        fields |= ticket.assign(fields.pop("assignee"))
    if "snoozed_until" in fields and "status" not in fields:
        if fields["snoozed_until"] and not ticket.snoozed_until:
            fields["status"] = Status.ON_HOLD
        elif ticket.snoozed_until and not fields["snoozed_until"] and not ticket.is_resolved:
            fields["status"] = Status.OPEN
    status = fields.get("status", ticket.status)
    if status == Status.RESOLVED and ticket.resolved_at is None:
        fields["resolved_at"] = now
    elif status != Status.RESOLVED:
        fields["resolved_at"] = None
    return fields


def mark_read(*, ticket_id: Any) -> Ticket | None:
    """Marks a ticket as read by the team; the row as it was read, or None if it is gone.

    Position, count and answer come from one statement. Were they two, a message
    that commits between them would be cleared though nobody has seen it, or two
    readers who both saw it would clear the next one as well.
    """
    with transaction.atomic(savepoint=False):
        columns = ticket_columns()
        row = first(_MARK_READ.format(ticket=columns.sql), [ticket_id])
        if row is None:
            return None
        ticket = columns.instance(row)
        # Raw SQL sends no signal.
        unread.forget(ticket.project_id)
        ticket.load_assignee_names()
    return ticket


_MARK_READ = """
UPDATE conversations_ticket
SET team_read_seq = last_seq, unread_team_count = 0, marked_unread = FALSE
WHERE id = %s
RETURNING {ticket}
"""


def mark_unread(*, ticket: Ticket) -> None:
    """Marks a ticket that the caller has locked as unread until the team reads it again."""
    ticket.marked_unread = True
    ticket.unread_team_count = max(1, ticket.unread_team_count)
    ticket.save(update_fields=["marked_unread", "unread_team_count"])


def delete_ticket(*, ticket: Ticket, actor: Actor) -> None:
    """Deletes a ticket that the caller has locked, with its messages. Its number is not reused.

    Its events stay, until they are as old as any other.
    """
    deleted = events.of_ticket(EventType.TICKET_DELETED, ticket, actor=actor)
    with transaction.atomic(savepoint=False):
        ticket.delete()
        events.record([deleted])


def wake_tickets() -> list[Any]:
    """Ends snoozes that have passed, and opens their tickets unless resolved; returns their ids.

    At most `WAKE_AT_ONCE`, the longest overdue first. A ticket that somebody is
    changing in this moment is left to the next call, which sees what became of it.
    A query for the persons of each project.
    """
    now = timezone.now()
    with transaction.atomic(savepoint=False):
        woken = list(Ticket.objects.raw(WAKE, {"now": now, "limit": WAKE_AT_ONCE}))
        load_assignee_names(woken)
        for ticket in woken:
            polls.forget(ticket)
        by_project: dict[int, list[Ticket]] = {}
        for ticket in woken:
            by_project.setdefault(ticket.project_id, []).append(ticket)
        happened = []
        for project_id, tickets in by_project.items():
            # Raw SQL sends no signal.
            unread.forget(project_id)
            happened += events.updated({t: _asleep(t) for t in tickets}, actor=SYSTEM)
        events.record(happened)
    return [ticket.pk for ticket in woken]


def _asleep(ticket: Any) -> dict[str, Any]:
    """A ticket that was woken as it was before."""
    slept_until = timestamp(ticket.was_snoozed_until)
    return {**events.before(ticket), "status": ticket.was_status, "snoozed_until": slept_until}


WAKE = """
WITH due AS (
    SELECT id, status, snoozed_until FROM conversations_ticket WHERE snoozed_until <= %(now)s
    ORDER BY snoozed_until LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE conversations_ticket AS ticket
SET snoozed_until = NULL,
    status = CASE ticket.status WHEN 'resolved' THEN ticket.status ELSE 'open' END,
    updated_at = GREATEST(%(now)s, ticket.updated_at + interval '1 microsecond'),
    version = ticket.version + 1
FROM due
-- The array makes it look each of them up, whatever it believes of how many they are.
WHERE ticket.id = due.id AND ticket.id = ANY(ARRAY(SELECT id FROM due))
RETURNING ticket.*, due.status AS was_status, due.snoozed_until AS was_snoozed_until
"""
