"""A saved view in requests and answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import examples
from conversations.models import ChannelSource, Priority, SavedView, Status
from conversations.saved_views.filters import ViewFilters
from conversations.tickets.filters import (
    ASSIGNEE_CHOICE,
    COLUMNS,
    DEADLINES,
    MAX_BOUND,
    MAX_SEARCH,
    MAX_TAGS_OF_A_FILTER,
)
from conversations.tickets.serializers import ASSIGNEE_ID
from projects.serializers import AuthorSerializer, author_json
from rest.fields import Moment, StrictObject, Text
from rest.json import timestamp
from rest.schema import kept_as_sent, with_example

TAGS_MATCH = [("any", "any"), ("all", "all")]
SORT_COLUMNS = [(name, name) for name in COLUMNS]
DIRECTIONS = [(1, "ascending"), (-1, "descending")]

_REFERENCES = [
    {
        "type": "object",
        "properties": {"type": {"type": "string", "enum": [type_]}, "id": id_},
        "required": ["type", "id"],
        "additionalProperties": False,
    }
    for type_, id_ in zip(("user", "role"), ASSIGNEE_ID["oneOf"], strict=True)
]


@extend_schema_field({"oneOf": [ASSIGNEE_CHOICE, *_REFERENCES]})
class AssigneeEntryField(serializers.Field[Any, Any, Any, Any]):
    """As in the list's parameter, or as a ticket has it."""


def _list_of(child: Any, max_length: int = 100) -> serializers.ListField:
    return serializers.ListField(
        child=child, max_length=max_length, required=False, allow_null=True
    )


def _text(max_length: int) -> serializers.CharField:
    return serializers.CharField(
        max_length=max_length, required=False, allow_null=True, allow_blank=True
    )


class SortingSerializer(StrictObject):
    """By which column, and in which direction."""

    columnKey = serializers.ChoiceField(  # noqa: N815  (PostHog's name)
        choices=SORT_COLUMNS, help_text="A column of `order_by`."
    )
    order = serializers.ChoiceField(choices=DIRECTIONS, help_text="1 or -1.")


@kept_as_sent
class ViewFiltersSerializer(StrictObject):
    """Filters with PostHog's keys; each means what the list's parameter means. Null, an
    empty text and an empty list stand for no filter."""

    status = _list_of(serializers.ChoiceField(choices=Status.choices))
    priority = _list_of(serializers.ChoiceField(choices=[*Priority.choices, ("none", "none")]))
    channel = serializers.ChoiceField(
        choices=ChannelSource.choices, required=False, allow_null=True, allow_blank=True
    )
    sla = serializers.ChoiceField(
        choices=DEADLINES, required=False, allow_null=True, allow_blank=True
    )
    assignee = _list_of(AssigneeEntryField())
    tags = _list_of(serializers.CharField(max_length=200), max_length=MAX_TAGS_OF_A_FILTER)
    tagsMatch = serializers.ChoiceField(choices=TAGS_MATCH, required=False, allow_null=True)  # noqa: N815  (PostHog's name)
    tagsExclude = _list_of(  # noqa: N815  (PostHog's name)
        serializers.CharField(max_length=200), max_length=MAX_TAGS_OF_A_FILTER
    )
    dateFrom = _text(MAX_BOUND)  # noqa: N815  (PostHog's name)
    dateTo = _text(MAX_BOUND)  # noqa: N815  (PostHog's name)
    search = _text(MAX_SEARCH)
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
