"""Answers that are kept so that a repeated request gets them again."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils import timezone


class StoredAnswer(models.Model):
    """The answer to a request with an Idempotency-Key, byte for byte; see `rest.idempotency`."""

    # SHA-256 of whose key it is and of the key itself, of which nothing else is kept.
    digest = models.CharField(max_length=64, unique=True)
    # SHA-256 of method, path and body.
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    # The tickets and persons that it tells of, so that it can go with them.
    about = ArrayField(models.UUIDField(), default=list, db_default=[])
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        indexes = [GinIndex(fields=["about"], name="storedanswer_about")]

    def __str__(self) -> str:
        return f"{self.status} of {self.created_at}"
