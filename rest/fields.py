"""Serializer fields that take a value as what it is, and refuse what merely resembles it."""

import copy
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework import serializers
from rest_framework.fields import empty

from rest.json import timestamp

UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
MAX_LISTED = 100
_MAX_NAME = 200


def unknown_names(names: Iterable[str], detail: str, code: str) -> dict[str, Any]:
    """A failure for each of the names, of the first 100 alone and with the names cut to 200.

    A body of a mebibyte holds so many, or so long ones, that naming all costs seconds.
    """
    failure = [serializers.ErrorDetail(detail, code)]
    return {name[:_MAX_NAME]: failure for name in islice(names, MAX_LISTED)}


def _copied(field: serializers.Field[Any, Any, Any, Any]) -> Any:
    """The field, to be bound to a serializer. What it was declared with nobody changes."""
    if hasattr(field, "child") or isinstance(field, serializers.BaseSerializer):
        # Others are bound to it.
        return copy.deepcopy(field)
    copied = object.__new__(type(field))
    vars(copied).update(vars(field))
    return copied


class StrictObject(serializers.Serializer[Any]):
    """An object that refuses fields it does not have, by name.

    `ignored` names what a client may send back because it was in an answer, of
    ours or of PostHog's; a name ending in `*` stands for all that begin so.
    Read-only fields are ignored as well.
    """

    ignored: tuple[str, ...] = ()
    unknown_code = "unknown_field"
    unknown_detail = "There is no such field."

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Copies of the declared fields, which the framework would make anew for each request."""
        return {name: _copied(field) for name, field in self._declared_fields.items()}

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {}
        if isinstance(data, dict):
            unknown = (
                name for name in data if name not in self.fields and not self._is_ignored(name)
            )
            errors = unknown_names(unknown, self.unknown_detail, self.unknown_code)
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as exc:
            raise serializers.ValidationError({**exc.detail, **errors}) from exc  # type: ignore[dict-item]  # (of a serializer it is a dict)
        if errors:
            raise serializers.ValidationError(errors)
        return value

    def _is_ignored(self, name: str) -> bool:
        return any(
            name.startswith(entry[:-1]) if entry.endswith("*") else name == entry
            for entry in self.ignored
        )


class QueryParameters(StrictObject):
    """The query of a request: each parameter at most once, none that does not exist."""

    unknown_code = "unknown_parameter"
    unknown_detail = "There is no such parameter."

    def get_fields(self) -> dict[str, Any]:
        """Of those that are declared the ones that matter to what is to be read: a request
        gives two or three of thirty, and each is copied for it."""
        if not hasattr(self, "initial_data"):
            return super().get_fields()
        return {
            name: _copied(field)
            for name, field in self._declared_fields.items()
            if name in self.initial_data or field.required or field.default is not empty
        }


class Text(serializers.CharField):
    """A JSON string; a number or a boolean is not one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Identifier(serializers.UUIDField):
    """A UUID as 36 characters; the framework also takes numbers and URNs for one."""

    def to_internal_value(self, data: Any) -> UUID:
        if not isinstance(data, str) or not UUID_FORM.fullmatch(data):
            self.fail("invalid", value=data)
        return UUID(data)


class Flag(serializers.BooleanField):
    """A JSON boolean; 1 and "yes" are not."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class QueryFlag(serializers.ChoiceField):
    """`true` or `false` in a query."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=["true", "false"], **kwargs)

    def to_internal_value(self, data: Any) -> bool:  # type: ignore[override]  # (a flag, of a field of texts)
        return bool(super().to_internal_value(data) == "true")


class QueryInteger(serializers.IntegerField):
    """ASCII digits in a query; Python's own reading takes `1_000` and `٣` too."""

    def __init__(self, *, max_value: int = 2**63 - 1, **kwargs: Any) -> None:
        super().__init__(max_value=max_value, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str) or not _WHOLE_NUMBER.fullmatch(data):
            self.fail("invalid")
        return int(data)


class BoundedList(serializers.ListField):
    """At most `max_length` entries, counted before any is looked at.

    The framework looks at all of them first, and of very many each may be a failure to list.
    """

    max_length: int

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.max_length:
            message = self.error_messages["max_length"].format(max_length=self.max_length)
            raise serializers.ValidationError(message, "max_length")
        return super().to_internal_value(data)


class CommaList(serializers.Field[Any, Any, Any, Any]):
    """Values separated by commas, each read by `child`; at most `max_items`."""

    default_error_messages = {
        "empty": "The list has an empty entry.",
        "too_many": "At most {max_items} values are taken.",
    }

    def __init__(
        self, child: serializers.Field[Any, Any, Any, Any], *, max_items: int = 100, **kwargs: Any
    ) -> None:
        super().__init__(required=False, **kwargs)
        self.child = child
        self.child.bind(field_name="", parent=self)  # type: ignore[arg-type]  # (as the framework binds the child of a list)
        self.max_items = max_items

    def items(self, data: str) -> list[str]:
        return [item.strip() for item in data.split(",")]

    def to_internal_value(self, data: str) -> list[Any]:
        items = self.items(data)
        if "" in items:
            self.fail("empty")
        if len(items) > self.max_items:
            self.fail("too_many", max_items=self.max_items)
        values: list[Any] = []
        failures: list[Any] = []
        for item in items:
            try:
                values.append(self.child.run_validation(item))
            except serializers.ValidationError as exc:
                failures.extend(exc.detail)
        if failures:
            raise serializers.ValidationError(failures)
        return values


class Moment(serializers.DateTimeField):
    """A point in time: in, ISO 8601 (naive values are UTC); out, UTC with microseconds and Z.

    On a page naive values are of the zone that is current there.
    """

    default_error_messages = {"left_out": "The clocks of {zone} leave this time out."}

    def to_internal_value(self, data: Any) -> datetime:
        # Not all digits are ASCII, and the framework reads all of them.
        if not isinstance(data, str) or not data.isascii():
            self.fail("invalid", format="ISO 8601")
        moment: datetime = super().to_internal_value(data)
        return moment

    def enforce_timezone(self, value: datetime) -> datetime:
        """In UTC; of a time that the clock shows twice it is the first."""
        zone = value.tzinfo or timezone.get_current_timezone()
        try:
            moment = value.replace(tzinfo=zone).astimezone(UTC)
            is_there = moment.astimezone(zone).replace(tzinfo=None) == value.replace(tzinfo=None)
        except OverflowError:
            self.fail("overflow")
        if not is_there:
            self.fail("left_out", zone=zone)
        return moment

    def to_representation(self, value: Any) -> Any:
        return None if value is None else timestamp(value)
