"""A webhook as controls of a page."""

from conversations.events.models import EventType
from conversations.inbox.settings.forms import Field
from conversations.models import Delivery
from conversations.webhooks.models import MAX_URL, DeliveryStatus

WEBHOOK = [
    Field("url", "Address", max_length=MAX_URL, placeholder="https://example.com/hook"),
    Field("description", "What it is for", max_length=500),
    Field(
        "event_types",
        "Events",
        "boxes",
        help="None chosen: all of them.",
        choices=[(name, name) for name in EventType.values],
    ),
    Field(
        "enabled",
        "Enabled",
        "check",
        help="What happens while it is disabled is not sent later, and what waits fails.",
    ),
]
STATUSES = [(None, "All"), *((status.value, status.label) for status in DeliveryStatus)]


def outcome(delivery: Delivery) -> str:
    """How the last attempt ended, in words."""
    if delivery.last_attempt_at is None:
        return delivery.error or "Not attempted yet"
    said = f"answered {delivery.response_status}" if delivery.response_status else "no answer"
    took = f" in {delivery.duration_ms} ms" if delivery.duration_ms is not None else ""
    return f"{said}{took}" + (f": {delivery.error}" if delivery.error else "")
