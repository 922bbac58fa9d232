"""What happened to tickets and messages: one row for each change, never changed itself.

Two orders are kept. `position` is taken under the ticket's lock, which is held to the
commit, so that it orders what happened to one ticket. `xid` is the transaction's own
id: who reads a whole project takes only rows older than every transaction that still
runs, and none can appear before a place that was read already.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.utils import timezone

from projects.models import Project, address_key, new_uuid
from rest.json import JSONField


class EventType(models.TextChoices):
    TICKET_CREATED = "ticket.created"
    TICKET_UPDATED = "ticket.updated"
    TICKET_DELETED = "ticket.deleted"
    MESSAGE_CREATED = "message.created"
    MESSAGE_UPDATED = "message.updated"
    MESSAGE_DELETED = "message.deleted"


# Those whose object is a ticket.
OF_TICKETS = [EventType.TICKET_CREATED, EventType.TICKET_UPDATED, EventType.TICKET_DELETED]


class TransactionId(models.Field):  # type: ignore[type-arg]  # (generic in the stubs alone)
    """A 64-bit transaction id, which unlike the 32-bit one never comes again."""

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)


class Event(models.Model):
    """One change of a ticket or a message: what, by whom, and how the object is since.

    `ticket_id` is no foreign key: events outlive their tickets. `object` is null, and
    `changes` is empty, where a person was erased.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    # Every index but one begins with the project.
    project = models.ForeignKey(Project, models.CASCADE, related_name="events", db_index=False)
    ticket_id = models.UUIDField()
    ticket_number = models.PositiveIntegerField()
    type = models.CharField(max_length=16, choices=EventType.choices)
    actor = JSONField()
    changes = JSONField(default=dict)
    object = JSONField(null=True)
    # After the id, whose time is then never later: what is pruned by this is old by its id.
    created_at = models.DateTimeField(default=timezone.now)
    position = models.BigIntegerField(
        editable=False,
        db_default=Func(Value("conversations_event_position"), function="nextval"),
    )
    xid = TransactionId(editable=False, db_default=Func(function="pg_current_xact_id"))

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(type__in=EventType.values), name="event_type_known"),
        ]
        indexes = [
            models.Index(fields=["project", "xid", "position"], name="event_feed"),
            models.Index(fields=["project", "ticket_id", "position"], name="event_activity"),
            models.Index(fields=["created_at"], name="event_created"),
            # Where the customer of a ticket that is gone can still be found, to be erased.
            models.Index(
                "project",
                KeyTextTransform("distinct_id", "object"),
                condition=Q(type=EventType.TICKET_DELETED),
                name="event_gone_distinct_id",
            ),
            models.Index(
                "project",
                address_key(KeyTextTransform("email_from", "object")),
                condition=Q(type=EventType.TICKET_DELETED),
                name="event_gone_email_from",
            ),
            # Where a person was shown by an address that leads to them no more.
            models.Index(
                "project",
                KeyTextTransform("id", KeyTransform("person", "object")),
                condition=Q(type__in=OF_TICKETS),
                name="event_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.ticket_number}"

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among all events, see `conversations.events.feed`."""
        return self.xid, self.position
