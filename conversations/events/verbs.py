"""How events come to be, lose what they say of a person, and go.

A verb that changes a ticket or a message makes its events by `of_ticket` and
`of_message`, and stores them by `record`, all of them at once, after the change.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Case, F, Value, When
from django.utils import timezone

from conversations.events.actors import Actor, ActorType
from conversations.events.models import Event, EventType
from conversations.messages.serializers import message_json
from conversations.models import Delivery, Message, Ticket
from conversations.stream import wake
from conversations.tickets.serializers import load_persons, ticket_json, with_customers
from rest.json import JSONField, are_same, dumps
from rest.statements import every

PRUNE_AT_ONCE = 5000
# What follows from messages, from reading, and from other data than the ticket's own.
_NO_CHANGES = {
    "updated_at",
    "message_count",
    "last_message_at",
    "last_message_text",
    "unread_team_count",
    "unread_customer_count",
    "person",
}


def record(events: Sequence[Event]) -> None:
    """Stores what happened, in the transaction of the change, and a delivery of it for each
    webhook that wants it.

    One statement, however many events, and a second one in a project that has webhooks.
    The caller holds the lock of each ticket, so that positions follow the order in which
    a ticket changed. Everything that happens goes through here, and nothing that did not:
    without events there is no statement. At the commit the project's streams are woken.

    Django's `bulk_create` would take several times as long, under that lock (measured:
    102 ms for 500 events, not 22; 0.7 ms for one, not 0.4).
    """
    rows = [{name: getattr(event, name) for name in _COLUMNS} for event in events]
    if rows:
        project_ids = list({event.project_id for event in events})
        [has_webhooks] = every(_RECORD, [dumps(rows).decode(), project_ids])[0]
        if has_webhooks:
            ids = [event.pk for event in events]
            with connection.cursor() as cursor:
                cursor.execute(_DELIVER, [project_ids, ids, DELIVERIES_DUE])
        for project_id in project_ids:
            wake.at_commit(project_id)


# The channel on which whoever sends deliveries is told that there are new ones.
DELIVERIES_DUE = "conversations_deliveries_due"
_COLUMNS = {
    "id": "uuid",
    "project_id": "bigint",
    "ticket_id": "uuid",
    "ticket_number": "integer",
    "type": "text",
    "actor": "jsonb",
    "changes": "jsonb",
    "object": "jsonb",
    "created_at": "timestamptz",
}
# The database adds position, row by row in this order, and the transaction: its own, or that of
# what happened to the ticket before, where that one began later and was first at the lock all the
# same. It has committed, so that no reader is beyond it while this one still runs.
_RECORD = """
INSERT INTO conversations_event (<names>, xid)
SELECT <names>, GREATEST(pg_current_xact_id(), (
    SELECT earlier.xid FROM conversations_event AS earlier
    WHERE earlier.project_id = event.project_id AND earlier.ticket_id = event.ticket_id
    ORDER BY earlier.position DESC LIMIT 1
))
FROM jsonb_to_recordset(%s::jsonb) AS event(<shape>)
RETURNING EXISTS (
    SELECT FROM conversations_webhook WHERE project_id = ANY(%s::bigint[]) AND enabled
)
"""
_RECORD = _RECORD.replace("<names>", ", ".join(_COLUMNS)).replace(
    "<shape>", ", ".join(f"{name} {type_}" for name, type_ in _COLUMNS.items())
)
# The lock lets a webhook be changed meanwhile, but not deleted: what refers to it could not
# be committed. A delivery's id is a UUID of version 7, which PostgreSQL makes from version 18
# on: one of version 4 with the time in its first 48 bits and bits 52 and 53 set.
_DELIVER = """
WITH webhook AS (
    SELECT id, project_id, event_types FROM conversations_webhook
    WHERE project_id = ANY(%s) AND enabled FOR KEY SHARE
), delivery AS (
    INSERT INTO conversations_delivery
        (id, project_id, webhook_id, event_id, status, created_at, next_attempt_at)
    SELECT
        encode(set_bit(set_bit(overlay(
            uuid_send(gen_random_uuid())
            PLACING substring(int8send(
                (extract(epoch FROM event.created_at) * 1000)::bigint
            ) FROM 3) FROM 1 FOR 6
        ), 52, 1), 53, 1), 'hex')::uuid,
        project_id, webhook.id, event.id, 'pending', event.created_at, event.created_at
    FROM conversations_event AS event JOIN webhook USING (project_id)
    WHERE event.id = ANY(%s) AND (event_types = '{}' OR event.type = ANY(event_types))
    RETURNING id
)
SELECT pg_notify(%s, '') FROM delivery LIMIT 1
"""


def of_ticket(
    event_type: EventType,
    ticket: Ticket,
    *,
    actor: Actor,
    changes: Mapping[str, Any] | None = None,
) -> Event:
    """What happened to a ticket, as it is since, or as it was last.

    Its person costs a query, but for the event and the answer together no more than
    one: see `load_persons`.
    """
    if not hasattr(ticket, "assignee_email"):
        ticket.load_assignee_names()
    [shown] = with_customers(ticket.project_id, [ticket])
    return _event(event_type, ticket, actor=actor, changes=changes or {}, shown=shown)


def of_message(
    event_type: EventType,
    message: Message,
    *,
    ticket: Ticket,
    actor: Actor,
    changes: Mapping[str, Any] | None = None,
) -> Event:
    """What happened to a message, as it is since, or as it was last."""
    shown = message_json(message)
    return _event(event_type, ticket, actor=actor, changes=changes or {}, shown=shown)


def _event(
    event_type: EventType,
    ticket: Ticket,
    *,
    actor: Actor,
    changes: Mapping[str, Any],
    shown: dict[str, Any],
) -> Event:
    return Event(
        project_id=ticket.project_id,
        ticket_id=ticket.pk,
        ticket_number=ticket.ticket_number,
        type=event_type,
        actor=actor.as_json(),
        changes=dict(changes),
        object=shown,
    )


def updated(tickets: Mapping[Ticket, dict[str, Any]], *, actor: Actor) -> list[Event]:
    """An event for each of a project's tickets that differs from how it was: `before` of it.

    One query for all persons; see `of_ticket`.
    """
    differing = {
        ticket: changes for ticket, was in tickets.items() if (changes := changes_of(ticket, was))
    }
    if differing:
        load_persons(next(iter(differing)).project_id, list(differing))
    return [
        of_ticket(EventType.TICKET_UPDATED, ticket, actor=actor, changes=changes)
        for ticket, changes in differing.items()
    ]


def before(ticket: Ticket) -> dict[str, Any]:
    """A ticket as it is before it changes, for `updated`."""
    if not hasattr(ticket, "assignee_email"):
        ticket.load_assignee_names()
    return ticket_json(ticket, None)


def changes_of(ticket: Ticket, was: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from how a ticket was: before and after of each field, as answers show it."""
    now = ticket_json(ticket, None)
    return {
        name: [was[name], value]
        for name, value in now.items()
        if name not in _NO_CHANGES and not are_same(was[name], value)
    }


def blank(*, project_id: int, ticket_ids: Sequence[UUID]) -> None:
    """Takes out of the events of these tickets what they say of the customer.

    What happened when, and who of the team did it, stays. The same goes for what webhooks
    answered when they were told, which may repeat it. The caller has locked those of the
    tickets that are still there.

    An attempt that ends meanwhile leaves nothing: where its answer is written first, the
    second statement waits for the lock of its row, and takes it out; where it comes later,
    it waits in turn, and then finds the event blank (`webhooks.verbs.finish`).
    """
    nobody = Actor(ActorType.CUSTOMER).as_json()
    by_customer = When(actor__type=ActorType.CUSTOMER, then=Value(nobody, JSONField()))
    theirs = Event.objects.filter(project_id=project_id, ticket_id__in=ticket_ids)
    theirs.update(object=None, changes={}, actor=Case(by_customer, default=F("actor")))
    # Of all of them: one whose answer is being written still looks as if it had none.
    Delivery.objects.filter(event__in=theirs.values("pk")).update(response_body="")


def prune() -> int:
    """Removes events that were kept for EVENT_RETENTION days, the oldest first; how many.

    Their deliveries go with them; an event with one that is still to be made stays. At
    most `PRUNE_AT_ONCE`, so that no transaction takes long: as long as one runs, no reader
    sees what came after it.
    """
    kept_since = timezone.now() - timedelta(days=settings.EVENT_RETENTION)
    with connection.cursor() as cursor:
        cursor.execute(_PRUNE, [kept_since, PRUNE_AT_ONCE])
        return int(cursor.rowcount)


# Should a delivery be replayed between the look and the deletion, the reference of the
# delivery to the event undoes all of it, and the job does it again.
_PRUNE = """
WITH old AS (
    SELECT id FROM conversations_event AS event WHERE created_at < %s AND NOT EXISTS (
        SELECT FROM conversations_delivery WHERE event_id = event.id AND status = 'pending'
    )
    ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED
), finished AS (
    DELETE FROM conversations_delivery
    WHERE event_id = ANY(ARRAY(SELECT id FROM old)) AND status <> 'pending'
)
DELETE FROM conversations_event WHERE id = ANY(ARRAY(SELECT id FROM old))
"""
