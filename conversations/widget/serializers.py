"""What the widget sends and gets. Unknown fields and parameters are ignored here."""

from datetime import datetime
from typing import Any

import orjson
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import examples
from conversations.messages.serializers import RichContentField
from conversations.models import AuthorType, Message, Status, Ticket
from conversations.tickets.serializers import MAX_CONTENT, TRAITS, TraitsField
from conversations.widget.polls import News
from conversations.widget.verbs import MAX_CONTEXT, Sent
from rest.fields import Identifier, Moment, QueryInteger, Text
from rest.json import timestamp
from rest.schema import kept_as_sent, with_example

DEFAULT_LIST = 20
_MAX_TRAIT = 500
_MAX_CONTEXT_BYTES = 16 * 1024


# --- Who asks ----------------------------------------------------------------


class WidgetCallerSerializer(serializers.Serializer[Any]):
    """A browser's session, or a verified identity: its distinct_id with the hash that proves it."""

    widget_session_id = Identifier(
        required=False, allow_null=True, help_text="A random UUID that only this browser knows."
    )
    identity_distinct_id = Text(
        required=False,
        allow_null=True,
        max_length=400,
        trim_whitespace=False,
        help_text="Whom the project's own server vouches for; comes with the hash.",
    )
    identity_hash = Text(
        required=False,
        allow_null=True,
        max_length=400,
        help_text="HMAC-SHA256 of the distinct_id with the project's identity secret, in hex.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        identity = attrs.get("identity_distinct_id"), attrs.get("identity_hash")
        if None in identity and identity != (None, None):
            missing = "identity_hash" if identity[1] is None else "identity_distinct_id"
            message = "The two of an identity come together."
            raise serializers.ValidationError({missing: message}, "required")
        if identity == (None, None) and attrs.get("widget_session_id") is None:
            message = "Required, unless an identity is given."
            raise serializers.ValidationError({"widget_session_id": message}, "required")
        return attrs


# --- Messages ----------------------------------------------------------------


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_SCALAR = {"type": ["string", "number", "boolean", "null"]}


@extend_schema_field({**TRAITS, "additionalProperties": {**_SCALAR, "maxLength": _MAX_TRAIT}})
class ScalarTraitsField(TraitsField):
    """Traits as text; what is null is left out."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        if isinstance(data, dict):
            odd = [name for name, value in data.items() if isinstance(value, dict | list)]
            if odd:
                message = "Must be text, a number, true, false or null."
                raise serializers.ValidationError(dict.fromkeys(odd[:50], message))
            data = {name: _as_text(value) for name, value in data.items() if value is not None}
            long = [name for name, value in data.items() if len(value) > _MAX_TRAIT]
            if long:
                message = f"Has more than {_MAX_TRAIT} characters."
                raise serializers.ValidationError(dict.fromkeys(long[:50], message), "max_length")
        return super().to_internal_value(data)


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": _SCALAR,
        "maxProperties": MAX_CONTEXT,
        "x-max-bytes": _MAX_CONTEXT_BYTES,
    }
)
class ContextField(serializers.Field[Any, Any, Any, Any]):
    """What is known of the visit, such as the address of the page; what is null is left out."""

    default_error_messages = {
        "not_an_object": "Must be an object.",
        "too_many": "At most {most} values are kept.",
        "too_large": "Larger than 16 KiB.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_an_object")
        odd = [name for name, value in data.items() if isinstance(value, dict | list)]
        if odd:
            message = "Must be text, a number, true, false or null."
            raise serializers.ValidationError(dict.fromkeys(odd[:50], message))
        context = {name: value for name, value in data.items() if value is not None}
        if len(context) > MAX_CONTEXT:
            self.fail("too_many", most=MAX_CONTEXT)
        if len(orjson.dumps(context)) > _MAX_CONTEXT_BYTES:
            self.fail("too_large")
        return context


@with_example(request=examples.WIDGET_MESSAGE)
class WidgetSendSerializer(WidgetCallerSerializer):
    """A customer's message; without `ticket_id` it opens a ticket."""

    message = Text(max_length=MAX_CONTENT)
    ticket_id = Identifier(required=False, allow_null=True)
    distinct_id = Text(
        required=False,
        allow_null=True,
        max_length=400,
        trim_whitespace=False,
        help_text="Required with a session; links the ticket to a person, and grants nothing.",
    )
    traits = ScalarTraitsField(required=False, allow_null=True)
    session_id = Text(
        required=False, allow_null=True, allow_blank=True, max_length=64, trim_whitespace=False
    )
    session_context = ContextField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # A field of the name that bots find, which no attribute of this class may have.
        fields = super().get_fields()
        fields["_hp"] = HoneypotField(required=False, allow_null=True)
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs.get("identity_distinct_id") is None and attrs.get("distinct_id") is None:
            message = "Required with a session."
            raise serializers.ValidationError({"distinct_id": message}, "required")
        return attrs


@extend_schema_field({"type": "string", "maxLength": 0})
class HoneypotField(serializers.Field[Any, Any, Any, Any]):
    """A field that people do not see, so that only a program fills it in."""

    default_error_messages = {"not_empty": "Must be empty."}

    def to_internal_value(self, data: Any) -> str:
        if data != "":
            self.fail("not_empty")
        return ""


@with_example(response=examples.WIDGET_SENT)
class WidgetSentSerializer(serializers.Serializer[Any]):
    """The message as it was taken."""

    ticket_id = serializers.UUIDField()
    message_id = serializers.UUIDField()
    ticket_status = serializers.ChoiceField(choices=Status.choices)
    unread_count = serializers.IntegerField(min_value=0)
    created_at = Moment()


def sent_json(sent: Sent) -> dict[str, Any]:
    return {
        "ticket_id": sent.ticket.pk,
        "message_id": sent.message_id,
        "ticket_status": sent.ticket.status,
        "unread_count": 0,
        "created_at": timestamp(sent.created_at),
    }


class PollQuery(WidgetCallerSerializer):
    after = Moment(
        required=False, help_text="The `created_at` of the newest message that is shown."
    )
    limit = QueryInteger(
        default=50, min_value=1, help_text="At most so many messages; above 200 is cut to 200."
    )

    def validate_limit(self, limit: int) -> int:
        return min(limit, 200)


class WidgetMessageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    content = serializers.CharField()
    rich_content = RichContentField(allow_null=True)
    author_type = serializers.ChoiceField(choices=AuthorType.choices)
    author_name = serializers.CharField(allow_null=True)
    created_at = Moment()


@with_example(response=examples.WIDGET_NEWS)
class WidgetNewsSerializer(serializers.Serializer[Any]):
    """What is new in a ticket, oldest first."""

    ticket_id = serializers.UUIDField()
    ticket_status = serializers.ChoiceField(choices=Status.choices)
    unread_count = serializers.IntegerField(min_value=0)
    messages = WidgetMessageSerializer(many=True)
    has_more = serializers.BooleanField()


def news_json(ticket_id: Any, news: News) -> dict[str, Any]:
    return {
        "ticket_id": ticket_id,
        "ticket_status": news.status,
        "unread_count": news.unread,
        "messages": [_message_json(message, shown_at) for message, shown_at in news.messages],
        "has_more": news.has_more,
    }


def _message_json(message: Message, shown_at: datetime) -> dict[str, Any]:
    return {
        "id": message.pk,
        "content": message.content,
        "rich_content": message.rich_content,
        "author_type": message.author_type,
        "author_name": message.author_name,
        "created_at": timestamp(shown_at),
    }


@with_example(response={"success": True, "unread_count": 0})
class WidgetSeenSerializer(serializers.Serializer[Any]):
    """`unread_count` is what came since the last poll."""

    success = serializers.BooleanField()
    unread_count = serializers.IntegerField(min_value=0)


# --- Tickets -----------------------------------------------------------------


class WidgetTicketsQuery(WidgetCallerSerializer):
    status = serializers.ChoiceField(
        choices=Status.choices, required=False, help_text="Only those in this state."
    )
    limit = QueryInteger(default=DEFAULT_LIST, min_value=1, help_text="Above 100 is cut to 100.")
    offset = QueryInteger(
        default=0, min_value=0, max_value=2**31, help_text="So many are passed over."
    )

    def validate_limit(self, limit: int) -> int:
        return min(limit, 100)


class WidgetTicketSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    ticket_number = serializers.IntegerField(min_value=1)
    status = serializers.ChoiceField(choices=Status.choices)
    unread_count = serializers.IntegerField(min_value=0)
    last_message = serializers.CharField(allow_null=True)
    last_message_at = Moment(allow_null=True)
    message_count = serializers.IntegerField(min_value=0)
    created_at = Moment()


@with_example(response=examples.WIDGET_TICKETS)
class WidgetTicketsSerializer(serializers.Serializer[Any]):
    """The caller's conversations, newest first."""

    count = serializers.IntegerField(min_value=0)
    results = WidgetTicketSerializer(many=True)


def widget_ticket_json(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.pk,
        "ticket_number": ticket.ticket_number,
        "status": ticket.status,
        "unread_count": ticket.unread_customer_count,
        "last_message": ticket.last_message_text,
        "last_message_at": ticket.last_message_at and timestamp(ticket.last_message_at),
        "message_count": ticket.message_count,
        "created_at": timestamp(ticket.created_at),
    }


# --- Restore -----------------------------------------------------------------


@with_example(request={"email": "ada@example.com", "request_url": "https://shop.example.com/help"})
class WidgetRestoreWishSerializer(serializers.Serializer[Any]):
    """Whose conversations, and the page that the mailed link leads to."""

    email = serializers.EmailField(max_length=320)
    request_url = Text(max_length=2000)


@with_example(response={"ok": True})
class WidgetRestoreAcceptedSerializer(serializers.Serializer[Any]):
    """The same whether or not there is anything to restore."""

    ok = serializers.BooleanField()


@with_example(request=examples.WIDGET_RESTORE)
class WidgetRestoreSerializer(serializers.Serializer[Any]):
    """The token of the link, and the session that gets the tickets."""

    restore_token = Text(max_length=200)
    widget_session_id = Identifier()


RESTORE_STATUSES = [(name, name) for name in ("success", "invalid", "used", "expired")]


@kept_as_sent
@with_example(response=examples.WIDGET_RESTORED)
class WidgetRestoredSerializer(serializers.Serializer[Any]):
    """Session and tickets are there with `success` alone."""

    status = serializers.ChoiceField(choices=RESTORE_STATUSES)
    widget_session_id = serializers.UUIDField(required=False)
    migrated_ticket_ids = serializers.ListField(child=serializers.UUIDField(), required=False)
