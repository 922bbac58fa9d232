"""A message in requests and answers."""

from typing import Any

import orjson
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import examples
from conversations.models import AuthorType, Message
from conversations.tickets.serializers import MAX_CONTENT
from rest.fields import Flag, Moment, StrictObject, Text
from rest.json import timestamp
from rest.pagination import PageQuery
from rest.schema import with_example

MAX_RICH_CONTENT_BYTES = 100_000


@extend_schema_field({"type": ["object", "array", "string", "number", "boolean"], "items": {}})
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
