"""Forgets the cached records of API keys and projects whenever their rows change."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from projects import keys, tokens
from projects.models import ApiKey, Project
from projects.remote_config import document


@receiver([post_save, post_delete], sender=ApiKey)
def forget_key(instance: ApiKey, **kwargs: Any) -> None:
    # The instance may be older than the row: its secrets may have been rotated meanwhile.
    rows = ApiKey.objects.filter(pk=instance.pk).values_list("digest", "previous_digest")
    digests = {instance.digest, instance.previous_digest}.union(*rows)
    keys.forget(*filter(None, digests))


@receiver([post_save, post_delete], sender=Project)
def forget_project(instance: Project, **kwargs: Any) -> None:
    tokens.forget(instance.public_token)
    document.forget(instance.public_token)
