"""The one route of the stream, which the web server has as well, to say where it is not."""

from django.urls import path

from conversations.stream.views import StreamViewSet

urlpatterns = [path("stream", StreamViewSet.as_view({"get": "stream"}), name="event-stream")]
