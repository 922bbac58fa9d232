"""The routes under /api/projects/{project_id}/conversations/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from conversations.events.views import ActivityViewSet, EventViewSet
from conversations.macros.views import ApplyMacroViewSet, MacroViewSet
from conversations.messages.views import MessageViewSet, OneMessageViewSet, ReplyViewSet
from conversations.saved_views.views import SavedViewViewSet
from conversations.tickets.views import TicketViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("tickets", TicketViewSet, basename="ticket")
router.register("views", SavedViewViewSet, basename="view")
router.register("macros", MacroViewSet, basename="macro")
router.register("quick_actions", MacroViewSet, basename="quick-action")

urlpatterns = [
    *router.urls,
    path(
        "tickets/<str:id>/messages",
        MessageViewSet.as_view({"get": "list", "post": "create"}),
        name="message-list",
    ),
    path(
        "tickets/<str:id>/messages/<str:message_id>",
        OneMessageViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="message-detail",
    ),
    path(
        "tickets/<str:id>/notes/<str:message_id>",
        OneMessageViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="note-detail",
    ),
    path(
        "tickets/<str:id>/apply_macro",
        ApplyMacroViewSet.as_view({"post": "create"}),
        name="ticket-apply-macro",
    ),
    path(
        "tickets/<str:id>/activity",
        ActivityViewSet.as_view({"get": "list"}),
        name="ticket-activity",
    ),
    path("events", EventViewSet.as_view({"get": "list"}), name="event-list"),
    path("", include("conversations.stream.urls")),
    path("tickets/<str:id>/reply", ReplyViewSet.as_view({"post": "create"}), name="ticket-reply"),
]
