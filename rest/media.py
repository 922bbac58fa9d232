"""JSON as it comes in and goes out: strict when reading, fast when writing."""

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import (
    ErrorDetail,
    ParseError,
    UnsupportedMediaType,
    ValidationError,
)
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from rest.exceptions import RequestTooLarge
from rest.fields import MAX_LISTED
from rest.json import dumps

MAX_DEPTH = 32
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class AlwaysJSON(DefaultContentNegotiation):
    """Every answer is JSON, whatever Accept says: refusing to answer would help nobody."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class FastJSONRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        return b"" if data is None else dumps(data)


class StrictJSONParser(BaseParser):
    """Reads what RFC 8259 calls interoperable, and what our database can store.

    Refused, each with a message: more than 1 MiB, text that is not UTF-8, NaN and
    Infinity, names given twice in one object, more than 32 levels, integers beyond
    64 bits, numbers beyond IEEE doubles, NUL and lone surrogates in any string.
    """

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        _refuse_encodings(parser_context["request"].META if parser_context else {})
        body = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(body) > settings.MAX_BODY_BYTES:
            raise RequestTooLarge()
        try:
            text = codecs.decode(body, "utf-8")
            value = json.loads(
                text,
                parse_constant=_refuse_constant,
                parse_int=_integer,
                parse_float=_number,
                object_pairs_hook=_object,
            )
        except RecursionError:
            raise ParseError(f"JSON is nested deeper than {MAX_DEPTH} levels.") from None
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        except ValueError as exc:
            raise ParseError(f"The body is not JSON: {exc}.") from None
        _check_strings(value)
        return value


def _refuse_encodings(headers: dict[str, Any]) -> None:
    """Raises UnsupportedMediaType for a body that says it is packed (RFC 9110, section 15.5.16).

    What its sender takes for gzip may happen to be JSON, and would be read as something else.
    """
    named = (
        f"{headers.get('HTTP_CONTENT_ENCODING', '')},{headers.get('HTTP_TRANSFER_ENCODING', '')}"
    )
    for name in named.split(","):
        if name.strip().lower() not in ("", "identity", "chunked"):
            detail = "The body must not be compressed or otherwise encoded."
            raise UnsupportedMediaType(name.strip(), detail)


def _refuse_constant(name: str) -> NoReturn:
    raise ParseError(f"The body is not JSON: {name} is not a JSON number.")


def _integer(digits: str) -> int:
    # Longer ones are not converted at all: the time that takes is quadratic.
    number = int(digits) if len(digits) <= 20 else None
    if number is None or not -(2**63) <= number < 2**63:
        raise ParseError("A number in the body is beyond 64-bit integers.")
    return number


def _number(digits: str) -> float | int:
    number = float(digits)
    if math.isinf(number):
        raise ParseError("A number in the body is beyond IEEE doubles.")
    # As PostgreSQL gives it back: without a sign of zero, and whole where it is that large.
    # The answer to a write would differ from the next one otherwise.
    if 1e16 <= abs(number) < 2**63:
        return int(number)
    return number or 0.0


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, times = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ParseError(f"The body names {twice[:200]!r} {times} times in one object.")
    return found


def is_storable(text: str) -> bool:
    """Whether PostgreSQL can hold the text: it has neither NUL nor lone surrogates."""
    return not _UNSTORABLE.search(text)


def _check_strings(value: Any) -> None:
    failures: dict[str, list[ErrorDetail]] = {}
    for place, depth, text in _walk(value):
        if depth > MAX_DEPTH:
            raise ParseError(f"JSON is nested deeper than {MAX_DEPTH} levels.")
        if text is not None and not is_storable(text) and len(failures) < MAX_LISTED:
            detail = ErrorDetail("Text must not hold NUL or lone surrogates.", "invalid_input")
            failures[_printable(place) or "non_field_errors"] = [detail]
    if failures:
        raise ValidationError(failures)


# A name or an index, after the place of what it is in.
Place = tuple["Place | None", str | int]


def _printable(place: Place | None) -> str:
    names: list[str] = []
    while place is not None:
        place, name = place
        names.append(str(name)[:200])
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", "__".join(reversed(names)))[:200]


def _walk(value: Any) -> Iterator[tuple[Place | None, int, str | None]]:
    """Every container with its depth, every string (names too) with its place.

    What is remembered grows with the depth alone. A path as text for each would take a long
    name times as many entries.
    """
    waiting: list[tuple[Place | None, Iterator[tuple[str | int | None, Any]]]]
    waiting = [(None, iter([(None, value)]))]
    while waiting:
        around, items = waiting[-1]
        for name, item in items:
            place = None if name is None else (around, name)
            if isinstance(item, str):
                yield place, len(waiting) - 1, item
            elif isinstance(item, dict | list):
                yield place, len(waiting), None
                if isinstance(item, dict):
                    for inner in item:
                        yield (place, inner), len(waiting), inner
                entries = item.items() if isinstance(item, dict) else enumerate(item)
                waiting.append((place, iter(entries)))
                break
        else:
            waiting.pop()
