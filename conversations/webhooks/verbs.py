"""What is done to webhooks, and what becomes of their deliveries after each attempt."""

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from conversations.models import Event
from conversations.webhooks.models import (
    MAX_WEBHOOKS,
    ROTATION_OVERLAP,
    Delivery,
    DeliveryStatus,
    Webhook,
    new_secret,
)
from projects.models import Project
from rest.json import timestamp

logger = logging.getLogger(__name__)

# Between attempts: the schedule of the Standard Webhooks specification 1.0.0, section
# "Deliverability and reliability", whose first attempt is made at once.
SCHEDULE = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# So that a receiver that was down does not get everything again in the same second.
JITTER = 0.1
# What a receiver may ask us to wait; more would keep a delivery for ever.
LONGEST_PAUSE = timedelta(hours=24)
DISABLE_AFTER = timedelta(days=5)
# Failures that lie further apart are not "for five days" together: longer than the longest
# pause between two attempts of one delivery, so that a single one that fails and fails counts.
FORGET_FAILURE_AFTER = timedelta(days=2)
# More than any attempt with all its time-outs, and what is written down of it, may take.
CLAIM = timedelta(seconds=30)
# Attempts under way at the same time for one webhook, over all workers: of one that answers,
# and of one whose last attempt failed. So none keeps the others from being told.
AT_ONCE, AT_ONCE_WHEN_FAILING = 4, 1
MOST_FORMER_SECRETS = 4
# Deliveries that are given up or deleted in one transaction.
CLEAR_AT_ONCE = 5000

SWITCHED_OFF = "The webhook was disabled."


class TooManyWebhooks(Exception):
    """The project has as many webhooks as it can have."""


class TooManySecrets(Exception):
    """The secret was rotated so often that its receivers could not follow; try again later."""


class Disabled(Exception):
    """The webhook is disabled; enable it first."""


# --- Webhooks ----------------------------------------------------------------


def add_webhook(*, project_id: int, **fields: Any) -> Webhook:
    """Raises TooManyWebhooks."""
    with transaction.atomic(savepoint=False):
        # Two at once would both count one too few. Tickets are numbered under this lock as well.
        Project.objects.select_for_update(no_key=True).get(pk=project_id)
        if Webhook.objects.kept().filter(project_id=project_id).count() >= MAX_WEBHOOKS:
            raise TooManyWebhooks(TooManyWebhooks.__doc__)
        return Webhook.objects.create(project_id=project_id, **fields)


def change_webhook(*, webhook: Webhook, changes: dict[str, Any]) -> None:
    """Sets the fields of a webhook that the caller has locked. One that is enabled, or leads
    elsewhere, starts afresh; what waits for one that is disabled is given up by `clear_away`."""
    for name, value in changes.items():
        setattr(webhook, name, value)
    fields = set(changes)
    if "enabled" in changes:
        webhook.disabled_at = webhook.disabled_reason = None
        fields |= {"disabled_at", "disabled_reason"}
    if "enabled" in changes or "url" in changes:
        webhook.failing_since = webhook.failed_at = None
        fields |= {"failing_since", "failed_at"}
    if fields:
        webhook.save(update_fields=fields)


def disable(webhook: Webhook, reason: str) -> None:
    """Switches off a webhook that the caller has locked, and tells why in its answers."""
    webhook.enabled, webhook.disabled_at, webhook.disabled_reason = False, timezone.now(), reason
    webhook.save(update_fields=["enabled", "disabled_at", "disabled_reason"])
    logger.warning("Webhook %s is disabled: %s", webhook.pk, reason)


def rotate_secret(*, webhook: Webhook) -> None:
    """A new secret for a webhook that the caller has locked; both sign for 24 hours.

    Raises TooManySecrets.
    """
    now = timezone.now()
    former = webhook.live_former_secrets(now)
    if len(former) >= MOST_FORMER_SECRETS:
        raise TooManySecrets(TooManySecrets.__doc__)
    webhook.former_secrets = [[webhook.secret, timestamp(now + ROTATION_OVERLAP)], *former]
    webhook.secret = new_secret()
    webhook.save(update_fields=["secret", "former_secrets"])


def remove(*, webhook: Webhook) -> None:
    """Deletes a webhook: nothing is sent to it and nobody sees it any more.

    Its deliveries may be more than one transaction can delete in its time, and go, and the
    row after them, by `clear_away`.
    """
    Webhook.objects.kept().filter(pk=webhook.pk).update(enabled=False, removed_at=timezone.now())


def replay(*, delivery: Delivery) -> None:
    """Has a delivery attempted at once, and, should that fail, by the schedule from its start.

    The id that its receiver sees stays the same, as the specification wants for a message
    that is sent again: a receiver that has dealt with it may pass over it. The caller has
    locked webhook, event and delivery. Raises Disabled.
    """
    if not delivery.webhook.enabled:
        raise Disabled(Disabled.__doc__)
    delivery.tries = 0
    delivery.status = DeliveryStatus.PENDING
    now = timezone.now()
    if delivery.claimed_until is None or delivery.claimed_until <= now:
        delivery.next_attempt_at = now
    delivery.save(update_fields=["tries", "status", "next_attempt_at"])


# --- What is left of webhooks that are not wanted ----------------------------


def clear_away() -> bool:
    """Gives up some of what waits for a disabled webhook, or deletes some of one that was
    deleted; whether there was any.

    Locks the webhook first, as `finish` does, and passes over rows that somebody else has
    locked. What was recorded while the webhook was being disabled is found here as well; one
    that was enabled again keeps what still waits.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_REMOVED)
        if removed := cursor.fetchone():
            cursor.execute(_DELETE_SOME, [removed[0], CLEAR_AT_ONCE])
            if cursor.rowcount:
                return True
            # One that is locked is tried again later.
            if Delivery.objects.filter(webhook=removed[0]).exists():
                return False
            Webhook.objects.filter(pk=removed[0]).delete()
            return True
        cursor.execute(_DISABLED)
        if disabled := cursor.fetchone():
            cursor.execute(_GIVE_UP_SOME, [SWITCHED_OFF, disabled[0], CLEAR_AT_ONCE])
            return bool(cursor.rowcount)
    return False


# The lock waits for nobody, and excludes those who record events for the webhook.
_REMOVED = """
SELECT id FROM conversations_webhook WHERE removed_at IS NOT NULL
ORDER BY removed_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_DELETE_SOME = """
DELETE FROM conversations_delivery WHERE id = ANY(ARRAY(
    SELECT id FROM conversations_delivery WHERE webhook_id = %s LIMIT %s FOR UPDATE SKIP LOCKED
))
"""
# Steps through the index from one webhook to the next, past all that waits for each:
# PostgreSQL does not do so by itself for a DISTINCT ("Loose indexscan", PostgreSQL wiki).
_WAITING = """
WITH RECURSIVE waiting(id) AS (
    (
        SELECT webhook_id FROM conversations_delivery WHERE status = 'pending'
        ORDER BY webhook_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT webhook_id FROM conversations_delivery
        WHERE status = 'pending' AND webhook_id > waiting.id ORDER BY webhook_id LIMIT 1
    )
    FROM waiting WHERE waiting.id IS NOT NULL
)
"""
_DISABLED = f"""{_WAITING}
SELECT webhook.id FROM waiting JOIN conversations_webhook AS webhook USING (id)
WHERE NOT enabled LIMIT 1 FOR UPDATE OF webhook SKIP LOCKED
"""  # noqa: S608  (constants of ours)
_GIVE_UP_SOME = """
UPDATE conversations_delivery
SET status = 'failed', next_attempt_at = NULL, claimed_until = NULL, error = %s
WHERE id = ANY(ARRAY(
    SELECT id FROM conversations_delivery WHERE webhook_id = %s AND status = 'pending'
    LIMIT %s FOR UPDATE SKIP LOCKED
))
"""


# --- Deliveries --------------------------------------------------------------


def claim(most: int) -> list[Delivery]:
    """At most so many deliveries that are due, each for one attempt by the caller; with
    their webhook and event.

    They are due again after `CLAIM`, unless `finish` was called. Of each webhook there are
    at most `AT_ONCE` under way, and those of a webhook come in the order of their events.
    What waits for a disabled one is left to `clear_away`, and what is locked to the next claim.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # One at a time: two would both find that a webhook has nothing under way.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('conversations_claim'))")
        limits = {"most": most, "ordinary": AT_ONCE, "failing": AT_ONCE_WHEN_FAILING}
        cursor.execute(_CLAIM, {**limits, "seconds": CLAIM.total_seconds()})
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return []
    rows = Delivery.objects.filter(pk__in=ids).select_related("webhook", "event")
    return list(rows.order_by("event__position"))


_CLAIM = f"""{_WAITING}, due AS (
    SELECT delivery.id
    FROM waiting JOIN conversations_webhook AS webhook USING (id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS claimed FROM conversations_delivery
        WHERE webhook_id = webhook.id AND claimed_until > now()
    ) AS under_way
    CROSS JOIN LATERAL (
        SELECT id, next_attempt_at, row_number() OVER (ORDER BY next_attempt_at) AS place
        FROM conversations_delivery
        WHERE webhook_id = webhook.id AND status = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at
        LIMIT greatest(
            0,
            CASE WHEN failing_since IS NULL THEN %(ordinary)s ELSE %(failing)s END - claimed
        )
    ) AS delivery
    WHERE webhook.enabled
    ORDER BY place + claimed, next_attempt_at LIMIT %(most)s
)
UPDATE conversations_delivery SET
    claimed_until = now() + %(seconds)s * interval '1 second',
    next_attempt_at = now() + %(seconds)s * interval '1 second'
WHERE id = ANY(ARRAY(
    SELECT id FROM conversations_delivery
    WHERE id = ANY(ARRAY(SELECT id FROM due)) AND status = 'pending' FOR UPDATE SKIP LOCKED
)) RETURNING id
"""  # noqa: S608  (constants of ours)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended; `error` is None where it succeeded."""

    duration: timedelta
    status: int | None = None
    body: str = ""
    error: str | None = None
    retry_after: timedelta | None = None


def finish(*, delivery_id: UUID, attempts: int, outcome: Outcome) -> None:
    """Writes down how an attempt ended, and what follows from it.

    `attempts` is how many there had been when it was claimed: what is written of an attempt
    whose claim has run out, and which somebody else repeats, does not count twice.
    """
    with transaction.atomic():
        webhook = (
            Webhook.objects.select_for_update(of=("self",), no_key=True)
            .filter(deliveries=delivery_id)
            .first()
        )
        delivery = (
            Delivery.objects.select_for_update().filter(pk=delivery_id, attempts=attempts).first()
        )
        if webhook is None or delivery is None:
            return
        # Given up meanwhile, it failed; unless it has just succeeded.
        if delivery.status != DeliveryStatus.PENDING and outcome.error is not None:
            return
        now = timezone.now()
        _note(delivery, outcome, now)
        if outcome.error is None:
            _succeed(webhook, delivery)
        else:
            _fail(webhook, delivery, outcome, now)


def _note(delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    delivery.attempts += 1
    delivery.tries += 1
    delivery.claimed_until = None
    delivery.last_attempt_at = now - outcome.duration
    delivery.duration_ms = round(outcome.duration.total_seconds() * 1000)
    delivery.response_status = outcome.status
    delivery.error = outcome.error
    # Looked up after the delivery was locked, as erasing a person does in this order as well.
    is_blank = Event.objects.filter(pk=delivery.event_id, object__isnull=True)
    delivery.response_body = "" if outcome.body and is_blank.exists() else outcome.body


def _succeed(webhook: Webhook, delivery: Delivery) -> None:
    delivery.status, delivery.next_attempt_at = DeliveryStatus.SUCCEEDED, None
    delivery.save()
    if webhook.failing_since is not None:
        webhook.failing_since = webhook.failed_at = None
        webhook.save(update_fields=["failing_since", "failed_at"])


def _fail(webhook: Webhook, delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    gone = outcome.status == 410
    if gone or delivery.tries > len(SCHEDULE):
        delivery.status, delivery.next_attempt_at = DeliveryStatus.FAILED, None
    else:
        delivery.next_attempt_at = now + pause_after(delivery.tries, outcome.retry_after)
    delivery.save()
    last_failed_at, webhook.failed_at = webhook.failed_at, now
    was_long_ago = last_failed_at is not None and last_failed_at <= now - FORGET_FAILURE_AFTER
    if webhook.failing_since is None or was_long_ago:
        webhook.failing_since = now
    webhook.save(update_fields=["failing_since", "failed_at"])
    if not webhook.enabled:
        return
    if gone:
        disable(webhook, "The receiver answered 410: it wants no more.")
    elif webhook.failing_since <= now - DISABLE_AFTER:
        disable(webhook, f"No attempt succeeded for five days. The last one: {outcome.error}")


def pause_after(tries: int, wanted: timedelta | None) -> timedelta:
    """Until the next attempt after so many; what the receiver wants counts where it is longer."""
    by_schedule = SCHEDULE[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  (no secret)
    return max(by_schedule, min(wanted or timedelta(0), LONGEST_PAUSE))
