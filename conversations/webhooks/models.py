"""Who wants to be told of a project's events, and what became of each telling.

A delivery is its own job: a row made in the transaction of the event, due at a time,
and claimed for as long as an attempt may take. Whoever claims and dies loses nothing:
when the claim has run out, the row is due again.
"""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from conversations.events.models import Event, EventType
from projects.models import Project, new_uuid
from rest.json import JSONField

MAX_WEBHOOKS = 50
MAX_URL = 2000
ROTATION_OVERLAP = timedelta(hours=24)
# The Standard Webhooks specification 1.0.0 asks for 24 to 64 random bytes.
_SECRET_BYTES = 32
_PREFIX = "whsec_"


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


class WebhookQuerySet(models.QuerySet["Webhook"]):
    def kept(self) -> WebhookQuerySet:
        """Without those that were deleted, and whose deliveries are being cleared away."""
        return self.filter(removed_at__isnull=True)


class Webhook(models.Model):
    """An address that is told of events; of all types where `event_types` is empty.

    The secret is stored as it is: to sign, the service needs the very key that the
    receiver has, so that a hash would not do. Whoever can read it here can read the
    events themselves.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="webhooks", db_index=False)
    url = models.CharField(max_length=MAX_URL)
    event_types = ArrayField(
        models.CharField(max_length=16, choices=EventType.choices), default=list, blank=True
    )
    description = models.CharField(max_length=500, blank=True, default="")
    enabled = models.BooleanField(default=True)
    secret = models.CharField(max_length=100, default=new_secret, editable=False)
    # Pairs of a former secret and the end of its time, in ISO 8601; the newest first.
    former_secrets = JSONField(default=list, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Of the service, not of who switched it off by hand.
    disabled_at = models.DateTimeField(null=True, editable=False)
    disabled_reason = models.CharField(max_length=500, null=True, editable=False)
    # The first failure since the last success, and the last one.
    failing_since = models.DateTimeField(null=True, editable=False)
    failed_at = models.DateTimeField(null=True, editable=False)
    # Deleted, and disabled as well; the row goes after the last of its deliveries.
    removed_at = models.DateTimeField(null=True, editable=False)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["project", "created_at"], name="webhook_project"),
            models.Index(
                fields=["removed_at"],
                condition=Q(removed_at__isnull=False),
                name="webhook_removed",
            ),
        ]

    def __str__(self) -> str:
        return self.url

    def live_former_secrets(self, now: datetime) -> list[list[str]]:
        return [pair for pair in self.former_secrets if datetime.fromisoformat(pair[1]) > now]

    def signing_secrets(self, now: datetime) -> list[str]:
        """Those that sign now, the current one first."""
        return [self.secret, *(secret for secret, _ in self.live_former_secrets(now))]


class DeliveryStatus(models.TextChoices):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def of(self, webhook: Webhook, status: str | None = None) -> DeliveryQuerySet:
        """A webhook's, in one state or in all."""
        deliveries = self.filter(webhook=webhook)
        return deliveries if status is None else deliveries.filter(status=status)


class Delivery(models.Model):
    """An event on its way to a webhook; `id` is the receiver's `webhook-id`.

    It has no copy of the event and is built from it at each attempt, so that what an
    erased person leaves behind is never sent. Rows are made by `events.record`.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    # Every index begins with the webhook, but the one that finds an event's deliveries.
    webhook = models.ForeignKey(Webhook, models.CASCADE, related_name="deliveries", db_index=False)
    event = models.ForeignKey(Event, models.CASCADE, related_name="deliveries")
    status = models.CharField(
        max_length=9, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING
    )
    created_at = models.DateTimeField(default=timezone.now)
    # All that were made; and those since it was made, or replayed, which the schedule counts.
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    next_attempt_at = models.DateTimeField(null=True)
    # While an attempt is under way; once past, whoever made it has died.
    claimed_until = models.DateTimeField(null=True)
    last_attempt_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    response_status = models.PositiveSmallIntegerField(null=True)
    response_body = models.TextField(default="", db_default="")
    error = models.CharField(max_length=200, null=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=DeliveryStatus.values), name="delivery_status_known"
            ),
            models.CheckConstraint(
                condition=~Q(status=DeliveryStatus.PENDING) | Q(next_attempt_at__isnull=False),
                name="delivery_pending_has_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["webhook", "next_attempt_at"],
                condition=Q(status=DeliveryStatus.PENDING),
                name="delivery_due",
            ),
            models.Index(
                fields=["webhook"],
                condition=Q(claimed_until__isnull=False),
                name="delivery_claimed",
            ),
            models.Index(fields=["webhook", "created_at", "id"], name="delivery_list"),
            models.Index(
                fields=["webhook", "status", "created_at", "id"], name="delivery_by_status"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
