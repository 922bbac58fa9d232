"""GET …/widget/messages/{ticket_id} without the framework, while nothing is new.

Every open widget asks that every few seconds, for ever.
"""

import functools
import re
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from conversations.widget import polls
from conversations.widget.access import Caller, digest_of_credentials, is_among, origin_of
from conversations.widget.polls import News
from conversations.widget.serializers import PollQuery, news_json
from projects import tokens
from rest import limits
from rest.json import dumps
from rest.short_ways import Answer, ShortWay

_LONGEST_QUERY = 500


def _answer(environ: dict[str, Any], path: re.Match[str]) -> Answer | None:
    """Where a browser's session opens the ticket, and Redis knows how it stands: one round trip."""
    given = _read(environ.get("QUERY_STRING", ""))
    token = environ.get("HTTP_X_CONVERSATIONS_TOKEN")
    if not token or given is None:
        return None
    known, standing_key = tokens.cache_key(token), polls.cache_key(path[1])
    counted = polls.limits_of(digest_of_credentials(token, given))
    verdict = limits.once(environ, lambda: limits.take(counted, reading=[known, standing_key]))
    token_record, standing_record = verdict.values.get(known), verdict.values.get(standing_key)
    if token_record is None or standing_record is None or verdict.wait:
        return None
    project, ticket_id = tokens.look_up(token, token_record), UUID(path[1])
    standing = polls.standing(ticket_id, standing_record)
    assert project is not None
    assert standing is not None
    query = _validated(given)
    caller = Caller(session_id=query["widget_session_id"], identity=None, distinct_ids=frozenset())
    if (
        project.conversations_enabled
        and (not project.widget_domains or is_among(origin_of(environ), project))
        and standing.project_id == project.id
        and caller.opens(standing.lock)
        and standing.has_nothing_after(query.get("after"))
    ):
        news = News(standing.status, standing.unread, [], has_more=False)
        return Answer(dumps(news_json(ticket_id, news)))
    return None


def _read(query: str) -> dict[str, str] | None:
    """The parameters, if they are those of a browser's session and easy to read."""
    if len(query) > _LONGEST_QUERY or not query.isascii():
        return None
    given = dict(parse_qsl(query, keep_blank_values=True))
    if "widget_session_id" not in given or given.keys() & {"identity_distinct_id", "identity_hash"}:
        return None
    return given


def _validated(given: dict[str, str]) -> dict[str, Any]:
    """The parameters as the endpoint reads them; raises for one that it would refuse."""
    fields = _fields()
    return {name: fields[name].run_validation(given[name]) for name in fields.keys() & given.keys()}


@functools.cache
def _fields() -> dict[str, Any]:
    return dict(PollQuery().fields)


IDLE_POLL = ShortWay(
    re.compile(
        r"/api/conversations/v1/widget/messages/"
        r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/?"
    ),
    _answer,
    path="/api/conversations/v1/widget/messages/00000000-0000-0000-0000-000000000000",
    methods="GET, HEAD",
)
