"""The routes under /api/projects/{project_id}/conversations/."""

from django.urls import path
from rest_framework.routers import SimpleRouter

from conversations.messages.views import MessageViewSet, ReplyViewSet
from conversations.tickets.views import TicketViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("tickets", TicketViewSet, basename="ticket")

urlpatterns = [
    *router.urls,
    path(
        "tickets/<str:id>/messages",
        MessageViewSet.as_view({"get": "list", "post": "create"}),
        name="message-list",
    ),
    path("tickets/<str:id>/reply", ReplyViewSet.as_view({"post": "create"}), name="ticket-reply"),
]
