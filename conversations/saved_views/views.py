"""Saved views over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.models import SavedView
from conversations.named.views import NamedViewSet
from conversations.saved_views.serializers import SavedViewSerializer, saved_view_json
from rest.schema import page_of


class SavedViewViewSet(NamedViewSet):
    """Filters of the ticket list, kept under a name."""

    model = SavedView
    serializer_class = SavedViewSerializer

    def as_json(self, named: SavedView) -> dict[str, Any]:
        return saved_view_json(named)

    @extend_schema(responses=page_of(SavedViewSerializer))
    def list(self, request: Request) -> Response:
        return super().list(request)

    @extend_schema(request=SavedViewSerializer, responses={201: SavedViewSerializer})
    def create(self, request: Request) -> Response:
        return super().create(request)

    @extend_schema(responses=SavedViewSerializer)
    def retrieve(self, request: Request) -> Response:
        return super().retrieve(request)

    @extend_schema(request=SavedViewSerializer, responses=SavedViewSerializer)
    def partial_update(self, request: Request) -> Response:
        return super().partial_update(request)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request) -> Response:
        return super().destroy(request)
