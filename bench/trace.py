"""What a request asks of PostgreSQL: the service's application, called in this process.

Import it after `django.setup()`.
"""

import io
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from django.db import connection

from bench.load import LoadError
from bench.rounds import Target, Trace
from config.wsgi import application

_TIMES = 4


def trace(target: Target) -> Trace:
    """Of a request that finds everything warm; medians of a few."""
    # The requests of this process are nobody's.
    logging.disable(logging.INFO)
    traces = [_once(target, number) for number in range(_TIMES)][1:]
    return Trace(
        statements=round(statistics.median(one.statements for one in traces)),
        seconds=statistics.median(one.seconds for one in traces),
    )


def _once(target: Target, number: int) -> Trace:
    if target.before:
        target.before()
    times: list[float] = []

    def clocked(execute: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            times.append(time.perf_counter() - begun)

    statuses: list[str] = []
    request = target.requests[number % len(target.requests)]
    with connection.execute_wrapper(clocked):
        answer = application(_environ(request), lambda status, *_: statuses.append(status))
        b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
    if not statuses[0].startswith(str(target.status)):
        raise LoadError(f"{request[:200]!r} was answered with {statuses[0]}.")
    return Trace(len(times), sum(times))


def _environ(request: bytes) -> dict[str, Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for line in fields:
        name, value = line.split(": ", 1)
        key = name.upper().replace("-", "_")
        environ[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value
    return environ
