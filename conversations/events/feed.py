"""What happened in a project, one event after the other, to be followed.

Ids and positions are given out before the commit, so that of two transactions the later
one may become visible first. A reader who resumed behind it would never see the other.
So events are read in the order of their transactions, and only as far as all of those
are through: nothing can appear before a place that was read.

Within a transaction, and for one ticket, that is the order in which things happened. A
transaction that began to write before it came to wait for a ticket, as a bulk change
may, is an exception: its event precedes that of the other, though its `updated_at` is later.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from conversations.events.models import Event


class UnknownEvent(Exception):
    """There is no such event in this project."""


class NoLongerKept(Exception):
    """The event is older than what is kept: what followed it may be gone as well."""


def after(project_id: int, event_id: UUID | None, limit: int) -> Sequence[Event]:
    """The events that follow this one, or all that are kept, the oldest first.

    Whoever asks again and again after the last that they got, and after the same where
    they got none, sees each event once. It appears when every transaction that was
    running at its commit has ended. Raises UnknownEvent and NoLongerKept.
    """
    xid, position = (0, 0) if event_id is None else _place_of(project_id, event_id)
    place = {"project_id": project_id, "xid": str(xid), "position": position, "limit": limit}
    return list(Event.objects.raw(FOLLOWING, place))


FOLLOWING = """
SELECT * FROM conversations_event
WHERE project_id = %(project_id)s AND (xid, position) > (%(xid)s::xid8, %(position)s)
    AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY xid, position LIMIT %(limit)s
"""


def _place_of(project_id: int, event_id: UUID) -> tuple[int, int]:
    events = Event.objects.filter(project_id=project_id, pk=event_id)
    place = events.values_list("xid", "position").first()
    if place is not None:
        return place
    if _time_of(event_id) < timezone.now() - timedelta(days=settings.EVENT_RETENTION):
        raise NoLongerKept(NoLongerKept.__doc__)
    raise UnknownEvent(UnknownEvent.__doc__)


def _time_of(event_id: UUID) -> datetime:
    """When an id of version 7 was made, to the millisecond; what is none is of no time."""
    if event_id.version != 7:
        return datetime.max.replace(tzinfo=UTC)
    # Beyond the year 9999 Python has no dates; 48 bits of milliseconds go on to 10889.
    return datetime.fromtimestamp(min(event_id.int >> 80, 253_402_300_799_000) / 1000, UTC)
