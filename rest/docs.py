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
from rest_framework.renderers import TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response


class SchemaView(SpectacularAPIView):
    """The OpenAPI document as YAML or JSON, by Accept."""

    content_negotiation_class = DefaultContentNegotiation

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_document())


@functools.cache
def _document() -> Any:
    """Made once in each process: it takes a second and never changes."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


class DocsView(SpectacularSwaggerView):
    """Swagger UI."""

    content_negotiation_class = DefaultContentNegotiation
    renderer_classes = [TemplateHTMLRenderer]


class RedocView(SpectacularRedocView):
    """Redoc, by a template without the fonts of another host."""

    content_negotiation_class = DefaultContentNegotiation
    renderer_classes = [TemplateHTMLRenderer]
    template_name = "rest/redoc.html"
