"""Webhooks and deliveries in requests and answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import examples
from conversations.events.models import EventType
from conversations.webhooks.addresses import BadUrl, check_url
from conversations.webhooks.models import MAX_URL, Delivery, DeliveryStatus, Webhook
from rest.fields import BoundedList, Flag, Moment, StrictObject, Text
from rest.json import timestamp
from rest.pagination import PageQuery
from rest.schema import with_example

# There are fewer; some may be the same.
MAX_EVENT_TYPES = 100


@extend_schema_field({"type": "string", "format": "uri", "maxLength": MAX_URL})
class UrlField(Text):
    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        try:
            check_url(url)
        except BadUrl as exc:
            raise serializers.ValidationError(str(exc), code="invalid") from exc
        return url


class EventTypesField(BoundedList):
    """Each once, in the order in which the types are named; empty: all of them."""

    def __init__(self, **kwargs: Any) -> None:
        child = serializers.ChoiceField(choices=EventType.choices)
        super().__init__(child=child, max_length=MAX_EVENT_TYPES, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        wanted = super().to_internal_value(data)
        return [name for name in EventType.values if name in wanted]


@with_example(
    response=examples.WEBHOOK,
    request=examples.NEW_WEBHOOK,
)
class WebhookSerializer(StrictObject):
    """An address that is told of events."""

    # What the answer to its POST had besides, so that it can be sent back.
    ignored = ("secret",)

    id = serializers.UUIDField(read_only=True)
    url = UrlField(
        help_text="`http` or `https`, without credentials; its host must have public addresses."
    )
    event_types = EventTypesField(
        default=list, help_text="Which events it is told of; empty: all of them."
    )
    description = Text(default="", allow_blank=True, max_length=500)
    enabled = Flag(
        default=True,
        help_text="What happens while it is disabled is not sent later, and what waits fails.",
    )
    created_at = Moment(read_only=True)
    disabled_at = Moment(
        read_only=True, allow_null=True, help_text="When the service disabled it, if it did."
    )
    disabled_reason = serializers.CharField(read_only=True, allow_null=True)


@with_example(response={**examples.WEBHOOK, "secret": examples.WEBHOOK_SECRET})
class WebhookWithSecretSerializer(WebhookSerializer):
    """A webhook and its secret, which no other answer shows."""

    secret = serializers.CharField(
        read_only=True, help_text="`whsec_` and 32 random bytes in base64."
    )


@with_example(response=examples.DELIVERY)
class DeliverySerializer(serializers.Serializer[Any]):
    """An event on its way to a webhook. Its id is the receiver's `webhook-id`."""

    id = serializers.UUIDField()
    event_id = serializers.UUIDField()
    event_type = serializers.ChoiceField(choices=EventType.choices)
    status = serializers.ChoiceField(choices=DeliveryStatus.choices)
    attempts = serializers.IntegerField(min_value=0)
    created_at = Moment()
    next_attempt_at = Moment(
        allow_null=True, help_text="Not before then; null when no attempt is to follow."
    )
    last_attempt_at = Moment(allow_null=True)
    duration_ms = serializers.IntegerField(
        allow_null=True, help_text="How long the last attempt took."
    )
    response_status = serializers.IntegerField(
        allow_null=True, help_text="What the receiver answered to the last attempt, if it did."
    )
    response_body = serializers.CharField(help_text="The first 1 KB of it.")
    error = serializers.CharField(
        allow_null=True, help_text="Why the last attempt, or the delivery, failed."
    )


class DeliveryListQuery(PageQuery):
    status = serializers.ChoiceField(
        choices=DeliveryStatus.choices, required=False, help_text="Only those in this state."
    )


def webhook_json(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.pk,
        "url": webhook.url,
        "event_types": webhook.event_types,
        "description": webhook.description,
        "enabled": webhook.enabled,
        "created_at": timestamp(webhook.created_at),
        "disabled_at": webhook.disabled_at and timestamp(webhook.disabled_at),
        "disabled_reason": webhook.disabled_reason,
    }


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Costs a query where `event` is not loaded."""
    return {
        "id": delivery.pk,
        "event_id": delivery.event_id,
        "event_type": delivery.event.type,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "created_at": timestamp(delivery.created_at),
        "next_attempt_at": delivery.next_attempt_at and timestamp(delivery.next_attempt_at),
        "last_attempt_at": delivery.last_attempt_at and timestamp(delivery.last_attempt_at),
        "duration_ms": delivery.duration_ms,
        "response_status": delivery.response_status,
        "response_body": delivery.response_body,
        "error": delivery.error,
    }
