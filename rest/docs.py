"""The schema and its pages, from this host alone."""

import functools
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from rest.views import api_error_response


class Documentation:
    """What it answers has the type that is asked for; its errors are those of the API."""

    content_negotiation_class = DefaultContentNegotiation
    request: Any

    def handle_exception(self, exc: Exception) -> HttpResponseBase:
        return api_error_response(self.request, exc)


class SchemaView(Documentation, SpectacularAPIView):
    """The OpenAPI document as YAML or JSON, by Accept."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_document())


@functools.cache
def _document() -> Any:
    """Made once in each process: it takes a second and never changes."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


class DocsView(Documentation, SpectacularSwaggerView):
    """Swagger UI."""

    renderer_classes = [TemplateHTMLRenderer]


class RedocView(Documentation, SpectacularRedocView):
    """Redoc, by a template without the fonts of another host."""

    renderer_classes = [TemplateHTMLRenderer]
    template_name = "rest/redoc.html"
