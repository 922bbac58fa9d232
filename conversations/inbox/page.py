"""What the pages of the inbox have in common: who may see them, and how they are answered."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.views import View
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails
from rest_framework.exceptions import APIException, ErrorDetail, NotFound, ValidationError

from conversations.events.actors import Actor
from conversations.inbox.problems import problem_page
from projects.models import Project, User
from rest.fields import CommaList, QueryParameters

# What a page takes for a part of itself: no error page, of ours or of a proxy, has it.
OURS = "X-Inbox"


class AgentPage(View):
    """A page for whoever is signed in; everybody else is led to the form for that."""

    agent: User
    projects: list[Project]
    # The parameters of its address; None for one that says by itself what is wrong with them.
    query_class: type[QueryParameters] | None = QueryParameters
    query: dict[str, Any]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.htmx = HtmxDetails(request)
        response: HttpResponseBase = self._answer_or_log_in(*args, **kwargs)
        # Whoever comes after the agent to this machine finds nothing in its cache.
        patch_cache_control(response, private=True, no_store=True)
        return response

    def _answer_or_log_in(self, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(self.request.user, User):
            return self._to_login()
        self.agent = self.request.user
        self.projects = list(self.agent.projects.order_by("name", "pk"))
        return self.answer(*args, **kwargs)

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self.request.method in ("GET", "HEAD") and self.query_class and hasattr(self, "get"):
                self.query = read_query(self.request.GET, self.query_class)
            return super().dispatch(self.request, *args, **kwargs)
        except ValidationError as exc:
            return problem_page(self.request, exc.status_code, errors=failures(exc))

    def http_method_not_allowed(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Who opens the address of a form, after a log in or by a reload, gets its page."""
        page = self.page_of_form() if request.method in ("GET", "HEAD") else None
        return redirect(page) if page else super().http_method_not_allowed(request, *args, **kwargs)

    def page_of_form(self) -> str | None:
        """Where the form of an address is that takes nothing but a form."""
        return None

    def _to_login(self) -> HttpResponseBase:
        """A part of a page can not become the form, so that the page as a whole goes there."""
        if self.htmx:
            return HttpResponseClientRedirect(redirect_to_login(self._whole_page()).url)
        return redirect_to_login(self.request.get_full_path())

    def _whole_page(self) -> str:
        """What the browser shows, by its own word."""
        try:
            return self.htmx.current_url_abs_path or self.request.path
        except ValueError:
            # That is no address.
            return self.request.path

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
        with timezone.override(self.time_zone):
            try:
                return super().answer(*args, **kwargs)
            except NotFound as exc:
                raise Http404(str(exc)) from exc

    @property
    def time_zone(self) -> ZoneInfo:
        return ZoneInfo(self.project.time_zone)

    @property
    def actor(self) -> Actor:
        return Actor.agent(self.agent)

    def show(self, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        return super().show(template, {"project": self.project} | context, status=status)


def read_query(query: QueryDict, query_class: type[QueryParameters]) -> dict[str, Any]:
    """The parameters of an address; raises ValidationError as the API does, also for one that is
    given twice."""
    serializer = query_class(data=query.dict())
    if not serializer.is_valid() or repeated(query, query_class):
        raise ValidationError({**serializer.errors, **repeated(query, query_class)})
    return dict(serializer.validated_data)


def repeated(query: QueryDict, query_class: type[QueryParameters]) -> dict[str, Any]:
    """A failure for each parameter that is given more than once, and is no list."""
    fields = query_class._declared_fields
    return {
        name: [ErrorDetail("The parameter is given more than once.", "invalid")]
        for name, values in query.lists()
        if len(values) > 1 and not isinstance(fields.get(name), CommaList)
    }


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
