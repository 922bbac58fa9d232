"""What happened to a ticket, in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models.fields.json import KeyTextTransform
from django.template.defaultfilters import date
from django.utils.dateparse import parse_datetime

from conversations.events.actors import ActorType
from conversations.events.models import Event, EventType
from conversations.inbox.clock import local
from conversations.inbox.people import Assignable
from conversations.inbox.wording import said

AT_ONCE = 20
_FIELDS = {
    "sla_due_at": "deadline",
    "snoozed_until": "snoozed until",
    "anonymous_traits": "what the customer says of themself",
    "escalation_reason": "reason for escalation",
    "ai_resolved": "resolved by AI",
    "distinct_id": "distinct id",
}
# They follow from others that are told.
_UNTOLD = {"resolved_at", "updated_at"}
_TIMES = {"sla_due_at", "snoozed_until"}


@dataclass(frozen=True)
class Change:
    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Happening:
    """One event: who, what they did, and which fields it changed."""

    position: int
    at: datetime
    who: str
    what: str
    changes: list[Change]


@dataclass(frozen=True)
class Activity:
    """The newest first; `earlier` is the position to go on before, if there is more."""

    happenings: list[Happening]
    earlier: int | None


def activity(
    project_id: int, ticket_id: UUID, among: list[Assignable], *, before: int | None = None
) -> Activity:
    """A part of what happened to a ticket; one query, whatever there is.

    `among` are those whose names are known, as assignees.
    """
    events = Event.objects.filter(project_id=project_id, ticket_id=ticket_id)
    if before is not None:
        events = events.filter(position__lt=before)
    found: list[Any] = list(
        # Of the object, which may be large, two words are told.
        events.defer("object")
        .annotate(
            is_private=KeyTextTransform("is_private", "object"),
            author_type=KeyTextTransform("author_type", "object"),
        )
        .order_by("-position")[: AT_ONCE + 1]
    )
    shown = found[:AT_ONCE]
    earlier = shown[-1].position if len(found) > AT_ONCE else None
    names = {one.value: one.name for one in among}
    return Activity([_happening(event, names) for event in shown], earlier)


def _happening(event: Any, names: dict[str, str]) -> Happening:
    changes = _changes(event.changes, names)
    return Happening(
        event.position, event.created_at, actor_name(event.actor), _what(event), changes
    )


def actor_name(actor: dict[str, Any]) -> str:
    name: str | None = actor.get("name")
    if actor["type"] == ActorType.API_KEY:
        return f"API key {name}" if name else "An API key"
    if actor["type"] == ActorType.CUSTOMER:
        return name or "The customer"
    return name or ("The service" if actor["type"] == ActorType.SYSTEM else "An agent")


def _what(event: Any) -> str:
    thing = "a note" if event.is_private == "true" else "a message"
    if event.type == EventType.MESSAGE_CREATED:
        if event.is_private == "true":
            return "added a note"
        return {"customer": "wrote", "AI": "let the AI answer"}.get(event.author_type, "answered")
    return {
        EventType.TICKET_CREATED: "opened the ticket",
        EventType.TICKET_UPDATED: "changed",
        EventType.TICKET_DELETED: "deleted the ticket",
        EventType.MESSAGE_UPDATED: f"edited {thing}",
        EventType.MESSAGE_DELETED: f"deleted {thing}",
    }[event.type]


def _changes(changes: dict[str, Any], names: dict[str, str]) -> list[Change]:
    return [
        Change(
            _FIELDS.get(name, name.replace("_", " ")),
            _text(name, old, names),
            _text(name, new, names),
        )
        for name, (old, new) in changes.items()
        # What a message said is in the conversation.
        if name not in _UNTOLD and name not in ("content", "rich_content")
    ]


def _text(name: str, value: Any, names: dict[str, str]) -> str:
    if value in (None, [], {}, ""):
        return "none"
    if name in _TIMES and (at := parse_datetime(value)):
        return date(local(at), "j M Y, H:i")
    if name == "assignee":
        user, role = ((value.get(kind) or {}) for kind in ("user", "role"))
        known = names.get(f"{value.get('type')}:{value.get('id')}")
        return known or user.get("email") or role.get("name") or ""
    if isinstance(value, list):
        return ", ".join(said(entry) for entry in value)
    if name == "status":
        return str(value).replace("_", " ")
    return said(value)
