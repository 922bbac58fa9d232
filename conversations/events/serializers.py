"""An event in answers, deliveries and the stream."""

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from conversations import examples
from conversations.events.actors import ActorType
from conversations.events.models import Event, EventType
from rest.fields import Identifier, Moment, QueryInteger, QueryParameters
from rest.json import timestamp
from rest.schema import with_example

_OBJECT = {
    "oneOf": [
        {"$ref": "#/components/schemas/Ticket"},
        {"$ref": "#/components/schemas/Message"},
        {"type": "null"},
    ],
    "description": (
        "The ticket or message as it was then, after the change; a deleted one as it was last. "
        "Null where a person was erased."
    ),
}
_CHANGES = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {}, "minItems": 2, "maxItems": 2},
    "description": "Each field that changed, with its value before and after.",
}


@extend_schema_field({"type": ["integer", "string", "null"]})
class ActorIdField(serializers.Field[Any, Any, Any, Any]):
    """The id of an agent or an API key, a customer's distinct id, or null."""


class ActorSerializer(serializers.Serializer[Any]):
    """Who did it, with the name that they had then."""

    type = serializers.ChoiceField(choices=ActorType.choices)
    id = ActorIdField()
    name = serializers.CharField(allow_null=True)


@extend_schema_field(_CHANGES)
class ChangesField(serializers.Field[Any, Any, Any, Any]):
    pass


@extend_schema_field(_OBJECT)
class ObjectField(serializers.Field[Any, Any, Any, Any]):
    pass


@with_example(response=examples.EVENT)
class EventSerializer(serializers.Serializer[Any]):
    """A change of a ticket or a message."""

    id = serializers.UUIDField()
    type = serializers.ChoiceField(choices=EventType.choices)
    created_at = Moment()
    project_id = serializers.IntegerField()
    ticket_id = serializers.UUIDField()
    ticket_number = serializers.IntegerField(min_value=1)
    actor = ActorSerializer()
    changes = ChangesField()
    object = ObjectField()


# The schema takes what answers an action `list` for a list.
@extend_schema_serializer(many=False)
@with_example(response={"results": [examples.EVENT], "next_after": examples.EVENT["id"]})
class EventFeedSerializer(serializers.Serializer[Any]):
    """Events, the oldest first, and what to ask for next."""

    results = EventSerializer(many=True)
    next_after = serializers.UUIDField(
        allow_null=True, help_text="The `after` to go on with; null before the first event."
    )


class FeedQuery(QueryParameters):
    default_limit = 100
    max_limit = 1000

    after = Identifier(
        required=False,
        default=None,
        help_text="The last event seen. Without it: all that are kept.",
    )
    limit = QueryInteger(
        required=False, min_value=1, help_text="How many; above the maximum it is cut to it."
    )

    def validate_limit(self, limit: int) -> int:
        return min(limit, self.max_limit)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"limit": self.default_limit, **attrs}


def event_json(event: Event) -> dict[str, Any]:
    """An event as answers, deliveries and the stream show it."""
    return {
        "id": event.pk,
        "type": event.type,
        "created_at": timestamp(event.created_at),
        "project_id": event.project_id,
        "ticket_id": event.ticket_id,
        "ticket_number": event.ticket_number,
        "actor": event.actor,
        "changes": event.changes,
        "object": event.object,
    }
