"""The addresses that posthog-js has built in, each as it is written by some version of it."""

from django.urls import path

from projects.capture.views import EventsView, FlagsView

urlpatterns = [
    path(f"{name}{slash}", view.as_view())
    for name, view in (("e", EventsView), ("i/v0/e", EventsView), ("flags", FlagsView))
    for slash in ("", "/")
]
