"""Forgets the cached record of an API key whenever its row changes."""

from typing import Any

from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from projects import keys
from projects.models import ApiKey


@receiver([post_save, post_delete], sender=ApiKey)
def forget_key(instance: ApiKey, **kwargs: Any) -> None:
    # The instance may be older than the row: its secrets may have been rotated meanwhile.
    rows = ApiKey.objects.filter(pk=instance.pk).values_list("digest", "previous_digest")
    digests = {instance.digest, instance.previous_digest}.union(*rows)
    keys.forget(*filter(None, digests))
