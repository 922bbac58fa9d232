"""The ways a message comes to be, changes, and goes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from conversations import unread
from conversations.events import verbs as events
from conversations.events.actors import Actor
from conversations.events.models import EventType
from conversations.messages.counters import recounted
from conversations.models import AuthorType, Message, Status, Ticket, set_fields
from conversations.search import of_message
from conversations.tickets.verbs import PREVIEW_LENGTH, touch
from conversations.widget import polls
from projects.models import Project
from rest.json import are_same
from rest.statements import insert, update

_SECOND = timedelta(seconds=1)


def post_message(
    *,
    ticket: Ticket,
    actor: Actor,
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
    was = events.before(ticket)
    created_at = touch(ticket, timezone.now())
    seq = ticket.last_seq + 1
    changes: dict[str, Any] = {"last_seq": seq}
    if not is_private:
        changes["message_count"] = ticket.message_count + 1
        changes["last_message_at"] = created_at
        changes["last_message_text"] = content[:PREVIEW_LENGTH]
        if author_type == AuthorType.CUSTOMER:
            changes["unread_team_count"] = _unread_by_team(ticket) + 1
            if consequences := _consequences_of_reply(ticket):
                changes |= {**consequences, "version": ticket.version + 1}
        else:
            changes["unread_customer_count"] = ticket.unread_customer_count + 1
            if author_type == AuthorType.SUPPORT and ticket.first_reply_seconds is None:
                passed = (created_at - ticket.created_at) // _SECOND
                changes["first_reply_seconds"] = max(0, passed)
    changed = set_fields(ticket, changes)
    with transaction.atomic(savepoint=False):
        message = Message(
            project_id=ticket.project_id,
            ticket=ticket,
            seq=seq,
            author_type=author_type,
            author_name=author_name,
            content=content,
            rich_content=rich_content,
            is_private=is_private,
            search=of_message(ticket.project_id, content),
            created_at=created_at,
        )
        insert(message)
        update(ticket, [*changed, "updated_at"])
        posted = events.of_message(EventType.MESSAGE_CREATED, message, ticket=ticket, actor=actor)
        # Second, as its consequence: that the ticket was reopened or woken.
        events.record([posted, *events.updated({ticket: was}, actor=actor)])
    return message


def edit_message(*, message: Message, ticket: Ticket, actor: Actor, **fields: Any) -> list[str]:
    """Changes `content` or `rich_content`; returns the columns of the message that were written.

    The caller has locked the ticket and found the message under that lock. Nothing is
    written where nothing differs. Who has read the message has still read it.
    """
    # To Python 1 and true are equal, and rich content is any JSON.
    changed = [name for name in fields if not are_same(getattr(message, name), fields[name])]
    if not changed:
        return []
    changes = {name: [getattr(message, name), fields[name]] for name in changed}
    for name in changed:
        setattr(message, name, fields[name])
    if "content" in changed:
        message.search = of_message(ticket.project_id, message.content)
        changed.append("search")
    message.edited_at = touch(ticket, timezone.now())
    changed.append("edited_at")
    with transaction.atomic(savepoint=False):
        message.save(update_fields=changed)
        _recount(ticket)
        edited = events.of_message(
            EventType.MESSAGE_UPDATED, message, ticket=ticket, actor=actor, changes=changes
        )
        events.record([edited])
    return changed


def delete_message(*, message: Message, ticket: Ticket, actor: Actor) -> None:
    """Takes a message away; the ticket then counts as if it had never been there.

    The caller has locked the ticket and found the message under that lock. The row
    stays, so that its `seq` is not given again. What else the message did, as to
    reopen the ticket, is not undone.
    """
    message.deleted_at = touch(ticket, timezone.now())
    message.search = None
    with transaction.atomic(savepoint=False):
        message.save(update_fields=["deleted_at", "search"])
        _recount(ticket)
        gone = events.of_message(EventType.MESSAGE_DELETED, message, ticket=ticket, actor=actor)
        events.record([gone])


def repair_counters(*, ticket_id: UUID) -> list[str]:
    """Puts right what a ticket says of its messages; the columns that were wrong.

    Counted under the ticket's lock, so that it is right also while others write.
    `updated_at` stays: nobody has done anything to the ticket.
    """
    with transaction.atomic():
        ticket = Ticket.objects.select_for_update().filter(pk=ticket_id).first()
        wrong = [] if ticket is None else set_fields(ticket, recounted(ticket))
        if ticket is not None and wrong:
            ticket.save(update_fields=wrong)
            # What is cached may be wrong in its own right.
            unread.forget(ticket.project_id)
            polls.forget(ticket)
    return wrong


def _recount(ticket: Ticket) -> None:
    changed = set_fields(ticket, recounted(ticket))
    ticket.save(update_fields=[*changed, "updated_at"])


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
