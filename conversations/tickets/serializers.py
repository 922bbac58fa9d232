"""A ticket in requests and answers."""

from collections.abc import Sequence
from typing import Any, NoReturn

import orjson
from django.db import models
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import examples
from conversations.models import Assignee, ChannelSource, Priority, Status, Ticket
from conversations.sla import SlaField
from projects.models import Membership, Role
from projects.persons import Customers, find_customers
from projects.persons.serializers import PersonSerializer
from rest.fields import (
    UUID_FORM,
    BoundedList,
    Flag,
    Identifier,
    Moment,
    StrictObject,
    Text,
    unknown_names,
)
from rest.json import are_same, timestamp
from rest.schema import with_example

# Names that PostHog's tickets have and ours do not: a client may send back what it got there.
POSTHOG_ONLY = (
    "ai_triage",
    "organization_id",
    "slack_*",
    "github_*",
    "email_to",
    "cc_participants",
)
MAX_TAGS = 100
MAX_TRAITS = 50
MAX_TRAIT_NAME = 200
MAX_OBJECT_BYTES = 16 * 1024
MAX_CONTENT = 10_000


# --- The assignee ------------------------------------------------------------

ASSIGNEE_ID = {
    "oneOf": [
        {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**63 - 1},
        {"type": "string", "format": "uuid"},
    ]
}


class AssignedUserSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(read_only=True)


class AssignedRoleSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(read_only=True)


@extend_schema_field(ASSIGNEE_ID)
class AssigneeIdField(serializers.Field[Any, Any, Any, Any]):
    """The id of an agent, an integer, or of a role, a UUID."""


class AssigneeSerializer(StrictObject):
    """Who a ticket is assigned to: an agent (`id` is an integer) or a role (a UUID)."""

    id = AssigneeIdField()
    type = serializers.ChoiceField(choices=["user", "role"])
    user = AssignedUserSerializer(read_only=True, allow_null=True)
    role = AssignedRoleSerializer(read_only=True, allow_null=True)


@extend_schema_field(AssigneeSerializer)
class AssigneeField(serializers.Field[Any, Any, Any, Any]):
    """`{"type", "id"}` or null; checked against the project's members and roles."""

    default_error_messages = {
        "not_an_object": "must be an object",
        "incomplete": "must have 'type' and 'id'",
        "unknown_type": "type must be 'user' or 'role'",
        "bad_user_id": "user id must be an integer",
        "bad_role_id": "role id must be a valid UUID",
        "not_a_member": "user is not a member of this project",
        "foreign_role": "role does not belong to this project",
    }

    def fail(self, key: str, **kwargs: Any) -> NoReturn:
        code = "required" if key == "required" else "invalid"
        raise serializers.ValidationError(self.error_messages[key], code=code)

    def run_validation(self, data: Any = serializers.empty) -> Any:
        assignee = super().run_validation(data)
        return Assignee() if assignee is None else assignee

    def to_internal_value(self, data: Any) -> Assignee:
        if not isinstance(data, dict):
            self.fail("not_an_object")
        if not {"type", "id"} <= data.keys():
            self.fail("incomplete")
        if unknown := data.keys() - {"type", "id", "user", "role"}:
            raise serializers.ValidationError(
                unknown_names(sorted(unknown), "There is no such field.", "unknown_field")
            )
        if data["type"] == "user":
            return self._user(data["id"])
        if data["type"] != "role":
            self.fail("unknown_type")
        return self._role(data["id"])

    def _user(self, user_id: Any) -> Assignee:
        if isinstance(user_id, bool) or not isinstance(user_id, int):
            self.fail("bad_user_id")
        member = (
            Membership.objects.filter(project_id=self.context["project_id"], user_id=user_id)
            .values_list("user__email", flat=True)
            .first()
        )
        if member is None:
            self.fail("not_a_member")
        return Assignee(user_id=user_id, email=member)

    def _role(self, role_id: Any) -> Assignee:
        if not isinstance(role_id, str) or not UUID_FORM.fullmatch(role_id):
            self.fail("bad_role_id")
        role = Role.objects.filter(project_id=self.context["project_id"], pk=role_id).first()
        if role is None:
            self.fail("foreign_role")
        return Assignee(role_id=role.pk, role_name=role.name)


def _assignee_json(ticket: Ticket) -> dict[str, Any] | None:
    if ticket.assignee_user_id is not None:
        user = {"email": ticket.assignee_email}
        return {"id": ticket.assignee_user_id, "type": "user", "user": user, "role": None}
    if ticket.assignee_role_id is not None:
        role = {"name": ticket.assignee_role_name}
        return {"id": str(ticket.assignee_role_id), "type": "role", "user": None, "role": role}
    return None


# --- Traits and tags ---------------------------------------------------------


@extend_schema_field(
    {"type": "object", "additionalProperties": {}, "x-max-bytes": MAX_OBJECT_BYTES}
)
class ObjectField(serializers.Field[Any, Any, Any, Any]):
    """Any JSON object of at most 16 KiB."""

    default_error_messages = {
        "not_an_object": "Must be an object.",
        "too_large": "Larger than 16 KiB.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_an_object")
        if len(orjson.dumps(data)) > MAX_OBJECT_BYTES:
            raise serializers.ValidationError(self.error_messages["too_large"], "max_length")
        return dict(data)


TRAITS = {
    "type": "object",
    "additionalProperties": {},
    "maxProperties": MAX_TRAITS,
    "propertyNames": {"maxLength": MAX_TRAIT_NAME},
    "x-max-bytes": MAX_OBJECT_BYTES,
}


@extend_schema_field(TRAITS)
class TraitsField(ObjectField):
    """What the customer says of themself: bounded, with `name` and `email` as text."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        traits = super().to_internal_value(data)
        if len(traits) > MAX_TRAITS:
            raise serializers.ValidationError(
                f"At most {MAX_TRAITS} traits are kept.", "max_length"
            )
        if any(len(key) > MAX_TRAIT_NAME for key in traits):
            raise serializers.ValidationError(
                f"The name of a trait has at most {MAX_TRAIT_NAME} characters.", "max_length"
            )
        odd = [name for name in ("name", "email") if not isinstance(traits.get(name), str | None)]
        if odd:
            raise serializers.ValidationError(dict.fromkeys(odd, "Must be text or null."))
        return traits


class TagField(Text):
    """One tag: trimmed and in lower case before it is measured, since some letters grow."""

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class TagsField(BoundedList):
    """Tags as they are kept: each once, sorted. Ten times as many may be given, if some are the
    same."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", f"At most {MAX_TAGS}, each once.")
        super().__init__(child=TagField(max_length=200), max_length=10 * MAX_TAGS, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        tags = sorted(set(super().to_internal_value(data)))
        if len(tags) > MAX_TAGS:
            raise serializers.ValidationError(f"At most {MAX_TAGS} tags are kept.", "max_length")
        return tags


# --- Many tickets at once ----------------------------------------------------

MAX_BULK = 500


class BulkSerializer(StrictObject):
    ids = BoundedList(
        child=Identifier(),
        allow_empty=False,
        min_length=1,
        max_length=MAX_BULK,
        help_text="Those of other projects are ignored.",
    )


@with_example(request={"ids": [examples.TICKET["id"]], "status": "resolved"})
class BulkStatusSerializer(BulkSerializer):
    """A status for many tickets."""

    status = serializers.ChoiceField(choices=Status.choices)


class TagsAction(models.TextChoices):
    ADD = "add"
    REMOVE = "remove"
    SET = "set"


@with_example(request={"ids": [examples.TICKET["id"]], "action": "add", "tags": ["delivery"]})
class BulkTagsSerializer(BulkSerializer):
    """Tags that many tickets get, lose, or have from now on instead of their own."""

    action = serializers.ChoiceField(choices=TagsAction.choices)
    tags = TagsField()


@with_example(
    request={"ids": [examples.TICKET["id"]], "assignee": {"type": "user", "id": 7}},
)
class BulkAssignSerializer(BulkSerializer):
    """An assignee for many tickets; null: nobody."""

    assignee = AssigneeField(allow_null=True)


@with_example(response={"updated": 1, "ids": [examples.TICKET["id"]]})
class ChangedTicketsSerializer(serializers.Serializer[Any]):
    """Which tickets changed, in the order in which they were named."""

    updated = serializers.IntegerField(min_value=0, max_value=MAX_BULK)
    ids = serializers.ListField(child=serializers.UUIDField())


# --- The ticket --------------------------------------------------------------


@with_example(response=examples.TICKET, request=examples.TICKET_CHANGES)
class TicketSerializer(StrictObject):
    """A ticket. Read-only fields in a body are ignored, so that an answer may be sent back."""

    ignored = POSTHOG_ONLY

    id = serializers.UUIDField(read_only=True)
    ticket_number = serializers.IntegerField(
        read_only=True, min_value=1, help_text="Consecutive in its project, never reused."
    )
    channel_source = serializers.ChoiceField(choices=ChannelSource.choices, read_only=True)
    channel_detail = serializers.CharField(read_only=True, allow_null=True)
    distinct_id = serializers.CharField(
        read_only=True, help_text="Links the ticket to a person; never grants access."
    )
    identity_verified = serializers.BooleanField(
        read_only=True,
        allow_null=True,
        help_text="Whether an identity hash proved the distinct_id; null: not a widget ticket.",
    )
    status = serializers.ChoiceField(choices=Status.choices, required=False)
    priority = serializers.ChoiceField(choices=Priority.choices, required=False, allow_null=True)
    assignee = AssigneeField(required=False, allow_null=True)
    anonymous_traits = TraitsField(required=False)
    ai_resolved = Flag(required=False)
    escalation_reason = Text(
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=10_000,
        trim_whitespace=False,
    )
    created_at = Moment(read_only=True)
    updated_at = Moment(read_only=True)
    resolved_at = Moment(read_only=True, allow_null=True)
    message_count = serializers.IntegerField(read_only=True, min_value=0)
    last_message_at = Moment(read_only=True, allow_null=True)
    last_message_text = serializers.CharField(read_only=True, allow_null=True, max_length=500)
    unread_team_count = serializers.IntegerField(
        read_only=True, min_value=0, help_text="Customer messages that the team has not seen."
    )
    unread_customer_count = serializers.IntegerField(
        read_only=True, min_value=0, help_text="Team messages that the customer has not seen."
    )
    session_id = serializers.CharField(read_only=True, allow_null=True)
    session_context = ObjectField(read_only=True)
    email_subject = serializers.CharField(read_only=True, allow_null=True)
    email_from = serializers.CharField(read_only=True, allow_null=True)
    sla_due_at = Moment(required=False, allow_null=True)
    sla = SlaField(
        required=False,
        allow_null=True,
        write_only=True,
        help_text="Sets `sla_due_at` to so much time from now; null clears it.",
    )
    snoozed_until = Moment(required=False, allow_null=True)
    tags = TagsField(required=False)
    person = PersonSerializer(read_only=True, allow_null=True)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Validated fields; what equals the stored value is left out, so it can not be refused."""
        explicit_status = isinstance(data, dict) and "status" in data
        if self.instance is not None and isinstance(data, dict):
            stored = ticket_json(self.instance, None)
            data = {
                name: value
                for name, value in data.items()
                if name not in stored or not _same(name, value, stored[name])
            }
        fields: dict[str, Any] = super().to_internal_value(data)
        if explicit_status and self.instance is not None:
            fields.setdefault("status", self.instance.status)
        if "sla" in fields:
            self._refuse_another_deadline(fields)
            fields["sla_due_at"] = fields.pop("sla")
        return fields

    def _refuse_another_deadline(self, fields: dict[str, Any]) -> None:
        stored = None if self.instance is None else self.instance.sla_due_at
        if fields.get("sla_due_at", stored) != stored:
            message = "Send either sla or another sla_due_at, not both."
            raise serializers.ValidationError({"sla": message})

    def validate_snoozed_until(self, snoozed_until: Any) -> Any:
        if self.instance is not None and snoozed_until == self.instance.snoozed_until:
            return snoozed_until
        if snoozed_until is not None and snoozed_until <= timezone.now():
            raise serializers.ValidationError("Must be in the future.")
        return snoozed_until


@with_example(request=examples.NEW_TICKET)
class NewTicketSerializer(TicketSerializer):
    """What a ticket may be created with; all of it may be left out."""

    distinct_id = Text(required=False, max_length=400, trim_whitespace=False)
    session_id = Text(
        trim_whitespace=False, required=False, allow_null=True, allow_blank=True, max_length=64
    )
    session_context = ObjectField(required=False)
    email_subject = Text(
        trim_whitespace=False, required=False, allow_null=True, allow_blank=True, max_length=500
    )
    email_from = serializers.EmailField(required=False, allow_null=True, max_length=320)
    message = Text(
        required=False,
        write_only=True,
        max_length=MAX_CONTENT,
        help_text="A first message from the customer.",
    )


def _same(name: str, given: Any, stored: Any) -> bool:
    if name == "assignee" and isinstance(given, dict) and stored is not None:
        # `user` and `role` are read-only; any other key is for the field to refuse.
        given = {key: value for key, value in given.items() if key not in ("user", "role")}
        stored = {key: stored[key] for key in ("type", "id")}
    return are_same(given, stored)


def ticket_json(ticket: Ticket, person: dict[str, Any] | None) -> dict[str, Any]:
    """A ticket as answers show it.

    Written out by hand: a declarative serializer takes several times as long, and
    a list has a thousand of them. Each answer in the tests is held to the schema.
    """
    return {
        "id": ticket.id,
        "ticket_number": ticket.ticket_number,
        "channel_source": ticket.channel_source,
        "channel_detail": ticket.channel_detail,
        "distinct_id": ticket.distinct_id,
        "identity_verified": ticket.identity_verified,
        "status": ticket.status,
        "priority": ticket.priority,
        "assignee": _assignee_json(ticket),
        "anonymous_traits": ticket.anonymous_traits,
        "ai_resolved": ticket.ai_resolved,
        "escalation_reason": ticket.escalation_reason,
        "created_at": timestamp(ticket.created_at),
        "updated_at": timestamp(ticket.updated_at),
        "resolved_at": ticket.resolved_at and timestamp(ticket.resolved_at),
        "message_count": ticket.message_count,
        "last_message_at": ticket.last_message_at and timestamp(ticket.last_message_at),
        "last_message_text": ticket.last_message_text,
        "unread_team_count": ticket.unread_team_count,
        "unread_customer_count": ticket.unread_customer_count,
        "session_id": ticket.session_id,
        "session_context": ticket.session_context,
        "email_subject": ticket.email_subject,
        "email_from": ticket.email_from,
        "sla_due_at": ticket.sla_due_at and timestamp(ticket.sla_due_at),
        "snoozed_until": ticket.snoozed_until and timestamp(ticket.snoozed_until),
        "tags": ticket.tags,
        "person": person,
    }


# What `ticket_json` needs of a ticket, for lists, which read no more.
SHOWN_COLUMNS = [
    *(
        name
        for name in TicketSerializer._declared_fields
        if name not in ("assignee", "sla", "person")
    ),
    "assignee_user_id",
    "assignee_role_id",
    "assignee_email",
    "assignee_role_name",
]


def with_customers(project_id: int, tickets: Sequence[Ticket]) -> list[dict[str, Any]]:
    """Tickets as answers show them, each with its person; see `load_persons`."""
    load_persons(project_id, tickets)
    return [ticket_json(ticket, ticket.person) for ticket in tickets]


def rows_with_customers(project_id: int, tickets: Sequence[Any]) -> list[dict[str, Any]]:
    """The same for rows of `SHOWN_COLUMNS`."""
    customers = _find_customers(project_id, tickets)
    return [
        ticket_json(ticket, customers.of(ticket.distinct_id, ticket.email_from))
        for ticket in tickets
    ]


def load_persons(project_id: int, tickets: Sequence[Ticket]) -> None:
    """Finds out who answers show as the tickets' persons, in one query for all of them.

    A ticket with a sender's address whose distinct_id matches nobody has the
    person with that address. No query where all are known, as from the event of
    the change that is answered.
    """
    unknown = [
        ticket
        for ticket in tickets
        if ticket.person_found_by != (ticket.distinct_id, ticket.email_from)
    ]
    if unknown:
        customers = _find_customers(project_id, unknown)
        for ticket in unknown:
            ticket.person = customers.of(ticket.distinct_id, ticket.email_from)
            ticket.person_found_by = (ticket.distinct_id, ticket.email_from)


def _find_customers(project_id: int, tickets: Sequence[Any]) -> Customers:
    return find_customers(
        project_id,
        distinct_ids=[ticket.distinct_id for ticket in tickets],
        emails=[ticket.email_from for ticket in tickets if ticket.email_from],
    )
