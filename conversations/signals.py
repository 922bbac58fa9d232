"""Forgets the cached unread count, and what widgets are told, whenever a model changes
that they depend on.

Writes that send no signals (`QuerySet.update()`, raw SQL, bulk operations) call
`unread.forget` and `polls.forget` themselves.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from conversations import unread
from conversations.models import Ticket
from conversations.widget import polls
from projects.models import Project


@receiver([post_save, post_delete], sender=Ticket)
def forget_after_ticket(
    instance: Ticket, update_fields: Iterable[str] | None = None, **kwargs: Any
) -> None:
    if update_fields is None or _COUNTED.intersection(update_fields):
        unread.forget(instance.project_id)
    if update_fields is None or _POLLED.intersection(update_fields):
        polls.forget(instance)


_COUNTED = frozenset({"status", "unread_team_count", "project"})
# A message moves `last_seq`, an edit or deletion `updated_at`.
_POLLED = frozenset(
    {
        "status",
        "last_seq",
        "updated_at",
        "last_message_at",
        "unread_customer_count",
        "distinct_id",
        "widget_session_id",
        "widget_restored",
    }
)


@receiver([post_save, post_delete], sender=Project)
def forget_after_project(instance: Project, **kwargs: Any) -> None:
    unread.forget(instance.pk)
