"""The pages where agents work."""

from django.urls import include, path

from conversations.inbox.conversation.views import (
    ChangePage,
    ConversationPage,
    MarkReadPage,
    MarkUnreadPage,
    MessagePage,
    ReplyPage,
)
from conversations.inbox.overview.views import OverviewPage
from conversations.inbox.queue.views import BulkPage, ProjectsPage, QueuePage, SavedViewsPage
from conversations.inbox.settings.views import (
    KeysPage,
    ProjectPage,
    TeamPage,
    WebhookPage,
    WebhooksPage,
    WidgetPage,
)

_SETTINGS = [
    path("", ProjectPage.as_view(), name="inbox-settings"),
    path("/widget", WidgetPage.as_view(), name="inbox-widget"),
    path("/keys", KeysPage.as_view(), name="inbox-keys"),
    path("/webhooks", WebhooksPage.as_view(), name="inbox-webhooks"),
    path("/webhooks/<str:webhook_id>", WebhookPage.as_view(), name="inbox-webhook"),
    path("/team", TeamPage.as_view(), name="inbox-team"),
]

urlpatterns = [
    path("", ProjectsPage.as_view(), name="inbox"),
    path("/<int:project_id>", QueuePage.as_view(), name="inbox-queue"),
    path("/<int:project_id>/bulk", BulkPage.as_view(), name="inbox-bulk"),
    path("/<int:project_id>/views", SavedViewsPage.as_view(), name="inbox-views"),
    path("/<int:project_id>/overview", OverviewPage.as_view(), name="inbox-overview"),
    path("/<int:project_id>/settings", include(_SETTINGS)),
    path(
        "/<int:project_id>/tickets/<int:number>",
        ConversationPage.as_view(),
        name="inbox-conversation",
    ),
    path(
        "/<int:project_id>/tickets/<int:number>/reply",
        ReplyPage.as_view(),
        name="inbox-reply",
    ),
    path(
        "/<int:project_id>/tickets/<int:number>/messages/<str:message_id>",
        MessagePage.as_view(),
        name="inbox-message",
    ),
    path(
        "/<int:project_id>/tickets/<int:number>/change",
        ChangePage.as_view(),
        name="inbox-change",
    ),
    path(
        "/<int:project_id>/tickets/<int:number>/read",
        MarkReadPage.as_view(),
        name="inbox-read",
    ),
    path(
        "/<int:project_id>/tickets/<int:number>/unread",
        MarkUnreadPage.as_view(),
        name="inbox-unread",
    ),
]
