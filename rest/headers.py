"""Headers without what would cost or break the framework, before it looks at them.

Django parses Content-Type and Cookie where no handler of errors is in reach, and in time that
grows with the square of their length: 60 KiB of either took seconds.
"""

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

from rest.bodies import WSGIApplication

MAX_COOKIE_BYTES = 8 * 1024
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}", re.ASCII)
# RFC 2046, section 5.1.1.
_BOUNDARY = re.compile(r"""\s*boundary="?([\w'()+,./:=? -]{0,69}[\w'()+,./:=?-])"?\s*""", re.ASCII)
_NEITHER = "application/octet-stream"


def harmless_content_type(given: str) -> str:
    """The media type, and the boundary of a form with files.

    All other parameters are left out: JSON has none, and what we take is UTF-8. What is no
    media type becomes one that no route takes.
    """
    media_type, _, parameters = given.partition(";")
    media_type = media_type.strip()
    if not _MEDIA_TYPE.fullmatch(media_type):
        return _NEITHER if given.strip() else ""
    boundary = _BOUNDARY.fullmatch(parameters) if len(parameters) < 200 else None
    return f'{media_type}; boundary="{boundary[1]}"' if boundary else media_type


def harmless_cookie(given: str) -> str:
    """The cookies; none where they are more than a session and a CSRF token could be."""
    return given if len(given) <= MAX_COOKIE_BYTES else ""


def harmless_scope(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """The same for an ASGI request without a body, whose type is nobody's matter."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    # There may be several, which Django joins.
    if sum(len(value) for name, value in headers if name == b"cookie") > MAX_COOKIE_BYTES:
        headers = [(name, value) for name, value in headers if name != b"cookie"]
    return {**scope, "headers": headers}


def with_harmless_headers(application: WSGIApplication) -> WSGIApplication:
    def guarded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "CONTENT_TYPE" in environ:
            environ["CONTENT_TYPE"] = harmless_content_type(environ["CONTENT_TYPE"])
        if "HTTP_COOKIE" in environ:
            environ["HTTP_COOKIE"] = harmless_cookie(environ["HTTP_COOKIE"])
        return application(environ, start_response)

    return guarded
