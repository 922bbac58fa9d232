"""GET …/unread_count and GET of one ticket without the framework: what is asked most."""

import re
from typing import Any

from django.db import close_old_connections

from conversations import unread
from conversations.tickets.finding import find_to_show
from conversations.tickets.serializers import with_customers
from projects import authentication, keys
from projects.keys import KeyRecord
from rest import conditional
from rest.json import dumps
from rest.limits import Verdict
from rest.short_ways import Answer, ShortWay

_TICKETS = r"/api/(?:projects|environments)/([0-9]{1,18})/conversations/tickets"


def _unread_count(environ: dict[str, Any], path: re.Match[str]) -> Answer | None:
    """Where an API key may see the count, and Redis has it: one round trip."""
    cache_key = unread.cache_key(path[1])
    api_key, verdict = _reader(environ, path[1], [cache_key])
    seen = verdict.values.get(cache_key)
    if api_key is None or seen is None:
        return None
    count = unread.count(api_key.project_id, seen=seen)
    return Answer(dumps({"count": count}), {"ETag": f'"{count}"', **verdict.headers()})


def _retrieve(environ: dict[str, Any], path: re.Match[str]) -> Answer | None:
    """Where an API key may see the ticket, and the team has read it all: one query more."""
    api_key, verdict = _reader(environ, path[1], [])
    if api_key is None:
        return None
    # As before each request, so that a connection that is gone is found out.
    close_old_connections()
    ticket = find_to_show(environ, api_key.project_id, path[2])
    if ticket.unread_team_count:
        return None
    body = dumps(with_customers(api_key.project_id, [ticket])[0])
    return Answer(body, {"ETag": conditional.etag_of(ticket.version, body), **verdict.headers()})


def _reader(
    environ: dict[str, Any], project_id: str, also: list[str]
) -> tuple[KeyRecord | None, Verdict]:
    """The key, where Redis knows it and it may read this project's tickets now.

    None as well where more is asked than that: by a query, or about a version.
    """
    digest = authentication.bearer_digest(environ)
    if digest is None or environ.get("QUERY_STRING") or "HTTP_IF_NONE_MATCH" in environ:
        return None, Verdict(0, {})
    verdict = authentication.ask(environ, digest, also)
    api_key = keys.known(digest, verdict)
    if api_key is None or verdict.wait or project_id != str(api_key.project_id):
        return None, verdict
    return (api_key if api_key.allows("ticket:read") else None), verdict


UNREAD_COUNT = ShortWay(
    re.compile(rf"{_TICKETS}/unread_count/?", re.ASCII),
    _unread_count,
    path="/api/projects/1/conversations/tickets/unread_count",
    methods="GET, HEAD",
)
RETRIEVE = ShortWay(
    re.compile(rf"{_TICKETS}/([0-9]{{1,9}}|[0-9a-fA-F-]{{36}})/?", re.ASCII),
    _retrieve,
    path="/api/projects/1/conversations/tickets/1",
    methods="GET, HEAD, PUT, PATCH, DELETE",
)
