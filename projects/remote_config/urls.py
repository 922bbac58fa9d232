"""The routes under /array/."""

from django.urls import path

from projects.remote_config.views import ConfigScriptView, ConfigView

urlpatterns = [
    path("<str:token>/config", ConfigView.as_view()),
    path("<str:token>/config.js", ConfigScriptView.as_view()),
]
