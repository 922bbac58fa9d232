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
from rest.json import dumps

MAX_DEPTH = 32
_MAX_LISTED = 100
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
    for path, depth, text in _walk(value):
        if depth > MAX_DEPTH:
            raise ParseError(f"JSON is nested deeper than {MAX_DEPTH} levels.")
        if text is not None and not is_storable(text) and len(failures) < _MAX_LISTED:
            detail = ErrorDetail("Text must not hold NUL or lone surrogates.", "invalid_input")
            failures[_printable(path) or "non_field_errors"] = [detail]
    if failures:
        raise ValidationError(failures)


def _printable(path: str) -> str:
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", path)[:200]


def _walk(value: Any) -> Iterator[tuple[str, int, str | None]]:
    """Every container with its depth, every string (names too) with its path."""
    waiting: list[tuple[str, int, Any]] = [("", 1, value)]
    while waiting:
        path, depth, value = waiting.pop()
        if isinstance(value, str):
            yield path, depth - 1, value
        elif isinstance(value, dict | list):
            yield path, depth, None
            if isinstance(value, dict):
                for name in value:
                    yield f"{path}__{name}" if path else name, depth, name
            items = value.items() if isinstance(value, dict) else enumerate(value)
            prefix = f"{path}__" if path else ""
            waiting.extend((f"{prefix}{name}", depth + 1, item) for name, item in items)
