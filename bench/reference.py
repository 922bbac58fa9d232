"""What the service is measured against: bare WSGI functions under the same web server.

`python -m bench.reference` serves them on PORT.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import redis

from config.serve import serve

_REDIS_KEY = "bench:count"

_redis = redis.Redis.from_url(os.environ["REDIS_URL"])


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    """`/` costs one GET of Redis; `/constant` nothing: it shows how fast the load can be."""
    count: Any = b"0" if environ["PATH_INFO"] == "/constant" else _redis.get(_REDIS_KEY)
    body = b'{"count":%s}' % count
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]


def main() -> None:
    _redis.set(_REDIS_KEY, 17)
    # Its connection stays with this process: a worker that inherited it would share it.
    _redis.close()
    serve("bench.reference:application")


if __name__ == "__main__":
    main()
