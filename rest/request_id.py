"""A name for each request: on the answer, in every log line, in error bodies."""

import contextlib
import functools
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLResolver, get_resolver

_request_id: ContextVar[str] = ContextVar("request_id", default="-")
_ACCEPTED = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ID = re.compile(r"@current|[0-9]{1,19}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Longer than any path of ours; a stranger's may have a thousand times as many characters.
_MAX_LOGGED = 300
_access = logging.getLogger("access")


def current_request_id() -> str:
    return _request_id.get()


def name_request(request_id: str) -> None:
    """Gives what this task logs from now on the id of the request that it serves."""
    _request_id.set(request_id)


class RequestIDFilter(logging.Filter):
    """Gives each log record the id of the request during which it was written."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id()
        return True


class PathFilter(logging.Filter):
    """Gives Django's lines about a request its path as the access log has it.

    The path is the last of what they have to say; the request itself, which JSON would
    show with its query, is left out.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        request = vars(record).pop("request", None)
        if request is not None and record.args and isinstance(record.args, tuple):
            record.args = (*record.args[:-1], _path_of(request))
        return True


class RequestIDMiddleware:
    """Takes `X-Request-ID` when it is well formed, makes one otherwise; logs each request once.

    The log line has the path of API requests, as far as it consists of words of routes,
    numbers and UUIDs, and the route of all others; never the query or the body: those
    hold addresses, names and one-time tokens.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        with named(request.META) as request_id:
            response = self.get_response(request)
            response.headers["X-Request-ID"] = request_id
            path = _path_of(request)
            log_answer(str(request.method)[:20], path, response.status_code, started)
            return response


@contextlib.contextmanager
def named(environ: dict[str, Any]) -> Iterator[str]:
    """Gives what is logged meanwhile the request's id, and the environment, too.

    So whoever names the request once more finds the same.
    """
    given = environ.get("HTTP_X_REQUEST_ID", "")
    request_id = given if _ACCEPTED.fullmatch(given) else uuid.uuid4().hex
    environ["HTTP_X_REQUEST_ID"] = request_id
    token = _request_id.set(request_id)
    try:
        yield request_id
    finally:
        _request_id.reset(token)


def log_answer(method: str, path: str, status: int, started: float) -> None:
    """The line of the access log; `started` is of the clock that counts performance."""
    duration_ms = round((time.perf_counter() - started) * 1000, 2)
    _access.info("%s %s %d", method, path, status, extra={"duration_ms": duration_ms})


def loggable_path(path: str) -> str:
    """A path under /api/, without what is neither a word of a route nor an id.

    Somebody may have put a key, an address or a line break where it does not belong.
    """
    words = _words(settings.ROOT_URLCONF)
    parts = path[:_MAX_LOGGED].split("/")
    return "/".join(part if part in words or _ID.fullmatch(part) else "..." for part in parts)


def _path_of(request: HttpRequest) -> str:
    if request.path_info.startswith("/api/"):
        return loggable_path(request.path_info)
    if request.path_info in ("/livez", "/readyz"):
        return request.path_info
    match = request.resolver_match
    return f"/{match.route}" if match else "(no route)"


@functools.cache
def _words(urlconf: str) -> frozenset[str]:
    """What stands between the slashes of the routes."""
    return frozenset(_words_below(get_resolver(urlconf)))


def _words_below(resolver: URLResolver) -> Iterator[str]:
    for entry in resolver.url_patterns:
        yield from str(entry.pattern).split("/")
        if isinstance(entry, URLResolver):
            yield from _words_below(entry)
