"""The schema and its pages, from this host alone."""

import functools
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from rest.views import api_error_response


class Documentation(APIView):
    """What it answers has the type that is asked for; its errors are those of the API."""

    content_negotiation_class = DefaultContentNegotiation
    http_method_names = ["get", "head"]

    def handle_exception(self, exc: Exception) -> Any:
        return api_error_response(self.request, exc)


class SchemaView(Documentation, SpectacularAPIView):
    """The OpenAPI document as YAML or JSON, by Accept."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_document())


@functools.cache
def _document() -> Any:
    """Made once in each process: it takes a second and never changes."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # (theirs)


class Page(Documentation):
    """A page that loads nothing from other hosts: Swagger UI would have its document
    checked by one, and Redoc would fetch its logo; the policy keeps them from that."""

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)
        response.headers["Content-Security-Policy"] = (
            "default-src 'self'; script-src 'self' 'unsafe-inline'; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:"
        )
        return response


class DocsView(Page, SpectacularSwaggerView):
    """Swagger UI."""


class RedocView(Page, SpectacularRedocView):
    """Redoc, by a template without the fonts of another host."""

    template_name = "rest/redoc.html"
