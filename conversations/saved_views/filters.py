"""The filters of a saved view: PostHog's keys, meaning what the list's parameters mean."""

import json
from typing import Any

from rest_framework import serializers

from conversations.tickets.filters import DEFAULT_ORDER, TagList, TicketListQuery
from rest.exceptions import invalid
from rest.fields import unknown_names

# Each key of a view beside the list's parameter that it stands for.
_PARAMETERS = {
    "status": "status",
    "priority": "priority",
    "channel": "channel_source",
    "sla": "sla",
    "assignee": "assignee",
    "tags": "tags",
    "tagsExclude": "tags_exclude",
    "dateFrom": "date_from",
    "dateTo": "date_to",
    "search": "search",
    "snoozed": "snoozed",
    "unread": "unread",
    "sorting": "order_by",
}
_LISTS = ("status", "priority", "assignee", "tags", "tagsExclude")
_FLAGS = ("snoozed", "unread")


# Filters that are one for a reader: naming one of them puts the view's others aside.
_TOGETHER = [{"tags", "tags_all"}]


class TicketListOrViewQuery(TicketListQuery):
    """The list's parameters, and the view that has those which are not given."""

    view = serializers.CharField(
        required=False,
        max_length=16,
        help_text="The `short_id` of a saved view; other parameters override its filters.",
    )


def read_with_view(
    filters: dict[str, Any], given: dict[str, str], *, context: dict[str, Any]
) -> dict[str, Any]:
    """The validated parameters of a request that names a view with these filters."""
    query = TicketListOrViewQuery(data=parameters_with_view(filters, given), context=context)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def parameters_with_view(filters: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
    """What is given, and of the view's filters those that it does not put aside."""
    named = set(given).union(*(group for group in _TOGETHER if group & set(given)))
    of_view = {name: text for name, text in as_parameters(filters).items() if name not in named}
    return {**of_view, **given}


class ViewFilters(serializers.Field[Any, Any, Any, Any]):
    """Kept as they were sent, and refused where the list would refuse them.

    Null, an empty text and an empty list stand for no filter: PostHog's inbox saves
    its empty controls so.
    """

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        errors = _shape_errors(data)
        if errors:
            raise serializers.ValidationError(errors)
        query = TicketListQuery(data=as_parameters(data), context=self.context)
        if not query.is_valid():
            raise serializers.ValidationError(_by_key(query.errors, data))
        return data


def as_parameters(filters: dict[str, Any]) -> dict[str, str]:
    """The list's parameters, as a query would have them, that valid filters stand for."""
    parameters: dict[str, str] = {}
    for key, value in filters.items():
        if key in _PARAMETERS and value not in (None, [], ""):
            parameters[_parameter(key, filters)] = _as_text(key, value)
    return parameters


def as_filters(parameters: dict[str, str]) -> dict[str, Any]:
    """The filters of a view that stand for valid parameters of the list; what `as_parameters`
    undoes. Raises ValidationError where a view has no filter that means the same."""
    filters: dict[str, Any] = {}
    for name, text in parameters.items():
        key = _KEYS.get(name)
        if key is None:
            raise invalid(name, f"A view can not keep `{name}`.")
        if key in filters:
            raise invalid(name, "A view keeps `tags` or `tags_all`, not both.")
        if name == "tags_all":
            filters["tagsMatch"] = "all"
        if name != "order_by" or text != DEFAULT_ORDER:
            filters[key] = _as_value(key, text)
    return filters


_KEYS = {**{parameter: key for key, parameter in _PARAMETERS.items()}, "tags_all": "tags"}


def _as_value(key: str, text: str) -> Any:
    if key in ("tags", "tagsExclude"):
        return TagList().items(text)
    if key in _LISTS:
        return [entry.strip() for entry in text.split(",")]
    if key in _FLAGS:
        return text == "true"
    if key == "sorting":
        return {"columnKey": text.removeprefix("-"), "order": -1 if text[0] == "-" else 1}
    return text


def are_the_same(filters: dict[str, Any], others: dict[str, Any]) -> bool:
    """Whether both list the same tickets in the same order, however they are written."""
    return _normal(filters) == _normal(others)


def _normal(filters: dict[str, Any]) -> dict[str, Any]:
    written = as_filters(as_parameters(filters))
    return {
        key: sorted(set(value)) if isinstance(value, list) else value
        for key, value in written.items()
    }


def _parameter(key: str, filters: dict[str, Any]) -> str:
    if key == "tags" and filters.get("tagsMatch") == "all":
        return "tags_all"
    return _PARAMETERS[key]


def _as_text(key: str, value: Any) -> str:
    if key in ("tags", "tagsExclude"):
        return json.dumps(value)
    if key == "assignee":
        return ",".join(_assignee(entry) for entry in value)
    if key in _LISTS:
        return ",".join(value)
    if key in _FLAGS:
        return "true" if value else "false"
    if key == "sorting":
        return f"{'-' if value['order'] == -1 else ''}{value['columnKey']}"
    return str(value)


def _assignee(entry: Any) -> str:
    return str(entry) if isinstance(entry, str) else f"{entry['type']}:{entry['id']}"


def _shape_errors(filters: dict[str, Any]) -> dict[str, Any]:
    """What is wrong with the filters before their values are looked at."""
    known = {"tagsMatch", *_PARAMETERS}
    unknown = (key for key in filters if key not in known)
    errors = unknown_names(unknown, "There is no such filter.", "unknown_field")
    for key, value in filters.items():
        if key in known and value is not None and (problem := _shape_problem(key, value)):
            errors[key] = [problem]
    return errors


def _shape_problem(key: str, value: Any) -> str | None:
    if key == "tagsMatch":
        return None if value in ("any", "all") else "Must be `any` or `all`."
    if key == "assignee":
        is_list = isinstance(value, list) and all(_is_assignee(entry) for entry in value)
        return None if is_list else 'Must be a list of texts or of `{"type", "id"}`.'
    if key in ("tags", "tagsExclude"):
        is_list = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        return None if is_list else "Must be a list of texts."
    if key in _LISTS:
        is_list = isinstance(value, list) and all(_is_one(entry) for entry in value)
        return None if is_list else "Must be a list of texts, each one value."
    if key in _FLAGS:
        return None if isinstance(value, bool) else "Must be true or false."
    if key == "sorting":
        return None if _is_sorting(value) else 'Must be `{"columnKey": text, "order": 1 or -1}`.'
    return None if isinstance(value, str) else "Must be text."


def _is_one(entry: Any) -> bool:
    """Whether an entry of a list is text that stays one value in the list's parameter."""
    return isinstance(entry, str) and "," not in entry


def _is_assignee(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return _is_one(entry)
    if entry.keys() != {"type", "id"}:
        return False
    return (entry["type"] == "user" and type(entry["id"]) is int) or (
        entry["type"] == "role" and _is_one(entry["id"])
    )


def _is_sorting(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"columnKey", "order"}
        and isinstance(value["columnKey"], str)
        and not value["columnKey"].startswith("-")
        and type(value["order"]) is int
        and value["order"] in (1, -1)
    )


def _by_key(errors: Any, filters: dict[str, Any]) -> dict[str, Any]:
    """The list's errors under the keys that the client has sent."""
    keys = {_parameter(key, filters): key for key in filters if key in _PARAMETERS}
    return {keys.get(parameter, parameter): details for parameter, details in errors.items()}
