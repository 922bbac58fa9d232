"""What applying a macro does."""

from typing import Any

from conversations.events.actors import Actor
from conversations.messages.verbs import post_message
from conversations.models import AuthorType, Macro, Ticket
from conversations.tickets.verbs import update_ticket


def apply_macro(
    *,
    ticket: Ticket,
    actor: Actor,
    macro: Macro,
    actions: dict[str, Any],
    author_name: str | None,
) -> None:
    """Answers with the macro's content, then does its actions, to a ticket that the caller
    has locked.

    `actions` are the macro's, validated just now: a role or agent may have gone
    since they were stored. Tags are added to those that the ticket has.
    """
    if macro.content:
        post_message(
            ticket=ticket,
            actor=actor,
            author_type=AuthorType.SUPPORT,
            content=macro.content,
            rich_content=macro.rich_content,
            author_name=author_name,
        )
    if "tags" in actions:
        actions = {**actions, "tags": sorted({*ticket.tags, *actions["tags"]})}
    update_ticket(ticket=ticket, actor=actor, **actions)
