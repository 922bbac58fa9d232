"""How agents come in: log in, log out, choose a password; and the page that says what is where."""

import math
from typing import Any

from django.conf import settings
from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from projects.models import User
from rest import limits
from rest.limits import Limit
from rest.proxies import client_network


def set_password_url(user: User) -> str:
    """A link to choose a password with: it works once, and for PASSWORD_RESET_TIMEOUT seconds."""
    name = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    return str(settings.SERVICE_URL) + reverse("set-password", args=[name, token])


# How many passwords that are wrong an address may try in a minute.
WRONG_PASSWORDS = 20


class LimitedForm(AuthenticationForm):
    """A form to log in by that an address can not try passwords with for long."""

    wait = 0.0

    def clean(self) -> dict[str, Any]:
        assert self.request is not None
        tried = Limit(f"log-in:{client_network(self.request)}", WRONG_PASSWORDS, 60)
        # Before the password is looked at, or tries that come at once would all be let through.
        self.wait = limits.take([tried]).wait
        if self.wait:
            raise ValidationError(
                f"Too many attempts. Try again in {math.ceil(self.wait)} seconds.", "throttled"
            )
        cleaned = super().clean()
        limits.give_back(tried)
        return cleaned


class LoginForm(LimitedForm):
    # One message for an unknown address, a wrong password and a closed account.
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "The email address or the password is wrong.",
    }


class LoginView(views.LoginView):
    template_name = "projects/login.html"
    authentication_form = LoginForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return redirect(self.get_success_url())
        return super().get(request, *args, **kwargs)

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        assert isinstance(form, LimitedForm)
        if form.wait:
            response.status_code = 429
            response.headers["Retry-After"] = str(math.ceil(form.wait))
        return response

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Where `next` leads, if that is on this host, and not to this page again."""
        url = super().get_redirect_url()
        return "" if url.split("?")[0] == self.request.path else url


class SetPasswordView(views.PasswordResetConfirmView):
    """Opened by the link of `set_password_url`; who has chosen a password is logged in."""

    template_name = "projects/set_password.html"
    success_url = reverse_lazy("home")
    post_reset_login = True

    def get_user(self, uidb64: str) -> Any:
        user = super().get_user(uidb64)
        return user if user is not None and user.is_active else None


def home(request: HttpRequest) -> HttpResponseBase:
    agent = request.user
    projects = agent.projects.order_by("name", "pk") if isinstance(agent, User) else []
    return render(request, "projects/home.html", {"projects": projects})
