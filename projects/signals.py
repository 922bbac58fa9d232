"""Forgets the cached record of an API key whenever its row changes."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from projects import keys
from projects.models import ApiKey


@receiver([post_save, post_delete], sender=ApiKey)
def forget_key(instance: ApiKey, **kwargs: Any) -> None:
    keys.forget(*filter(None, [instance.digest, instance.previous_digest]))
