"""The ways a message comes to be."""

from typing import Any

from django.db import transaction
from django.utils import timezone

from conversations.models import AuthorType, Message, Status, Ticket, set_fields
from conversations.tickets.verbs import PREVIEW_LENGTH, touch
from projects.models import Project


def post_message(
    *,
    ticket: Ticket,
    author_type: str,
    content: str,
    author_name: str | None = None,
    is_private: bool = False,
    rich_content: Any = None,
) -> Message:
    """Adds a message to a ticket that the caller has locked, and counts it.

    The lock is held to the commit, so that the order of `seq` is the order of
    commits, and `created_at` is strictly later than that of the message before. A
    customer's message reopens a resolved ticket, where the project has it so, and
    wakes a snoozed one.
    """
    created_at = touch(ticket, timezone.now())
    seq = ticket.last_seq + 1
    changes: dict[str, Any] = {"last_seq": seq}
    if not is_private:
        changes["message_count"] = ticket.message_count + 1
        changes["last_message_at"] = created_at
        changes["last_message_text"] = content[:PREVIEW_LENGTH]
        if author_type == AuthorType.CUSTOMER:
            changes["unread_team_count"] = _unread_by_team(ticket) + 1
            changes |= _consequences_of_reply(ticket)
        else:
            changes["unread_customer_count"] = ticket.unread_customer_count + 1
    changed = set_fields(ticket, changes)
    with transaction.atomic(savepoint=False):
        message = Message.objects.create(
            project_id=ticket.project_id,
            ticket=ticket,
            seq=seq,
            author_type=author_type,
            author_name=author_name,
            content=content,
            rich_content=rich_content,
            is_private=is_private,
            created_at=created_at,
        )
        ticket.save(update_fields=[*changed, "updated_at"])
    return message


def _unread_by_team(ticket: Ticket) -> int:
    """Unread customer messages; while a ticket is marked unread its count may say one more."""
    if ticket.marked_unread:
        return ticket.messages.unread_by_team(ticket.team_read_seq).count()
    return ticket.unread_team_count


def _consequences_of_reply(ticket: Ticket) -> dict[str, Any]:
    if ticket.is_resolved:
        reopens = Project.objects.values_list("reopen_on_reply", flat=True)
        if reopens.get(pk=ticket.project_id):
            return {"status": Status.OPEN, "resolved_at": None, "snoozed_until": None}
    elif ticket.snoozed_until:
        woken = {"status": Status.OPEN} if ticket.status == Status.ON_HOLD else {}
        return {"snoozed_until": None, **woken}
    return {}
