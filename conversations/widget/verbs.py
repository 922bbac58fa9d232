"""What a customer does in the widget."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from conversations.events.actors import Actor
from conversations.messages.verbs import post_message
from conversations.models import AuthorType, ChannelSource, Ticket
from conversations.tickets.serializers import MAX_OBJECT_BYTES, MAX_TRAITS
from conversations.tickets.verbs import open_ticket, update_ticket
from conversations.widget.access import Caller
from projects.models import new_uuid
from projects.persons import vouch
from projects.tokens import PublicProject

MAX_CONTEXT = 20


@dataclass(frozen=True)
class Sent:
    """A customer's message, as it is in its ticket."""

    ticket: Ticket
    message_id: UUID
    created_at: datetime


def introduce(*, project: PublicProject, caller: Caller, traits: dict[str, str]) -> None:
    """Makes a verified customer a person, by what they say of themself.

    Before their ticket is locked: persons come first in the order of locks.
    """
    if caller.identity is not None:
        properties: dict[str, Any] = {
            name: traits[name] for name in ("name", "email") if name in traits
        }
        vouch(project_id=project.id, distinct_id=caller.identity, properties=properties)


def send_message(
    *,
    project: PublicProject,
    caller: Caller,
    ticket: Ticket | None,
    content: str,
    distinct_id: str,
    traits: dict[str, str],
    session_id: str | None,
    session_context: dict[str, Any],
) -> Sent:
    """Appends a customer's message to a ticket that the caller has locked, or opens a new one.

    What a verified customer writes makes the ticket theirs: the browser that opened it
    without a proof of who it is reads there no longer. Without that proof the ticket's
    distinct_id stays what it is.
    """
    with transaction.atomic(savepoint=False):
        if ticket is None:
            return _open(project, caller, content, distinct_id, traits, session_id, session_context)
        changes: dict[str, Any] = {}
        said = {**ticket.anonymous_traits, **traits}
        if len(said) <= MAX_TRAITS and len(orjson.dumps(said)) <= MAX_OBJECT_BYTES:
            changes["anonymous_traits"] = said
        if session_id:
            changes["session_id"] = session_id
        together = {**ticket.session_context, **session_context}
        if len(together) <= MAX_CONTEXT:
            changes["session_context"] = together
        if caller.identity is not None:
            changes |= {
                "identity_verified": True,
                "widget_session_id": None,
                "widget_restored": False,
            }
            if ticket.distinct_id not in caller.distinct_ids:
                changes["distinct_id"] = caller.identity
        actor = Actor.customer(caller.identity or ticket.distinct_id, said.get("name"))
        update_ticket(ticket=ticket, actor=actor, **changes)
        message = post_message(
            ticket=ticket, actor=actor, author_type=AuthorType.CUSTOMER, content=content
        )
    return Sent(ticket, message.pk, message.created_at)


def _open(
    project: PublicProject,
    caller: Caller,
    content: str,
    distinct_id: str,
    traits: dict[str, str],
    session_id: str | None,
    session_context: dict[str, Any],
) -> Sent:
    message_id = new_uuid()
    is_verified = caller.identity is not None
    ticket = open_ticket(
        project_id=project.id,
        actor=Actor.customer(caller.identity or distinct_id, traits.get("name")),
        channel_source=ChannelSource.WIDGET,
        # Without the button a page of the customer's own talks to us.
        channel_detail="widget_embedded" if project.widget_enabled else "widget_api",
        message=content,
        message_id=message_id,
        distinct_id=caller.identity or distinct_id,
        identity_verified=is_verified,
        widget_session_id=None if is_verified else caller.session_id,
        anonymous_traits=traits,
        session_id=session_id,
        session_context=session_context,
    )
    return Sent(ticket, message_id, ticket.created_at)
