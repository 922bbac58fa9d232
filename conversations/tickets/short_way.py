"""GET …/unread_count without the framework: the most frequent request."""

import re
from typing import Any

from conversations import unread
from projects import authentication, keys
from rest.json import dumps
from rest.short_ways import Answer, ShortWay


def _answer(environ: dict[str, Any], path: re.Match[str]) -> Answer | None:
    """Where an API key may see the count, and Redis has it: one round trip."""
    digest = authentication.bearer_digest(environ)
    asks_for_more = environ.get("QUERY_STRING") or "HTTP_IF_NONE_MATCH" in environ
    if digest is None or asks_for_more:
        return None
    cache_key = unread.cache_key(path[1])
    verdict = authentication.ask(environ, digest, [cache_key])
    api_key, seen = keys.known(digest, verdict), verdict.values.get(cache_key)
    if api_key is None or verdict.wait or seen is None:
        return None
    if path[1] != str(api_key.project_id) or not api_key.allows("ticket:read"):
        return None
    count = unread.count(api_key.project_id, seen=seen)
    return Answer(dumps({"count": count}), {"ETag": f'"{count}"', **verdict.headers()})


UNREAD_COUNT = ShortWay(
    "/api/projects/1/conversations/tickets/unread_count",
    re.compile(
        r"/api/(?:projects|environments)/([0-9]{1,18})/conversations/tickets/unread_count/?",
        re.ASCII,
    ),
    _answer,
)
