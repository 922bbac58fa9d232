"""The routes under /api/conversations/v1/widget/."""

from django.urls import path

from conversations.widget.views import (
    PollView,
    RestoreRequestView,
    RestoreView,
    SeenView,
    SendView,
    TicketsView,
)

urlpatterns = [
    path("message", SendView.as_view({"post": "create"})),
    path("messages/<str:ticket_id>", PollView.as_view({"get": "retrieve"})),
    path("messages/<str:ticket_id>/read", SeenView.as_view({"post": "create"})),
    path("tickets", TicketsView.as_view({"get": "retrieve"})),
    path("restore/request", RestoreRequestView.as_view({"post": "create"})),
    path("restore", RestoreView.as_view({"post": "create"})),
]
