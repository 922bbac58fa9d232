"""Every route of the service."""

import re
import sys

from django.contrib import admin
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import include, path
from django.views import csrf, defaults
from rest_framework.exceptions import APIException, NotFound, ParseError, PermissionDenied

from conversations.demo.views import shop
from conversations.inbox import problems
from conversations.widget.errors import add_widget_error
from projects.project.views import ProjectViewSet
from rest.docs import DocsView, RedocView, SchemaView
from rest.errors import outage
from rest.views import api_error_response

urlpatterns = [
    # Django tries one after the other: what is called most often comes first.
    path("api/projects/<str:project_id>/conversations/", include("conversations.urls")),
    path(
        "api/projects/<str:project_id>",
        ProjectViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
    ),
    path("api/projects/<str:project_id>/", include("projects.members.urls")),
    path("api/projects/<str:project_id>/", include("conversations.persons.urls")),
    path("api/projects/<str:project_id>/", include("conversations.webhooks.urls")),
    path("api/conversations/v1/widget/", include("conversations.widget.urls")),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(url_name="schema"), name="docs"),
    path("api/redoc", RedocView.as_view(url_name="schema"), name="redoc"),
    path("array/", include("projects.remote_config.urls")),
    path("demo", shop, name="demo"),
    path("inbox", include("conversations.inbox.urls")),
    path("", include("projects.capture.urls")),
    path("", include("projects.urls")),
    path("admin/", admin.site.urls),
]


# Where programs call, who could do nothing with a page.
_API = re.compile(r"/(api|array|e|i|flags)(/|$)")


def _is_api(request: HttpRequest) -> bool:
    return _API.match(request.path_info) is not None


def _api_error(request: HttpRequest, exc: Exception) -> HttpResponse:
    is_widget = request.path_info.startswith("/api/conversations/v1/widget/")
    return api_error_response(request, exc, add_widget_error if is_widget else None)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_api(request):
        return _api_error(request, ParseError("The request could not be understood."))
    status = 413 if isinstance(exception, RequestDataTooBig) else 400
    if problems.is_inbox(request):
        return problems.problem_page(request, status)
    page = defaults.bad_request(request, exception)
    page.status_code = status
    return page


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_api(request):
        return _api_error(request, PermissionDenied())
    if problems.is_inbox(request):
        return problems.problem_page(request, 403)
    return defaults.permission_denied(request, exception)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    if problems.is_inbox(request):
        return problems.form_too_old(request)
    return csrf.csrf_failure(request, reason)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_api(request):
        return _api_error(request, NotFound("There is nothing at this address."))
    if problems.is_inbox(request):
        return problems.not_found(request, exception)
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    if _is_api(request):
        return _api_error(request, APIException())
    # Django says no more, but asks for the page while it handles the exception.
    if down := outage(sys.exception()):
        return problems.unavailable(request, down)
    if problems.is_inbox(request):
        return problems.problem_page(request, 500)
    return defaults.server_error(request)
