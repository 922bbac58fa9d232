"""Tickets and their messages.

Messages of a ticket are numbered by `seq` under the ticket's row lock, so that
their order is the order of their commits. What somebody has read is a position
in that numbering; unread is what lies behind it and is not deleted. The counters
on the ticket are kept by the verbs in `conversations.tickets` and
`conversations.messages`, in the statement or under the lock that moves the rest.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.utils import timezone

from conversations.events.models import Event as Event
from conversations.webhooks.models import Delivery as Delivery
from conversations.webhooks.models import Webhook as Webhook
from projects.models import Project, Role, User, address_key, new_uuid
from rest.json import JSONField, are_same
from rest.statements import every


class Status(models.TextChoices):
    NEW = "new"
    OPEN = "open"
    PENDING = "pending"
    ON_HOLD = "on_hold"
    RESOLVED = "resolved"


class Priority(models.TextChoices):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


PRIORITY_OR_NONE = [*Priority.choices, ("none", "none")]
ASSIGNEE_TYPES = [("user", "user"), ("role", "role")]


class ChannelSource(models.TextChoices):
    WIDGET = "widget"
    EMAIL = "email"
    SLACK = "slack"
    TEAMS = "teams"
    GITHUB = "github"
    API = "api"


class AuthorType(models.TextChoices):
    CUSTOMER = "customer"
    AI = "AI"
    SUPPORT = "support"


@dataclass(frozen=True)
class Assignee:
    """Who a ticket is assigned to, an agent or a role or nobody; with what answers show of it."""

    user_id: int | None = None
    role_id: uuid.UUID | None = None
    email: str | None = None
    role_name: str | None = None


class TicketNumber(models.PositiveIntegerField):  # type: ignore[type-arg]  # (generic in the stubs alone)
    """Filled in by the database while it inserts the row, and read back from there."""

    db_returning = True


class NextTicketNumber(models.Func):
    """The project's next ticket number, taken in the statement that inserts the ticket.

    The project's row stays locked from here to the commit and no longer, so numbers
    are consecutive, a rollback leaves no gap, and a deleted one does not come back.
    """

    function = "next_ticket_number"
    arity = 1
    output_field = models.PositiveIntegerField()


def unassign(collector: Any, field: Any, tickets: Any, using: str) -> None:
    """Deleting an agent or a role leaves their tickets to nobody, which is a change of them."""
    # What is deleted together with its project changes no more.
    tickets = tickets.exclude(project__in=collector.data.get(Project, ()))
    collector.add_field_update(field, None, _Unassigned(tickets.model, tickets.query, using))


# They are not loaded, and left to the update below.
unassign.lazy_sub_objs = True  # type: ignore[attr-defined]  # (an attribute that the collector looks for)


class _Unassigned(models.QuerySet["Ticket"]):
    """Tickets whose assignee is being deleted.

    A collector also lists what would go, as for the page that asks whether it shall, and
    so the change is made when it updates them and not when they are collected.
    """

    def update(self, **values: Any) -> int:
        from conversations.tickets.bulk import unassign_all

        return unassign_all(self)


class TicketQuerySet(models.QuerySet["Ticket"]):
    def in_project(self, project_id: int) -> TicketQuerySet:
        """Without the words for the search, which only the index of them reads."""
        return self.filter(project_id=project_id).defer("search")

    def with_assignee(self) -> TicketQuerySet:
        """Adds the names that an answer shows of the assignee, without loading their rows."""
        return self.annotate(  # type: ignore[no-redef]  # (the plugin counts it twice)
            assignee_email=F("assignee_user__email"), assignee_role_name=F("assignee_role__name")
        )

    def unresolved(self) -> TicketQuerySet:
        return self.exclude(status=Status.RESOLVED)

    def with_unread(self) -> TicketQuerySet:
        return self.filter(unread_team_count__gt=0)

    def of_caller(
        self, *, session_id: uuid.UUID | None, distinct_ids: Collection[str]
    ) -> TicketQuerySet:
        """Those that a widget's session opens, or a verified customer's distinct ids."""
        whose = Q(distinct_id__in=distinct_ids, widget_restored=False)
        if session_id is not None:
            whose |= Q(widget_session_id=session_id)
        return self.filter(whose)

    def unread_total(self) -> int:
        """Unread customer messages over the unresolved tickets of enabled projects.

        Both conditions of the partial index `ticket_unread` are repeated here:
        without them it would not be used.
        """
        rows = self.unresolved().with_unread().filter(project__conversations_enabled=True)
        total: int = rows.aggregate(total=Coalesce(Sum("unread_team_count"), 0))["total"]
        return total

    def unread_totals(self, project_ids: Collection[int]) -> dict[int, int]:
        """The same for each of these projects where it is not zero."""
        rows = self.unresolved().with_unread().filter(project__conversations_enabled=True)
        totals = rows.filter(project_id__in=project_ids).values("project_id")
        totals = totals.annotate(total=Sum("unread_team_count"))
        return dict(totals.values_list("project_id", "total"))


def search_index(name: str) -> GinIndex:
    """Lexemes are added to the index in bulk, and until then each search reads a list of them.

    With PostgreSQL's own limit of 4 MB that is most of what a word with few hits costs
    (measured: 5.0 ms of processor time a request, against 2.7), and whoever's message
    reaches the limit waits until the words of thousands are added.
    """
    return GinIndex(fields=["search"], name=name, gin_pending_list_limit=256)


class Ticket(models.Model):
    """A conversation with one customer."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    # Every other index begins with the project, so that one of its own has nothing to do.
    project = models.ForeignKey(Project, models.CASCADE, related_name="tickets", db_index=False)
    ticket_number = TicketNumber(editable=False)
    channel_source = models.CharField(
        max_length=16, choices=ChannelSource.choices, default=ChannelSource.API
    )
    channel_detail = models.CharField(max_length=64, null=True)
    distinct_id = models.CharField(max_length=400)
    identity_verified = models.BooleanField(null=True)
    # Known to one browser alone, which reads and writes here by it. In no answer to the team.
    widget_session_id = models.UUIDField(null=True)
    # Whether its session got it by a mailed link. Then the session alone opens it: whoever
    # has the distinct_id may be another than who has the address.
    widget_restored = models.BooleanField(default=False, db_default=False)

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.NEW)
    priority = models.CharField(max_length=16, choices=Priority.choices, null=True)
    assignee_user = models.ForeignKey(User, unassign, null=True, related_name="+")
    assignee_role = models.ForeignKey(Role, unassign, null=True, related_name="+")
    anonymous_traits = JSONField(default=dict)
    ai_resolved = models.BooleanField(default=False)
    escalation_reason = models.TextField(null=True)
    tags = ArrayField(models.TextField(), default=list)
    sla_due_at = models.DateTimeField(null=True)
    snoozed_until = models.DateTimeField(null=True)

    session_id = models.CharField(max_length=64, null=True)
    session_context = JSONField(default=dict)
    email_subject = models.CharField(max_length=500, null=True)
    email_from = models.EmailField(max_length=320, null=True)
    # What the search finds in the ticket itself; see `conversations.search`.
    search = SearchVectorField(null=True, editable=False)

    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    # Moves with the ticket's own fields; not with messages, reading, or the customer's person.
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    resolved_at = models.DateTimeField(null=True)
    # From its creation to the team's first public message, in whole seconds; an AI is not the team.
    first_reply_seconds = models.PositiveIntegerField(null=True, editable=False)

    message_count = models.PositiveIntegerField(default=0)
    last_message_at = models.DateTimeField(null=True)
    last_message_text = models.CharField(max_length=500, null=True)
    last_seq = models.PositiveIntegerField(default=0)
    team_read_seq = models.PositiveIntegerField(default=0)
    customer_read_seq = models.PositiveIntegerField(default=0)
    # Up to here messages were in an answer to the customer's browser, seen or not.
    customer_delivered_seq = models.PositiveIntegerField(default=0, db_default=0)
    marked_unread = models.BooleanField(default=False)
    unread_team_count = models.PositiveIntegerField(default=0)
    unread_customer_count = models.PositiveIntegerField(default=0)

    # What answers show besides, and do not load with the row: see `load_assignee_names`,
    # and `load_persons`, which notes by what it has looked for the person.
    assignee_email: str | None
    assignee_role_name: str | None
    person: dict[str, Any] | None
    person_found_by: tuple[str, str | None] | None = None

    objects = TicketQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "ticket_number"], name="ticket_number_unique"
            ),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="ticket_status_known"
            ),
            models.CheckConstraint(
                condition=Q(priority=None) | Q(priority__in=Priority.values),
                name="ticket_priority_known",
            ),
            models.CheckConstraint(
                condition=Q(assignee_user=None) | Q(assignee_role=None),
                name="ticket_one_assignee",
            ),
            models.CheckConstraint(
                condition=Q(marked_unread=False) | Q(unread_team_count__gt=0),
                name="ticket_marked_counts",
            ),
            models.CheckConstraint(
                condition=Q(team_read_seq__lte=F("last_seq"))
                & Q(customer_read_seq__lte=F("last_seq")),
                name="ticket_read_positions",
            ),
            models.CheckConstraint(
                condition=Q(customer_delivered_seq__lte=F("last_seq")),
                name="ticket_delivered_position",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "updated_at", "id"], name="ticket_updated"),
            # The overview's numbers of thirty days are index-only scans of this.
            models.Index(
                fields=["project", "created_at", "id"],
                include=["first_reply_seconds"],
                name="ticket_created",
            ),
            models.Index(fields=["project", "status", "updated_at", "id"], name="ticket_status"),
            models.Index(fields=["project", "distinct_id"], name="ticket_distinct_id"),
            models.Index(
                fields=["project", "widget_session_id", "created_at", "id"],
                name="ticket_widget_session",
                condition=Q(widget_session_id__isnull=False),
            ),
            models.Index(
                "project",
                address_key("email_from"),
                name="ticket_email_from",
                condition=Q(email_from__isnull=False),
            ),
            models.Index(
                "project",
                address_key(KeyTextTransform("email", "anonymous_traits")),
                name="ticket_traits_email",
            ),
            models.Index(
                fields=["project", "assignee_user", "updated_at", "id"],
                condition=Q(assignee_user__isnull=False),
                name="ticket_assignee_user",
            ),
            models.Index(
                fields=["project", "assignee_role", "updated_at", "id"],
                condition=Q(assignee_role__isnull=False),
                name="ticket_assignee_role",
            ),
            models.Index(
                fields=["project", "priority", "updated_at", "id"], name="ticket_priority"
            ),
            models.Index(
                fields=["project", "sla_due_at", "id"],
                condition=Q(sla_due_at__isnull=False),
                name="ticket_sla_due_at",
            ),
            # What agents have before them is a small part of all tickets. Their filters, but for
            # tags and words, are counted by an index-only scan of this (20 ms instead of 700 for
            # 80,000 unresolved ones of a million).
            models.Index(
                fields=["project", "updated_at", "id"],
                include=[
                    "status",
                    "priority",
                    "channel_source",
                    "assignee_user",
                    "assignee_role",
                ],
                condition=~Q(status=Status.RESOLVED),
                name="ticket_unresolved",
            ),
            # What is overdue is found and counted here, past all that was resolved too late:
            # an index-only scan, for which it has the status that the list's filter names.
            models.Index(
                fields=["project", "sla_due_at", "id"],
                include=["status"],
                condition=~Q(status=Status.RESOLVED) & Q(sla_due_at__isnull=False),
                name="ticket_unresolved_due",
            ),
            models.Index(
                fields=["snoozed_until"],
                condition=Q(snoozed_until__isnull=False),
                name="ticket_snoozed_until",
            ),
            GinIndex(fields=["tags"], name="ticket_tags"),
            search_index("ticket_search"),
            # The unread count is an index-only scan of this: its cost grows with what
            # is unread, not with what is stored (measured: 0.5 ms against 35 ms).
            models.Index(
                fields=["project"],
                include=["unread_team_count"],
                condition=~Q(status=Status.RESOLVED) & Q(unread_team_count__gt=0),
                name="ticket_unread",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.ticket_number}"

    def load_assignee_names(self) -> None:
        load_assignee_names([self])

    def assign(self, assignee: Assignee) -> dict[str, Any]:
        """Takes over the assignee's names; returns the columns to set."""
        self.assignee_email, self.assignee_role_name = assignee.email, assignee.role_name
        return {"assignee_user_id": assignee.user_id, "assignee_role_id": assignee.role_id}

    @property
    def is_resolved(self) -> bool:
        return self.status == Status.RESOLVED


def load_assignee_names(tickets: Sequence[Ticket]) -> None:
    """Sets what answers show of the assignees, by a query of its own for agents and for roles.

    A join would do it in the query that finds the tickets, but not in one that locks
    them: after waiting for the lock PostgreSQL has the new row beside the join of the
    old one.
    """
    user_ids = {ticket.assignee_user_id for ticket in tickets if ticket.assignee_user_id}
    role_ids = {ticket.assignee_role_id for ticket in tickets if ticket.assignee_role_id}
    emails: dict[Any, str] = {}
    names: dict[Any, str] = {}
    if user_ids:
        emails = dict(every(_EMAILS, [list(user_ids)]))
    if role_ids:
        names = dict(every(_ROLE_NAMES, [list(role_ids)]))
    for ticket in tickets:
        ticket.assignee_email = emails.get(ticket.assignee_user_id)
        ticket.assignee_role_name = names.get(ticket.assignee_role_id)


_EMAILS = "SELECT id, email FROM projects_user WHERE id = ANY(%s::bigint[])"
_ROLE_NAMES = "SELECT id, name FROM projects_role WHERE id = ANY(%s)"


class MessageQuerySet(models.QuerySet["Message"]):
    def visible(self) -> MessageQuerySet:
        return self.filter(deleted_at=None).defer("search")

    def unread_by_team(self, after_seq: int) -> MessageQuerySet:
        from_customer = self.public().filter(author_type=AuthorType.CUSTOMER)
        return from_customer.filter(seq__gt=after_seq)

    def public(self) -> MessageQuerySet:
        """What the customer may see."""
        return self.visible().filter(is_private=False)

    def from_team(self, after_seq: Any) -> MessageQuerySet:
        """What the team or an AI has told the customer behind a position."""
        return self.public().exclude(author_type=AuthorType.CUSTOMER).filter(seq__gt=after_seq)


class Message(models.Model):
    """What was said in a ticket; private ones are notes among the team."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    ticket = models.ForeignKey(Ticket, models.CASCADE, related_name="messages", db_index=False)
    seq = models.PositiveIntegerField()
    author_type = models.CharField(max_length=16, choices=AuthorType.choices)
    author_name = models.CharField(max_length=200, null=True)
    content = models.TextField()
    rich_content = JSONField(null=True)
    is_private = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True, editable=False)
    deleted_at = models.DateTimeField(null=True)
    search = SearchVectorField(null=True, editable=False)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["ticket", "seq"], name="message_seq_unique"),
            models.CheckConstraint(
                condition=Q(author_type__in=AuthorType.values), name="message_author_known"
            ),
        ]
        indexes = [search_index("message_search")]

    def __str__(self) -> str:
        return f"{self.ticket_id} {self.seq}"

    @property
    def can_be_edited(self) -> bool:
        """What a customer has said stays as it was said; it can only be deleted."""
        return self.author_type != AuthorType.CUSTOMER


def differs(stored: Any, value: Any) -> bool:
    """Python takes 1 and true for equal, also inside the traits of a customer."""
    return stored != value or (isinstance(stored, dict) and not are_same(stored, value))


def new_short_id() -> str:
    """Ten characters for an address: 59 random bits."""
    return "".join(secrets.choice(_SHORT_ID_ALPHABET) for _ in range(10))


_SHORT_ID_ALPHABET = string.ascii_letters + string.digits


class SavedView(models.Model):
    """Filters of the ticket list under a name, kept as they were sent."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="saved_views")
    short_id = models.CharField(max_length=16, default=new_short_id, editable=False)
    name = models.CharField(max_length=200)
    filters = JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "short_id"], name="saved_view_short_id")
        ]

    def __str__(self) -> str:
        return self.name


class Macro(models.Model):
    """A prepared answer, and what else is done to the ticket that gets it."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="macros")
    short_id = models.CharField(max_length=16, default=new_short_id, editable=False)
    name = models.CharField(max_length=200)
    content = models.TextField(blank=True, default="")
    rich_content = JSONField(null=True)
    actions = JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "short_id"], name="macro_short_id")
        ]

    def __str__(self) -> str:
        return self.name


def set_fields(instance: models.Model, values: dict[str, Any]) -> list[str]:
    """Sets the fields that differ, and says which did."""
    changed = [name for name, value in values.items() if differs(getattr(instance, name), value)]
    for name in changed:
        setattr(instance, name, values[name])
    return changed


class Restore(models.Model):
    """A wish to have old conversations in a new browser, and the token of the mail that grants it.

    There is a row for each wish and a digest only where a mail was sent, so that neither
    the answer nor its time tells whether there was anything to restore.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    # In lower case.
    email = models.CharField(max_length=320)
    request_url = models.TextField()
    digest = models.CharField(max_length=64, unique=True, null=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    sent_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["project", "email"], name="restore_email")]

    def __str__(self) -> str:
        return str(self.pk)
