"""What happened in a project, one event after the other, to be followed.

Ids and positions are given out before the commit, so that of two transactions the later
one may become visible first. A reader who resumed behind it would never see the other.
So events are read in the order of their transactions, and only as far as all of those
are through: nothing can appear before a place that was read.

What happened to one ticket comes in the order in which it happened: an event that had
to wait for the ticket's lock is never read before the one that it waited for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from conversations.events.models import Event


class UnknownEvent(Exception):
    """There is no such event in this project."""


class NoLongerKept(Exception):
    """The event is older than what is kept: what followed it may be gone as well."""


# Transaction and position. A place outlives the event that stood there.
Place = tuple[int, int]
BEFORE_ALL: Place = (0, 0)


def after(project_id: int, event_id: UUID | None, limit: int, max_bytes: int) -> Sequence[Event]:
    """The events that follow this one, or all that are kept, the oldest first.

    So many, and no more than about so many bytes of JSON; one at least, if there is one.

    Whoever asks again and again after the last that they got, and after the same where
    they got none, sees each event once. It appears when every transaction that was
    running at its commit has ended. Raises UnknownEvent and NoLongerKept.
    """
    place = BEFORE_ALL if event_id is None else place_of(project_id, event_id)
    events, _ = _following(_VISIBLE, project_id, place, limit, max_bytes)
    return events


def place_of(project_id: int, event_id: UUID) -> Place:
    """Where an event stands. Raises UnknownEvent and NoLongerKept.

    One that is old is not kept even while its row is there, as it is for a delivery that
    is still to be made: those behind it may be gone.
    """
    event = Event.objects.filter(project_id=project_id, pk=event_id)
    found = event.values_list("xid", "position", "created_at").first()
    if (found[2] if found else _time_of(event_id)) < _kept_since():
        raise NoLongerKept(NoLongerKept.__doc__)
    if found is None:
        raise UnknownEvent(UnknownEvent.__doc__)
    return found[0], found[1]


def _kept_since() -> datetime:
    return timezone.now() - timedelta(days=settings.EVENT_RETENTION)


def _time_of(event_id: UUID) -> datetime:
    """When an id of version 7 was made, to the millisecond; what is none is of no time."""
    if event_id.version != 7:
        return datetime.max.replace(tzinfo=UTC)
    # Beyond the year 9999 Python has no dates; 48 bits of milliseconds go on to 10889.
    return datetime.fromtimestamp(min(event_id.int >> 80, 253_402_300_799_000) / 1000, UTC)


# --- For who stays, and looks again and again --------------------------------


@dataclass(frozen=True)
class Page:
    """Some events, and the place to go on from.

    `is_last` when there was nothing more to be seen; `is_waiting` when more is committed
    already, and appears as soon as the transactions that run beside it have ended.
    """

    events: Sequence[Event]
    place: Place
    is_last: bool
    is_waiting: bool


def now() -> Place:
    """Behind all that can be seen, and before all that appears from now on."""
    return _horizon(), 0


def read(project_id: int, place: Place, limit: int, max_bytes: int) -> Page:
    """What follows a place, which need not be that of an event that is kept.

    No more than so many bytes of JSON, about, but for a single event that is larger.
    """
    # Asked first: what was through then is seen by a statement that begins now.
    horizon = _horizon()
    rows, is_cut = _following(_COMMITTED, project_id, place, limit, max_bytes)
    events = [event for event in rows if event.xid < horizon]
    is_last = len(events) < limit and not (is_cut and len(events) == len(rows))
    behind = events[-1].place if events else place
    return Page(
        events,
        place=max(behind, (horizon, 0)) if is_last else behind,
        is_last=is_last,
        is_waiting=len(events) < len(rows),
    )


def _following(
    query: str, project_id: int, place: Place, limit: int, max_bytes: int
) -> tuple[list[Event], bool]:
    """A page of events, and whether the next one was left out for its size."""
    xid, position = place
    values = {
        "project_id": project_id,
        "xid": str(xid),
        "position": position,
        "limit": limit,
        "max_bytes": max_bytes,
        "kept_since": _kept_since(),
    }
    rows: list[Any] = list(Event.objects.raw(query, values))
    fitting = [row for row in rows if row.number == 1 or row.size <= max_bytes]
    return fitting, bool(rows) and rows[-1].size > max_bytes


# From event to event by the index, until one does not fit: what is not shown is not read, and
# how large an event is, PostgreSQL can tell only by unpacking it. That last one comes without
# its contents.
_PAGE = """
WITH RECURSIVE page AS (
    SELECT 0 AS number, 0::bigint AS size, NULL::uuid AS id,
        %(xid)s::xid8 AS xid, %(position)s::bigint AS position
    UNION ALL
    SELECT number + 1, page.size + next.size, next.id, next.xid, next.position
    FROM page CROSS JOIN LATERAL (
        SELECT id, xid, position,
            octet_length(actor::text) + octet_length(changes::text)
                + coalesce(octet_length(object::text), 4) AS size
        FROM conversations_event
        WHERE project_id = %(project_id)s AND (xid, position) > (page.xid, page.position)
            AND created_at >= %(kept_since)s{only}
        ORDER BY xid, position LIMIT 1
    ) AS next
    WHERE number < %(limit)s AND page.size <= %(max_bytes)s
)
SELECT event.id, event.project_id, ticket_id, ticket_number, type, created_at, event.xid,
    event.position, number, size, {contents}
FROM page JOIN conversations_event AS event ON event.id = page.id
ORDER BY number
"""
# Without the contents of one that was left out.
_CONTENTS = ", ".join(
    f"CASE WHEN number = 1 OR size <= %(max_bytes)s THEN {name} END AS {name}"
    for name in ("actor", "changes", "object")
)
_COMMITTED = _PAGE.format(only="", contents=_CONTENTS)
_VISIBLE = _PAGE.format(
    only=" AND xid < pg_snapshot_xmin(pg_current_snapshot())", contents=_CONTENTS
)


def with_news(places: Mapping[int, Place]) -> set[int]:
    """The projects in which something was committed behind the place given for each."""
    with connection.cursor() as cursor:
        cursor.execute(
            _WITH_NEWS,
            [
                list(places),
                [str(xid) for xid, _ in places.values()],
                [position for _, position in places.values()],
            ],
        )
        return {project_id for (project_id,) in cursor.fetchall()}


_WITH_NEWS = """
SELECT project_id FROM unnest(%s::bigint[], %s::xid8[], %s::bigint[])
    AS seen (project_id, xid, position)
WHERE EXISTS (
    SELECT FROM conversations_event AS event
    WHERE event.project_id = seen.project_id
        AND (event.xid, event.position) > (seen.xid, seen.position)
)
"""


def _horizon() -> int:
    """The oldest transaction that still runs: all before it are through."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        (xid,) = cursor.fetchone()
        return int(xid)
