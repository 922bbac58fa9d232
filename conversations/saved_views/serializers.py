"""A saved view in requests and answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import examples
from conversations.models import ChannelSource, Priority, SavedView, Status
from conversations.saved_views.filters import ViewFilters
from projects.serializers import AuthorSerializer, author_json
from rest.fields import Moment, StrictObject, Text
from rest.json import timestamp
from rest.schema import kept_as_sent, with_example

TAGS_MATCH = [("any", "any"), ("all", "all")]


class SortingSerializer(serializers.Serializer[Any]):
    columnKey = serializers.CharField(help_text="A column of `order_by`.")  # noqa: N815
    order = serializers.IntegerField(min_value=-1, max_value=1, help_text="1 or -1.")


@kept_as_sent
class ViewFiltersSerializer(serializers.Serializer[Any]):
    """Filters with PostHog's keys; each means what the list's parameter means. Null, an
    empty text and an empty list stand for no filter."""

    status = serializers.ListField(
        child=serializers.ChoiceField(choices=Status.choices), required=False, allow_null=True
    )
    priority = serializers.ListField(
        child=serializers.ChoiceField(choices=[*Priority.choices, ("none", "none")]),
        required=False,
        allow_null=True,
    )
    channel = serializers.ChoiceField(
        choices=ChannelSource.choices, required=False, allow_null=True
    )
    sla = serializers.CharField(required=False, allow_null=True)
    assignee = serializers.ListField(child=serializers.JSONField(), required=False, allow_null=True)
    tags = serializers.ListField(child=serializers.CharField(), required=False, allow_null=True)
    tagsMatch = serializers.ChoiceField(choices=TAGS_MATCH, required=False, allow_null=True)  # noqa: N815
    tagsExclude = serializers.ListField(  # noqa: N815
        child=serializers.CharField(), required=False, allow_null=True
    )
    dateFrom = serializers.CharField(required=False, allow_null=True)  # noqa: N815
    dateTo = serializers.CharField(required=False, allow_null=True)  # noqa: N815
    search = serializers.CharField(required=False, allow_null=True)
    snoozed = serializers.BooleanField(required=False, allow_null=True)
    unread = serializers.BooleanField(required=False, allow_null=True)
    sorting = SortingSerializer(required=False, allow_null=True)


@extend_schema_field(ViewFiltersSerializer)
class FiltersField(ViewFilters):
    """`ViewFilters`, described."""


@with_example(response=examples.VIEW, request=examples.NEW_VIEW)
class SavedViewSerializer(StrictObject):
    """Filters of the ticket list under a name; `?view=<short_id>` applies them."""

    id = serializers.UUIDField(read_only=True)
    short_id = serializers.CharField(read_only=True)
    name = Text(max_length=200)
    filters = FiltersField(default=dict)
    created_at = Moment(read_only=True)
    created_by = AuthorSerializer(read_only=True, allow_null=True)


def saved_view_json(view: SavedView) -> dict[str, Any]:
    return {
        "id": view.pk,
        "short_id": view.short_id,
        "name": view.name,
        "filters": view.filters,
        "created_at": timestamp(view.created_at),
        "created_by": author_json(view.created_by),
    }
