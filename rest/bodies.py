"""Request bodies, whole or not at all, before the application begins."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]
CUT_OFF = "rest.body_cut_off"


def with_whole_bodies(application: WSGIApplication, *, limit: int) -> WSGIApplication:
    """Reads the body before the application opens a transaction, and gives it its length.

    A client that sends slowly would hold the locks of its request otherwise. Django
    takes a chunked body (RFC 9112, section 7.1), which has no length, for an empty one;
    WSGI (PEP 3333) does not know them, but servers pass them on. At most one byte more
    than `limit` is read: enough for the application to refuse the body.

    `CUT_OFF` in the environment says that the client went away in the middle. A server
    ends a broken chunked body as if it were complete, so an empty one counts as broken.
    """

    def read_whole(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        length = 0 if is_chunked else _length(environ)
        if is_chunked or length:
            wanted = limit + 1 if is_chunked else min(length, limit + 1)
            body = environ["wsgi.input"].read(wanted)
            environ[CUT_OFF] = not body if is_chunked else len(body) < wanted
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        return application(environ, start_response)

    return read_whole


def _length(environ: dict[str, Any]) -> int:
    length = environ.get("CONTENT_LENGTH") or ""
    return int(length) if length.isdecimal() else 0
