"""Webhooks and deliveries as addresses name them."""

from uuid import UUID

from rest_framework.exceptions import NotFound

from conversations.events.models import Event
from conversations.webhooks.models import Delivery, Webhook
from rest.fields import UUID_FORM


def find_webhook(project_id: int, named: str, *, lock: bool = False) -> Webhook:
    """Raises NotFound, also for a foreign one, and for one that was deleted."""
    webhooks = Webhook.objects.kept().filter(project_id=project_id)
    if lock:
        # Tickets whose events go to it may change meanwhile.
        webhooks = webhooks.select_for_update(no_key=True)
    webhook = webhooks.filter(pk=named).first() if UUID_FORM.fullmatch(named) else None
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


def find_delivery(webhook: Webhook, named: str) -> Delivery:
    """Locked, after its event, which would else be pruned or blanked meanwhile.

    Raises NotFound. The caller has locked the webhook.
    """
    delivery = None
    if UUID_FORM.fullmatch(named):
        events = Event.objects.filter(deliveries=UUID(named), project_id=webhook.project_id)
        events.select_for_update(of=("self",)).first()
        delivery = (
            Delivery.objects.filter(webhook=webhook, pk=named)
            .select_related("event", "webhook")
            .select_for_update(of=("self",))
            .first()
        )
    if delivery is None:
        raise NotFound("There is no such delivery.")
    return delivery
