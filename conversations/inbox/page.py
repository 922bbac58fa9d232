"""What the pages of the inbox have in common: who may see them, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, OperationalError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.views import View
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails
from rest_framework.exceptions import APIException, NotFound

from conversations.events.actors import Actor
from projects.models import Project, User
from rest.exceptions import TRY_AGAIN

T = TypeVar("T")

# What a page takes for a part of itself: no error page, of ours or of a proxy, has it.
OURS = "X-Inbox"


class AgentPage(View):
    """A page for whoever is signed in; everybody else is led to the form for that."""

    agent: User
    projects: list[Project]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.htmx = HtmxDetails(request)
        if not isinstance(request.user, User):
            return self._to_login()
        self.agent = request.user
        self.projects = list(self.agent.projects.order_by("name", "pk"))
        response: HttpResponseBase = self.answer(*args, **kwargs)
        # Whoever comes after the agent to this machine finds nothing in its cache.
        patch_cache_control(response, private=True, no_store=True)
        return response

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(self.request, *args, **kwargs)

    def _to_login(self) -> HttpResponseBase:
        """A part of a page can not become the form, so that the page as a whole goes there."""
        if self.htmx:
            back = urlsplit(self.htmx.current_url_abs_path or self.request.path).geturl()
            return HttpResponseClientRedirect(redirect_to_login(back).url)
        return redirect_to_login(self.request.get_full_path())

    def show(self, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        shared = {"agent": self.agent, "projects": self.projects}
        response = render(self.request, template, shared | context, status=status)
        response.headers[OURS] = "page"
        return response


class InboxPage(AgentPage):
    """A page of a project, for its members; times on it are in the project's time zone."""

    project: Project
    project_id: int

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        self.project_id = kwargs["project_id"]
        mine = [project for project in self.projects if project.pk == self.project_id]
        if not mine:
            # The same whether or not there is such a project, as in the API.
            raise PermissionDenied()
        [self.project] = mine
        with timezone.override(ZoneInfo(self.project.time_zone)):
            try:
                return super().answer(*args, **kwargs)
            except NotFound as exc:
                raise Http404(str(exc)) from exc

    @property
    def actor(self) -> Actor:
        return Actor.agent(self.agent)

    def show(self, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        return super().show(template, {"project": self.project} | context, status=status)


def committed(act: Callable[[], T]) -> T:
    """What `act` returns, in one transaction; tried once more when it lost against another."""
    try:
        with transaction.atomic():
            return act()
    except (OperationalError, IntegrityError) as exc:
        if not isinstance(exc.__cause__, TRY_AGAIN):
            raise
    with transaction.atomic():
        return act()


def failures(exc: APIException) -> dict[str, list[str]]:
    """What is wrong, by the name of the control; all that is nested below it together."""
    detail: Any = exc.detail
    if not isinstance(detail, dict):
        detail = {"non_field_errors": detail}
    return {name: list(dict.fromkeys(_texts(inner))) for name, inner in detail.items()}


def _texts(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [text for inner in detail.values() for text in _texts(inner)]
    if isinstance(detail, list):
        return [text for inner in detail for text in _texts(inner)]
    return [str(detail)]
