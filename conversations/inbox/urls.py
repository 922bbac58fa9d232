"""The pages where agents work."""

from django.urls import path

from conversations.inbox.conversation.views import (
    ChangePage,
    ConversationPage,
    MarkReadPage,
    MarkUnreadPage,
    ReplyPage,
)
from conversations.inbox.queue.views import BulkPage, ProjectsPage, QueuePage, SavedViewsPage

urlpatterns = [
    path("", ProjectsPage.as_view(), name="inbox"),
    path("/<int:project_id>", QueuePage.as_view(), name="inbox-queue"),
    path("/<int:project_id>/bulk", BulkPage.as_view(), name="inbox-bulk"),
    path("/<int:project_id>/views", SavedViewsPage.as_view(), name="inbox-views"),
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
