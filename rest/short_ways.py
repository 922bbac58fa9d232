"""Short ways: what is asked most is answered before the framework begins."""

import functools
import io
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from rest_framework.exceptions import APIException

from rest.bodies import WSGIApplication
from rest.paths import canonical_path
from rest.proxies import see_through_proxies
from rest.request_id import log_answer, loggable_path, named

logger = logging.getLogger(__name__)

# Longer ones are not remembered, but go the whole way.
_LONGEST_HOST, _LONGEST_ORIGIN = 255, 300


@dataclass(frozen=True)
class Answer:
    """The JSON of a 200, and the headers that only this endpoint gives it."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ShortWay:
    """Answers a GET whose path matches; or None, which sends it the whole way.

    `answer` gets the WSGI environment and the match. It writes nothing, and knows no rule of
    its own: whatever is the case but the plain one, a wrong key as much as a missing value, is
    left to the whole way, and so is what raises. `path` is one that matches: all others get the
    same headers. `methods` are those that the path has.
    """

    pattern: re.Pattern[str]
    answer: Callable[[dict[str, Any], re.Match[str]], Answer | None]
    path: str
    methods: str


def with_short_ways(application: WSGIApplication, ways: Sequence[ShortWay]) -> WSGIApplication:
    """The answer is that of the whole way, byte for byte, and so is its line in the access log."""

    def answered(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        way, match = _way(ways, environ)
        if way is None or match is None or not _is_for_us(environ):
            return application(environ, start_response)
        started = time.perf_counter()
        with named(environ) as request_id:
            see_through_proxies(environ)
            try:
                answer = way.answer(environ, match)
            except Exception as exc:
                # There it happens once more, and becomes the answer that clients know.
                answer = None
                if not isinstance(exc, APIException | DatabaseError):
                    logger.warning("A short way failed; the whole way answers", exc_info=True)
            if answer is not None:
                scheme, origin = environ["wsgi.url_scheme"], environ.get("HTTP_ORIGIN")
                usual = usual_headers(way.path, way.methods, scheme, origin)
                own = {
                    "Content-Length": str(len(answer.body)),
                    "X-Request-ID": request_id,
                    **answer.headers,
                }
                log_answer("GET", loggable_path(canonical_path(match[0])), 200, started)
                start_response("200 OK", [*usual, *own.items()])
                return [answer.body]
        return application(environ, start_response)

    return answered


def _way(
    ways: Sequence[ShortWay], environ: dict[str, Any]
) -> tuple[ShortWay | None, re.Match[str] | None]:
    if environ["REQUEST_METHOD"] == "GET":
        for way in ways:
            if match := way.pattern.fullmatch(environ["PATH_INFO"]):
                return way, match
    return None, None


def _is_for_us(environ: dict[str, Any]) -> bool:
    host, origin = environ.get("HTTP_HOST", ""), environ.get("HTTP_ORIGIN", "")
    if not 0 < len(host) <= _LONGEST_HOST or len(origin) > _LONGEST_ORIGIN:
        return False
    if environ.get("HTTP_COOKIE"):
        # The middlewares of sessions and forms look at theirs, and say so in the answer.
        return False
    return _is_allowed(host, tuple(settings.ALLOWED_HOSTS), settings.DEBUG)


@functools.lru_cache(maxsize=100)
def _is_allowed(host: str, *settings: Any) -> bool:
    """Whether Django takes requests to this host, under these settings."""
    request = HttpRequest()
    request.META["HTTP_HOST"] = host
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


@functools.lru_cache(maxsize=1000)
def usual_headers(
    path: str, methods: str, scheme: str, origin: str | None
) -> tuple[tuple[str, str], ...]:
    """What the endpoint and the middlewares around it give every answer, from them themselves."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
    }
    if origin is not None:
        environ["HTTP_ORIGIN"] = origin

    def bare_answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse(content_type="application/json", headers={"Allow": methods})

    whole: Any = bare_answer
    for middleware in (XFrameOptionsMiddleware, SecurityMiddleware, CorsMiddleware):
        whole = middleware(whole)
    return tuple(whole(WSGIRequest(environ)).items())
