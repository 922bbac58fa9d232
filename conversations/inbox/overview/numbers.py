"""What is to be done in a project, and how the last thirty days went."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Sum

from conversations.models import Status, Ticket
from conversations.tickets.filters import matching
from conversations.tickets.totals import total_by_status

DAYS = 30
UNRESOLVED = [status for status in Status if status != Status.RESOLVED]


@dataclass(frozen=True)
class Unread:
    tickets: int
    messages: int


def status_totals(project_id: int) -> dict[str, int]:
    """How many tickets there are in each state but resolved; none of them is read."""
    found = total_by_status(project_id, UNRESOLVED)
    return {status: found.get(status, 0) for status in UNRESOLVED}


def unread(project_id: int) -> Unread:
    """Unresolved tickets with unread messages, and these messages."""
    tickets = Ticket.objects.filter(project_id=project_id).unresolved().with_unread()
    sums = tickets.aggregate(tickets=Count("*"), messages=Sum("unread_team_count"))
    return Unread(sums["tickets"], sums["messages"] or 0)


def breached(project_id: int) -> int:
    """Unresolved tickets whose deadline is over, as the list's filters find them."""
    query = {"status": UNRESOLVED, "sla": "breached"}
    return matching(Ticket.objects.in_project(project_id), query, counting=True).count()


@dataclass(frozen=True)
class Span:
    """Tickets made in a time, and how long the team took to reply: the median of those it has
    replied to."""

    tickets: int
    replied: int
    median_seconds: int | None


@dataclass(frozen=True)
class Day:
    date: date
    span: Span


def last_days(project_id: int, *, zone: ZoneInfo, now: datetime) -> tuple[Span, list[Day]]:
    """All of the last thirty days together, and each of them, by the clock of `zone`.

    Today is the last one. One query: for each time a range of the index `ticket_created`,
    which has all that is asked for, so that no day is sorted in with the others.
    """
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    midnights = [datetime.combine(day, time(), zone) for day in [*dates, today + timedelta(days=1)]]
    spans = _spans(project_id, [midnights[0], *midnights[:-1]], [midnights[-1], *midnights[1:]])
    return spans[0], [Day(day, span) for day, span in zip(dates, spans[1:], strict=True)]


def _spans(project_id: int, starts: list[datetime], ends: list[datetime]) -> list[Span]:
    with connection.cursor() as cursor:
        cursor.execute(_SPANS, {"project_id": project_id, "starts": starts, "ends": ends})
        return [Span(*row) for row in cursor.fetchall()]


_SPANS = """
SELECT made.tickets, made.replied, made.median
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[])
    WITH ORDINALITY AS span(starts, ends, place)
CROSS JOIN LATERAL (
    SELECT count(*) AS tickets, count(first_reply_seconds) AS replied,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY first_reply_seconds) AS median
    FROM conversations_ticket
    WHERE project_id = %(project_id)s AND created_at >= span.starts AND created_at < span.ends
) AS made
ORDER BY span.place
"""
