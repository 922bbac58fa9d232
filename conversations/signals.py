"""Forgets the cached unread count whenever a model that it depends on changes.

Writes that send no signals (`QuerySet.update()`, raw SQL, bulk operations) call
`unread.forget` themselves.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from conversations import unread
from conversations.models import Ticket
from projects.models import Project


@receiver([post_save, post_delete], sender=Ticket)
def forget_after_ticket(
    instance: Ticket, update_fields: Iterable[str] | None = None, **kwargs: Any
) -> None:
    counted = {"status", "unread_team_count", "project"}
    if update_fields is None or counted.intersection(update_fields):
        unread.forget(instance.project_id)


@receiver([post_save, post_delete], sender=Project)
def forget_after_project(instance: Project, **kwargs: Any) -> None:
    unread.forget(instance.pk)
