"""The routes under /api/projects/{project_id}/webhooks."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from conversations.webhooks.views import DeliveryViewSet, WebhookViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("webhooks", WebhookViewSet, basename="webhook")

urlpatterns = [
    *router.urls,
    path(
        "webhooks/<str:webhook_id>/deliveries",
        DeliveryViewSet.as_view({"get": "list"}),
        name="delivery-list",
    ),
    path(
        "webhooks/<str:webhook_id>/deliveries/<str:delivery_id>/replay",
        DeliveryViewSet.as_view({"post": "replay"}),
        name="delivery-replay",
    ),
]
