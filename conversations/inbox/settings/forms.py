"""Forms of the settings: what the API takes, as controls of a page, and what was typed as JSON."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import APIException

from rest.json import differing
from rest.media import StrictJSONParser

_BETWEEN = re.compile(r"[,\s]+")


@dataclass(frozen=True)
class Field:
    """A control: `kind` is text, area, check, select, boxes (several of) or lines (a list)."""

    name: str
    label: str
    kind: str = "text"
    help: str = ""
    choices: Sequence[tuple[str, str]] = ()
    max_length: int | None = None
    placeholder: str = ""
    required: bool = False
    value: Any = None
    errors: Sequence[str] = ()

    def read(self, form: QueryDict) -> Any:
        """What the form says, as JSON."""
        if self.kind == "check":
            return self.name in form
        if self.kind == "boxes":
            return form.getlist(self.name)
        text = form.get(self.name, "").replace("\r\n", "\n")
        if self.kind == "lines":
            return [entry for entry in _BETWEEN.split(text) if entry]
        return text

    @property
    def text(self) -> str:
        """As it stands in the control."""
        if self.kind == "lines":
            return "\n".join(self.value or [])
        return "" if self.value is None else str(self.value)

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        chosen = self.value if self.kind == "boxes" else [self.text]
        return [(value, label, value in (chosen or [])) for value, label in self.choices]


def shown(
    fields: Iterable[Field], values: Mapping[str, Any], errors: Mapping[str, Sequence[str]]
) -> list[Field]:
    """The controls with what is in them, and what is wrong with it beside it."""
    return [
        replace(field, value=values.get(field.name, field.value), errors=errors.get(field.name, ()))
        for field in fields
    ]


def typed(fields: Iterable[Field], form: QueryDict) -> dict[str, Any]:
    return {field.name: field.read(form) for field in fields}


def as_shown(fields: Iterable[Field], values: Mapping[str, Any]) -> str:
    """What a form has at first, to be sent along with it; see `changed`."""
    return json.dumps({field.name: values[field.name] for field in fields})


def changed(entered: dict[str, Any], form: QueryDict) -> dict[str, Any]:
    """What somebody has changed in a form: the rest may have been changed by others since it was
    shown, and is not put back."""
    try:
        was = StrictJSONParser().parse(io.BytesIO(form.get("was", "").encode()))
    except APIException:
        was = None
    return differing(entered, was) if isinstance(was, dict) else entered


def validated(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    """Raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
