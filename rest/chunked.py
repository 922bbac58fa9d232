"""Request bodies that come in chunks, without a length (RFC 9112, section 7.1)."""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

WSGIApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


def with_chunked_bodies(application: WSGIApplication, *, limit: int) -> WSGIApplication:
    """Gives a chunked body the length that Django wants; it would take it for empty otherwise.

    WSGI (PEP 3333) has no chunked bodies, but servers pass them on. At most one byte
    more than `limit` is read: enough for the application to refuse the body.
    """

    def read_whole(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            body = environ["wsgi.input"].read(limit + 1)
            environ["wsgi.input"] = BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        return application(environ, start_response)

    return read_whole
