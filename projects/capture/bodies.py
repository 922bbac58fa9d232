"""Batches of events, packed in any of the ways in which posthog-js packs them.

JSON as it is; gzip, whatever the content type says; or a form whose field `data` is
JSON or its base64. Which of them it is shows in the body itself: the client names it
in the query or not, depending on its version.
"""

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from rest_framework.exceptions import ParseError

from rest.exceptions import RequestTooLarge

MAX_UNPACKED_BYTES = 4 * 1024 * 1024
MAX_EVENTS = 1000
# An empty list takes three bytes of a body, and thirty times as much of our memory.
_MAX_VALUES = 200_000
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Batch:
    """The events that are objects, and the project's public token where one is named."""

    token: str | None
    events: list[dict[str, Any]]


def read_batch(body: bytes, *, is_form: bool) -> Batch:
    """Raises ParseError and RequestTooLarge."""
    payload = _parse(_unpack(body, is_form))
    if isinstance(payload, list):
        events, token = payload, None
    elif isinstance(payload, dict):
        batch = payload.get("batch")
        events = batch if isinstance(batch, list) else [payload]
        token = token_of(payload)
    else:
        raise ParseError("The body is neither an event nor a list of events.")
    if len(events) > MAX_EVENTS:
        raise RequestTooLarge(f"The batch has more than {MAX_EVENTS} events.")
    events = [event for event in events if isinstance(event, dict)]
    return Batch(token or next(filter(None, map(token_of, events)), None), events)


def token_of(event: dict[str, Any]) -> str | None:
    """The public token that an event, or a body, names."""
    properties = event.get("properties")
    inner = properties.get("token") if isinstance(properties, dict) else None
    named = (event.get("api_key"), event.get("token"), inner)
    return next((token for token in named if isinstance(token, str) and token), None)


def _unpack(body: bytes, is_form: bool) -> bytes:
    if is_form or body.startswith(b"data="):
        body = _form_data(body)
    if body.startswith(_GZIP):
        return _unzip(body)
    if body.lstrip()[:1] in (b"{", b"["):
        return body
    body = _from_base64(body)
    return _unzip(body) if body.startswith(_GZIP) else body


def _form_data(body: bytes) -> bytes:
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, errors="strict", max_num_fields=10)
        return fields["data"][0].encode()
    except (ValueError, KeyError):
        raise ParseError("The body is not a form with a field data.") from None


def _unzip(body: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        unpacked = unzip.decompress(body, MAX_UNPACKED_BYTES + 1)
    except zlib.error:
        raise ParseError("The body is not gzip.") from None
    if len(unpacked) > MAX_UNPACKED_BYTES:
        raise RequestTooLarge("The body is larger than 4 MiB once it is unpacked.")
    if not unzip.eof:
        raise ParseError("The body ends before its end.")
    return unpacked


def _from_base64(body: bytes) -> bytes:
    # A form turns a plus into a space, unless the client has escaped it.
    body = body.strip().replace(b" ", b"+")
    try:
        return base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ParseError("The body is neither JSON, nor gzip, nor base64.") from None


def _parse(body: bytes) -> Any:
    """JSON as browsers write it, lone surrogates included: one bad event spoils no other.

    What can not be stored is left out with the claim, or the property, that it is in.
    """
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MAX_VALUES:
        raise RequestTooLarge("The body has too many values.")
    try:
        return json.loads(body.decode(), parse_int=_number)
    except (ValueError, RecursionError) as exc:
        raise ParseError(f"The body is not JSON: {exc}.") from None


def _number(digits: str) -> int | float:
    """As a JavaScript number, which it was: whole beyond 64 bits, a double."""
    # The time that longer ones take to convert is quadratic.
    number = int(digits) if len(digits) <= 20 else None
    return float(digits) if number is None or not -(2**63) <= number < 2**63 else number
