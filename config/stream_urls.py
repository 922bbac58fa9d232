"""What the stream process serves: one route, and the errors of all."""

from django.urls import include, path

from config.urls import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("api/projects/<str:project_id>/conversations/", include("conversations.stream.urls"))
]
