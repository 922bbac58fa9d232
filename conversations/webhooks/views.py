"""Webhooks and their deliveries over HTTP."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.models import Delivery, Webhook
from conversations.webhooks import verbs
from conversations.webhooks.finding import find_delivery, find_webhook
from conversations.webhooks.serializers import (
    DeliveryListQuery,
    DeliverySerializer,
    WebhookSerializer,
    WebhookWithSecretSerializer,
    delivery_json,
    webhook_json,
)
from projects.views import ProjectEndpoint
from rest.exceptions import Conflict
from rest.fields import QueryParameters, StrictObject
from rest.pagination import Order, PageQuery, paginate
from rest.schema import EmptyBodySerializer, ErrorSerializer, page_of


class WebhookEndpoint(ProjectEndpoint):
    """An endpoint below one webhook."""

    webhook: Webhook

    def find(self) -> None:
        if "webhook_id" not in self.kwargs:
            return
        lock = self.request.method in ("POST", "PATCH")
        self.webhook = find_webhook(self.project_id, self.kwargs["webhook_id"], lock=lock)


class WebhookViewSet(WebhookEndpoint):
    """Who is told of a project's events."""

    lookup_field = "webhook_id"
    lookup_value_converter = "str"
    required_scopes = {
        "list": "webhook:read",
        "create": "webhook:write",
        "retrieve": "webhook:read",
        "partial_update": "webhook:write",
        "destroy": "webhook:write",
        "rotate_secret": "webhook:write",
    }
    # Who says where events go, or can sign as we do, could read tickets by it.
    further_scopes = {
        "create": "ticket:read",
        "partial_update": "ticket:read",
        "rotate_secret": "ticket:read",
    }
    query_serializers: dict[str, type[QueryParameters]] = {"list": PageQuery}

    @extend_schema(responses=page_of(WebhookSerializer))
    def list(self, request: Request) -> Response:
        """Oldest first. At most 50 a project."""
        page = paginate(
            Webhook.objects.kept().filter(project_id=self.project_id),
            order=Order("created_at"),
            query=self.query,
            request=request,
            scope=f"webhooks:{self.project_id}",
        )
        return Response(page.body([webhook_json(webhook) for webhook in page.rows]))

    @extend_schema(
        request=WebhookSerializer,
        responses={
            201: WebhookWithSecretSerializer,
            409: OpenApiResponse(ErrorSerializer, "The project has 50 webhooks already."),
        },
    )
    def create(self, request: Request) -> Response:
        """Events from now on are sent to it, by the Standard Webhooks specification. The answer
        has its secret, which is shown only here and when it is rotated."""
        body = self.read_body(WebhookSerializer)
        try:
            webhook = verbs.add_webhook(project_id=self.project_id, **body)
        except verbs.TooManyWebhooks as exc:
            raise Conflict(str(exc)) from exc
        return Response(with_secret(webhook), status=201)

    @extend_schema(responses=WebhookSerializer)
    def retrieve(self, request: Request) -> Response:
        return Response(webhook_json(self.webhook))

    @extend_schema(request=WebhookSerializer, responses=WebhookSerializer)
    def partial_update(self, request: Request) -> Response:
        """Enabling one that the service has disabled, or another URL, gives it another five
        days. What waits for one that is disabled fails, unless it is enabled again first."""
        stored = webhook_json(self.webhook)
        changes = self.read_body(WebhookSerializer, self.webhook, stored)
        verbs.change_webhook(webhook=self.webhook, changes=changes)
        return Response(webhook_json(self.webhook))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request) -> Response:
        """Deletes the webhook with its deliveries; what waits is not sent."""
        verbs.remove(webhook=self.webhook)
        return Response(status=204)

    @extend_schema(
        operation_id="webhooks_rotate_secret",
        request=EmptyBodySerializer,
        responses={
            200: WebhookWithSecretSerializer,
            409: OpenApiResponse(ErrorSerializer, "Rotated four times within 24 hours."),
        },
    )
    @action(detail=True, methods=["post"])
    def rotate_secret(self, request: Request) -> Response:
        """A new secret, shown only here. For 24 hours messages are signed by both."""
        self.read_body(StrictObject)
        try:
            verbs.rotate_secret(webhook=self.webhook)
        except verbs.TooManySecrets as exc:
            raise Conflict(str(exc)) from exc
        return Response(with_secret(self.webhook))


def with_secret(webhook: Webhook) -> dict[str, Any]:
    return {**webhook_json(webhook), "secret": webhook.secret}


class DeliveryViewSet(WebhookEndpoint):
    """What became of the events that a webhook was to be told of."""

    required_scopes = {"list": "webhook:read", "replay": "webhook:write"}
    # What receivers answer may repeat what they were told.
    further_scopes = {"list": "ticket:read", "replay": "ticket:read"}
    query_serializers: dict[str, type[QueryParameters]] = {"list": DeliveryListQuery}
    delivery: Delivery

    def find(self) -> None:
        super().find()
        if "delivery_id" in self.kwargs:
            self.delivery = find_delivery(self.webhook, self.kwargs["delivery_id"])

    def told_about(self, response: Response) -> Sequence[UUID]:
        # What the receiver answered may repeat what it was told of the ticket.
        return [self.delivery.event.ticket_id]

    @extend_schema(operation_id="webhooks_deliveries_list", responses=page_of(DeliverySerializer))
    def list(self, request: Request) -> Response:
        """Newest first. Kept as long as their events."""
        page = paginate(
            Delivery.objects.of(self.webhook, self.query.get("status")),
            order=Order("created_at", descending=True),
            query=self.query,
            request=request,
            scope=f"deliveries:{self.webhook.pk}",
            adding=lambda rows: rows.select_related("event"),
        )
        return Response(page.body([delivery_json(delivery) for delivery in page.rows]))

    @extend_schema(
        operation_id="webhooks_deliveries_replay",
        request=EmptyBodySerializer,
        responses={
            200: DeliverySerializer,
            409: OpenApiResponse(ErrorSerializer, "The webhook is disabled."),
        },
    )
    def replay(self, request: Request) -> Response:
        """Sends it again at once, whatever became of it, and by the schedule from its start if
        that fails. The `webhook-id` stays: a receiver that has seen it may pass over it."""
        self.read_body(StrictObject)
        try:
            verbs.replay(delivery=self.delivery)
        except verbs.Disabled as exc:
            raise Conflict(str(exc)) from exc
        return Response(delivery_json(self.delivery))
