"""The format of Server-Sent Events: WHATWG HTML, section 9.2.5 and following."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

from conversations.events.models import Event
from conversations.events.serializers import event_json
from rest.json import dumps

COMMENT = b":\n\n"


def of_event(event: Event) -> bytes:
    return _frame(event.type, event_json(event), event_id=str(event.pk))


def of_count(count: int) -> bytes:
    """Without an id, so that the last event's remains the one to go on from."""
    return _frame("unread_count", {"count": count})


def _frame(event_type: str, data: Any, *, event_id: str | None = None) -> bytes:
    # JSON of ours has no line breaks, which would each need a `data:` of their own.
    named = f"id: {event_id}\n" if event_id else ""
    return f"{named}event: {event_type}\ndata: ".encode() + dumps(data) + b"\n\n"


def example(event: dict[str, Any]) -> OpenApiExample:
    frames = [
        _frame("unread_count", {"count": 1}),
        _frame(event["type"], event, event_id=event["id"]),
    ]
    text = b"".join(frames).decode()
    return OpenApiExample("Stream", text, response_only=True, media_type="text/event-stream")
