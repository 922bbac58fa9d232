"""The filters of the list as controls of a page, and the page's address as filters.

What a filter may say and means is the API's, see `conversations.tickets.filters`; here is how
it is written down on a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from conversations.inbox.people import Assignable
from conversations.inbox.tags import as_typed
from conversations.models import ChannelSource, Priority, Status
from conversations.tickets.filters import DEADLINES, DEFAULT_ORDER, TagList

UNRESOLVED = ",".join(status for status in Status.values if status != Status.RESOLVED)
# What is put aside until later is not to be done now.
TO_DO = {"status": UNRESOLVED, "snoozed": "false"}
_ORDERS = [
    ("", "Last changed first"),
    ("updated_at", "Longest unchanged first"),
    ("-created_at", "Newest first"),
    ("created_at", "Oldest first"),
    ("-last_message_at", "Last message first"),
    ("last_message_at", "Longest silent first"),
    ("sla_due_at", "Due soonest first"),
    ("-sla_due_at", "Due latest first"),
    ("-priority", "Highest priority first"),
    ("priority", "Lowest priority first"),
    ("snoozed_until", "Wakes soonest first"),
    ("-snoozed_until", "Wakes latest first"),
    ("-ticket_number", "Highest number first"),
    ("ticket_number", "Lowest number first"),
]
# Where in the list, and not which list.
PLACE = ("cursor", "offset", "limit")
# The view that a list was before its filters were changed. Only pages know this parameter: with
# `view`, a filter that was taken away would be there again.
FROM_VIEW = "from_view"


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    is_chosen: bool


@dataclass(frozen=True)
class Control:
    """One filter on the page: `kind` is menu (several of), select (one of) or text."""

    name: str
    label: str
    kind: str
    value: str
    choices: list[Choice]
    errors: list[str]
    hint: str = ""

    @property
    def chosen(self) -> str:
        return ", ".join(choice.label for choice in self.choices if choice.is_chosen)


def given(query: QueryDict) -> dict[str, str]:
    """The filters of an address. An empty control asks for nothing, and values that are given
    one by one are a list, as in the API."""
    filled = {name: [value for value in values if value.strip()] for name, values in query.lists()}
    return {name: ",".join(values) for name, values in filled.items() if values}


def address_of(path: str, parameters: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(parameters, safe=',:')}" if parameters else path


def controls(
    parameters: Mapping[str, str], errors: Mapping[str, list[str]], among: list[Assignable]
) -> list[Control]:
    """Those that are always to be seen, in their order."""
    shown = _Controls(parameters, errors)
    people = [("me", "Me"), ("unassigned", "Nobody")]
    people += [(one.value, one.name) for one in among]
    priorities = [*Priority.choices[::-1], ("none", "None")]
    return [
        shown.menu("status", "Status", Status.choices),
        shown.select("assignee", "Assigned to", people, anything="anybody"),
        shown.menu("priority", "Priority", priorities),
        shown.select("unread", "Unread", [("true", "unread"), ("false", "read")]),
        shown.select("sla", "Deadline", [(value, _worded(value)) for value, _ in DEADLINES]),
        shown.select("snoozed", "Snoozed", [("true", "snoozed"), ("false", "not snoozed")]),
        shown.select(
            "channel_source",
            "Channel",
            [(value, _CHANNELS.get(value, value.title())) for value in ChannelSource.values],
        ),
        shown.tags("tags", "Tags", "any of"),
    ]


def further_controls(
    parameters: Mapping[str, str], errors: Mapping[str, list[str]]
) -> list[Control]:
    """Those that are seldom needed."""
    shown = _Controls(parameters, errors)
    when = "2026-01-31 or -7d"
    return [
        shown.tags("tags_all", "All of these tags"),
        shown.tags("tags_exclude", "None of these tags"),
        shown.text("channel_detail", "Channel detail"),
        shown.text("created_from", "Created from", when),
        shown.text("created_to", "Created until", when),
        shown.text("date_from", "Changed from", when),
        shown.text("date_to", "Changed until", when),
        shown.text("emails", "Email addresses"),
        shown.text("distinct_ids", "Distinct ids"),
        shown.text("ids", "Ticket ids"),
    ]


def order_control(parameters: Mapping[str, str], errors: Mapping[str, list[str]]) -> Control:
    ordered = dict(parameters)
    if ordered.get("order_by") == DEFAULT_ORDER:
        del ordered["order_by"]
    orders = [order for order in _ORDERS if order[0]]
    return _Controls(ordered, errors).select("order_by", "Order", orders, anything=_ORDERS[0][1])


_CHANNELS = {"api": "API", "github": "GitHub"}


def _worded(value: str) -> str:
    return value.replace("_", " ").replace("-", " ")


class _Controls:
    def __init__(self, parameters: Mapping[str, str], errors: Mapping[str, list[str]]) -> None:
        self.parameters, self.errors = parameters, errors

    def menu(self, name: str, label: str, choices: Iterable[tuple[str, str]]) -> Control:
        values = [value.strip() for value in self._value(name).split(",")]
        return self._control(name, label, "menu", choices, values)

    def select(
        self,
        name: str,
        label: str,
        choices: Iterable[tuple[str, str]],
        *,
        anything: str = "any",
    ) -> Control:
        """With what an address may say besides, which no choice stands for."""
        value = self._value(name)
        choices = [("", anything), *choices]
        if value not in dict(choices):
            choices.append((value, value))
        return self._control(name, label, "select", choices, [value])

    def text(self, name: str, label: str, hint: str = "") -> Control:
        return Control(name, label, "text", self._value(name), [], self.errors.get(name, []), hint)

    def tags(self, name: str, label: str, hint: str = "") -> Control:
        """With commas, as somebody would type them, unless a tag has one itself."""
        control = self.text(name, label, hint)
        if not control.value.startswith("["):
            return control
        try:
            tags = TagList().items(control.value)
        except ValidationError:
            return control
        return replace(control, value=as_typed(tags))

    def _value(self, name: str) -> str:
        return self.parameters.get(name, "")

    def _control(
        self, name: str, label: str, kind: str, choices: Iterable[Any], values: list[str]
    ) -> Control:
        shown = [Choice(value, text, value in values) for value, text in choices]
        return Control(name, label, kind, self._value(name), shown, self.errors.get(name, []))
