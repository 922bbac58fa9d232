"""Conditional requests (RFC 9110, section 13): what a client has, and what it means to change."""

import hashlib
import re
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from rest.exceptions import PreconditionFailed
from rest.json import dumps

_TAGS = re.compile(r'\s*(?:(W/)?"([\x21\x23-\x7e]*)"\s*(?:,|$))')


def etag(version: int, body: Any) -> str:
    """A strong tag: the version that a change moves, and a digest of all that is shown."""
    return etag_of(version, dumps(body))


def etag_of(version: int, content: bytes) -> str:
    """The same of a body that is written out already."""
    return f'"{version}.{hashlib.sha256(content).hexdigest()[:20]}"'


def answer(
    request: Request,
    body: Any,
    tag: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    """The body under its tag; to a client that reads and has it already, a 304 without it."""
    if request.method in ("GET", "HEAD") and _has_already(request, tag):
        return Response(status=304, headers={"ETag": tag})
    return Response(body, status=status, headers={**(headers or {}), "ETag": tag})


def _has_already(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this tag.

    Compared weakly, as section 13.1.2 says: a proxy that compresses may have weakened it.
    """
    given = request.META.get("HTTP_IF_NONE_MATCH")
    if given is None:
        return False
    return given.strip() == "*" or tag.strip('"') in [name for _, name in _tags(given)]


def check_version(request: Request, version: int) -> None:
    """Raises PreconditionFailed if If-Match names other versions than this one.

    Of a tag only the part before the dot counts: what else the answer showed may have
    changed without anybody having changed the object. Compared strongly, as section
    13.1.1 says.
    """
    given = request.META.get("HTTP_IF_MATCH")
    if given is None or given.strip() == "*":
        return
    versions = [name.partition(".")[0] for is_weak, name in _tags(given) if not is_weak]
    if str(version) not in versions:
        raise PreconditionFailed()


def _tags(header: str) -> list[tuple[bool, str]]:
    """Each tag with whether it is weak; none of a header that is not a list of tags."""
    found, place = [], 0
    while place < len(header):
        tag = _TAGS.match(header, place)
        if tag is None:
            return []
        found.append((bool(tag[1]), tag[2]))
        place = tag.end()
    return found
