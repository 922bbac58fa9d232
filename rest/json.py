"""How values are written as JSON, and how JSON is stored."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import models


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, always with microseconds and `Z`."""
    moment = moment.astimezone(UTC)
    # In a third of the time that `isoformat` takes; but it leaves out microseconds of zero.
    text = orjson.dumps(moment, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return text if moment.microsecond else f"{text[:-1]}.000000Z"


def dumps(value: Any) -> bytes:
    return orjson.dumps(value, default=_encode, option=orjson.OPT_PASSTHROUGH_DATETIME)


def are_same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; to Python 1 and true are equal."""
    if isinstance(one, dict | list) and isinstance(other, dict | list):
        sort = orjson.OPT_SORT_KEYS
        return orjson.dumps(one, option=sort) == orjson.dumps(other, option=sort)
    return type(one) is type(other) and bool(one == other)


def differing(values: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that `stored` does not have, or has otherwise."""
    return {
        name: value
        for name, value in values.items()
        if name not in stored or not are_same(value, stored[name])
    }


def _encode(value: Any) -> str:
    if isinstance(value, datetime):
        return timestamp(value)
    return str(value)


_MAYBE_TOO_LARGE = re.compile("[0-9]{19}")


class JSONField(models.JSONField):
    """A jsonb column whose numbers survive.

    PostgreSQL writes 1e300 as an integer of 301 digits. What is beyond 64 bits was
    a float when it came, and is read as one again: no encoder takes such integers.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else loads(value)


def loads(stored: str) -> Any:
    """What the text of a jsonb value says."""
    if _MAYBE_TOO_LARGE.search(stored):
        return json.loads(stored, parse_int=_integer_or_float)
    return orjson.loads(stored)


def _integer_or_float(digits: str) -> int | float:
    number = int(digits) if len(digits) <= 20 else None
    return float(digits) if number is None or not -(2**63) <= number < 2**63 else number
