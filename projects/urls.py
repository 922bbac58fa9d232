"""The pages for agents; their API is the same as everybody's."""

from django.contrib.auth.views import LogoutView
from django.templatetags.static import static
from django.urls import path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from projects.agents import LoginView, SetPasswordView, home

urlpatterns = [
    path("", require_safe(home), name="home"),
    path("login", LoginView.as_view(), name="login"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("set-password/<uidb64>/<token>", SetPasswordView.as_view(), name="set-password"),
    # Where browsers look for it on pages that name none, such as the admin site's.
    path("favicon.ico", RedirectView.as_view(url=static("projects/icon.svg"))),
    # The admin site's own routes all end in a slash, which is easily forgotten.
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
]
