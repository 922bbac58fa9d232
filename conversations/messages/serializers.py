"""A message in requests and answers."""

from typing import Any

import orjson
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import examples
from conversations.models import AuthorType, Message
from conversations.tickets.serializers import MAX_CONTENT
from rest.fields import Flag, Moment, StrictObject, Text
from rest.json import differing, timestamp
from rest.pagination import PageQuery
from rest.schema import with_example

MAX_RICH_CONTENT_BYTES = 100_000


@extend_schema_field({"oneOf": [{"x-max-bytes": MAX_RICH_CONTENT_BYTES}]})
class RichContentField(serializers.Field[Any, Any, Any, Any]):
    """Any JSON of at most 100 KB, or null."""

    def to_internal_value(self, data: Any) -> Any:
        if len(orjson.dumps(data)) > MAX_RICH_CONTENT_BYTES:
            raise serializers.ValidationError("Larger than 100 KB.", "max_length")
        return data


@with_example(response=examples.MESSAGE, request=examples.NEW_MESSAGE)
class MessageSerializer(StrictObject):
    """A message; `is_private` ones are notes among the team."""

    id = serializers.UUIDField(read_only=True)
    content = Text(max_length=MAX_CONTENT)
    rich_content = RichContentField(required=False, allow_null=True)
    author_type = serializers.ChoiceField(choices=AuthorType.choices, default=AuthorType.SUPPORT)
    author_name = Text(
        trim_whitespace=False, required=False, allow_null=True, allow_blank=True, max_length=200
    )
    is_private = Flag(default=False)
    created_at = Moment(read_only=True)


@with_example(request=examples.REPLY)
class ReplySerializer(StrictObject):
    """A message from the team."""

    message = Text(max_length=MAX_CONTENT)
    is_private = Flag(default=False)
    rich_content = RichContentField(required=False, allow_null=True)


@with_example(request=examples.MESSAGE_CHANGES)
class MessageChangesSerializer(StrictObject):
    """What is to be changed of a message; the other fields of one are ignored.

    Only messages of the team, and notes, can be edited: what a customer said stays.
    """

    ignored = ("id", "author_type", "author_name", "is_private", "created_at")

    content = Text(required=False, max_length=MAX_CONTENT)
    message = Text(
        required=False,
        max_length=MAX_CONTENT,
        help_text="The same as `content`, as PostHog's clients call it.",
    )
    rich_content = RichContentField(required=False, allow_null=True)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The validated fields; what equals the stored value is left out, and not refused."""
        errors: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        try:
            given = self._differing(data) if isinstance(data, dict) else data
            fields = super().to_internal_value(given)
        except serializers.ValidationError as exc:
            errors |= exc.detail  # type: ignore[arg-type]  # (of a serializer it is a dict)
        if isinstance(data, dict) and {"content", "message"} <= data.keys():
            errors["message"] = [serializers.ErrorDetail(_BOTH, "invalid")]
        if errors:
            raise serializers.ValidationError(errors)
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # Once more, since the text has been trimmed.
        changes = self._differing(attrs)
        if changes and not self.edited.can_be_edited:
            message = serializers.ErrorDetail(_OF_THE_CUSTOMER, "invalid")
            raise serializers.ValidationError({name: [message] for name in changes})
        if "message" in changes:
            changes["content"] = changes.pop("message")
        return changes

    def _differing(self, values: dict[str, Any]) -> dict[str, Any]:
        stored = message_json(self.edited)
        stored["message"] = stored["content"]
        return differing(values, stored)

    @property
    def edited(self) -> Message:
        assert isinstance(self.instance, Message)
        return self.instance


_BOTH = "Give `content` or `message`, not both."
_OF_THE_CUSTOMER = "A customer's message can not be edited."


class MessageListQuery(PageQuery):
    default_limit = 50
    max_limit = 200


def message_json(message: Message) -> dict[str, Any]:
    return {
        "id": message.pk,
        "content": message.content,
        "rich_content": message.rich_content,
        "author_type": message.author_type,
        "author_name": message.author_name,
        "is_private": message.is_private,
        "created_at": timestamp(message.created_at),
    }
