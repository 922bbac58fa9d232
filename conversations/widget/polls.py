"""What a widget learns when it asks for news.

An open widget asks every five seconds, for ever, and mostly there is nothing new.
So what that takes is cached for each ticket, under the leases of `rest.leases`, and
forgotten with every change of the ticket: an idle poll costs no SQL.

A client says how far it is by `after`, the time of the newest message that it
shows, also of one that it has sent itself. A reply that was committed between its
last poll and that message lies before `after`, though the client has never got it. So
the ticket keeps its own position, `customer_delivered_seq`: up to there all public
messages were in an answer. What the team wrote behind it and before `after` comes
first, alone, under a time just behind `after`, so that the client's position neither
goes back nor jumps over anything (contract, section 9).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, OuterRef
from psycopg import errors as postgres

from conversations.models import Message, Ticket
from conversations.widget.access import Caller, Lock, digest_of
from rest import leases
from rest.json import timestamp
from rest.limits import Limit

# Long, so that of a widget that is open all day only one poll in sixty asks the database.
_LIFETIME_MS = 300_000
# How long a poll waits for whoever is writing to the ticket, before it leaves the news to the next.
_PATIENCE_MS = 1_000
# An open widget asks 12 times a minute; a few of them may share a session in as many tabs.
_POLLS = 300
_TICK = timedelta(microseconds=1)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Standing:
    """What is to be known of a ticket in order to say that nothing is new.

    `newest` is the time of the newest public message, as answers show it. `is_behind`
    says that something of the team was in no answer yet.
    """

    project_id: int
    lock: Lock
    status: str
    unread: int
    newest: str | None
    is_behind: bool

    def has_nothing_after(self, after: datetime | None) -> bool:
        if self.newest is None:
            return True
        return after is not None and not self.is_behind and self.newest <= timestamp(after)


@dataclass(frozen=True)
class News:
    """Messages for the customer, oldest first, each with the time to show it under."""

    status: str
    unread: int
    messages: Sequence[tuple[Message, datetime]]
    has_more: bool


def limits_of(digest: str | None) -> list[Limit]:
    """How often may poll for whom this digest stands; see `access.digest_of_credentials`."""
    return [Limit(f"widget:poll:{digest}", _POLLS, 60)] if digest else []


def cache_key(ticket_id: UUID | str) -> str:
    return leases.full_key(f"poll:{str(ticket_id).lower()}")


def standing(ticket_id: UUID, seen: bytes | None = None) -> Standing | None:
    """How the ticket stands, or None where there is none; `seen` is the cached value.

    Nothing when `seen` is given, otherwise a round trip to Redis, and a query if it has none.
    """
    record = seen
    if record is None:
        record = leases.fill(
            cache_key(ticket_id), lambda: _load(ticket_id), lifetime_ms=_LIFETIME_MS
        )
    if record is None:
        return None
    fields = orjson.loads(record)
    return Standing(**{**fields, "lock": Lock(**fields["lock"])})


def forget(ticket: Ticket) -> None:
    """Drops what is cached of the ticket, and of the lists that it is in, at the commit.

    Whoever changes its session or distinct_id calls this before and after: it was in
    other lists then.
    """
    forget_standing(ticket.pk)
    for key in _lists_with(Lock.of(ticket), ticket.project_id):
        leases.forget_at_commit(key, lifetime_ms=_LIFETIME_MS, durably=False)


def forget_those(ids: Sequence[UUID]) -> None:
    """The same for each of these that is a ticket, by a query."""
    for ticket in Ticket.objects.filter(pk__in=ids):
        forget(ticket)


def forget_standing(ticket_id: UUID) -> None:
    # A job for each ticket that changes while Redis is away would be more than it is worth.
    leases.forget_at_commit(cache_key(ticket_id), lifetime_ms=_LIFETIME_MS, durably=False)


def _load(ticket_id: UUID) -> bytes | None:
    behind = Message.objects.from_team(OuterRef("customer_delivered_seq"))
    ticket: Any = (
        Ticket.objects.filter(pk=ticket_id)
        .annotate(is_behind=Exists(behind.filter(ticket=OuterRef("pk"))))
        .only(*_COLUMNS)
        .first()
    )
    if ticket is None:
        return None
    newest = ticket.last_message_at
    return orjson.dumps(
        asdict(
            Standing(
                project_id=ticket.project_id,
                lock=Lock.of(ticket),
                status=ticket.status,
                unread=ticket.unread_customer_count,
                newest=None if newest is None else timestamp(newest),
                is_behind=ticket.is_behind,
            )
        )
    )


_COLUMNS = (
    "project_id",
    "widget_session_id",
    "widget_restored",
    "distinct_id",
    "status",
    "unread_customer_count",
    "last_message_at",
)


def fetch(*, ticket_id: UUID, caller: Caller, after: datetime | None, limit: int) -> News | None:
    """The next messages behind `after`, at most `limit`; None where there is no such ticket
    of the caller's: it may have been deleted or become somebody else's since they asked.

    Moves the ticket's position, under its lock, so that what lay before `after` comes
    once. If another transaction keeps the lock for long, the answer has only what was
    delivered before; the next poll has the rest.
    """
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_PATIENCE_MS}ms"])
            tickets = Ticket.objects.select_for_update(no_key=True)
            ticket = tickets.defer("search").filter(pk=ticket_id).first()
            if ticket is None or not caller.opens(Lock.of(ticket)):
                return None
            return _deliver(ticket, after, limit)
    except OperationalError as exc:
        if not isinstance(exc.__cause__, postgres.LockNotAvailable):
            raise
    ticket = Ticket.objects.defer("search").filter(pk=ticket_id).first()
    if ticket is None or not caller.opens(Lock.of(ticket)):
        return None
    return _repeat(ticket, after, limit)


def _deliver(ticket: Ticket, after: datetime | None, limit: int) -> News:
    place = _place(ticket, after)
    delivered = ticket.customer_delivered_seq
    if after is not None and delivered < place:
        passed = list(
            ticket.messages.from_team(delivered).filter(seq__lte=place).order_by("seq")[: limit + 1]
        )
        if passed:
            shown = passed[:limit]
            _move(ticket, shown[-1].seq if len(passed) > limit else place)
            more = len(passed) > limit or _public_behind(ticket, place).exists()
            # What is no time of ours may be the last one that there is.
            start = min(after, _LAST_MOMENT - len(shown) * _TICK)
            times = [start + number * _TICK for number in range(1, len(shown) + 1)]
            return _news(ticket, list(zip(shown, times, strict=True)), more)
    rows = list(_public_behind(ticket, place).order_by("seq")[: limit + 1])
    shown = rows[:limit]
    _move(ticket, shown[-1].seq if len(rows) > limit else ticket.last_seq)
    return _news(ticket, [(row, row.created_at) for row in shown], len(rows) > limit)


def _repeat(ticket: Ticket, after: datetime | None, limit: int) -> News:
    """What was delivered already, which takes no lock."""
    rows = _public_behind(ticket, _place(ticket, after))
    known = list(rows.filter(seq__lte=ticket.customer_delivered_seq).order_by("seq")[:limit])
    return _news(ticket, [(row, row.created_at) for row in known], has_more=True)


def _place(ticket: Ticket, after: datetime | None) -> int:
    """The position that `after` stands for: times of a ticket's messages rise with `seq`."""
    if after is None:
        return 0
    before = ticket.messages.filter(created_at__lte=after).order_by("-seq")
    return before.values_list("seq", flat=True).first() or 0


def _public_behind(ticket: Ticket, seq: int) -> Any:
    return ticket.messages.public().filter(seq__gt=seq)


def _move(ticket: Ticket, seq: int) -> None:
    if seq > ticket.customer_delivered_seq:
        # update() on purpose: no count changes, and the ticket is the same to the team.
        Ticket.objects.filter(pk=ticket.pk).update(customer_delivered_seq=seq)
        forget_standing(ticket.pk)


def _news(ticket: Ticket, messages: Sequence[tuple[Message, datetime]], has_more: bool) -> News:
    return News(ticket.status, ticket.unread_customer_count, messages, has_more)


# --- The list of conversations -----------------------------------------------


def list_key(project_id: int, caller: Caller) -> str | None:
    """Under which the caller's first page is cached; None for one of several names."""
    if caller.session_id is None and len(caller.distinct_ids) == 1:
        [distinct_id] = caller.distinct_ids
        lock = Lock(session_digest=None, distinct_id=distinct_id)
    elif caller.session_id is not None and not caller.distinct_ids:
        lock = Lock(session_digest=digest_of(caller.session_id), distinct_id=None)
    else:
        return None
    [key] = _lists_with(lock, project_id)
    return key


def first_page(key: str, compute: Callable[[], bytes]) -> bytes:
    """The cached page, or what `compute` returns; a round trip to Redis."""
    page = leases.fill(key, compute, lifetime_ms=_LIFETIME_MS)
    assert page is not None
    return page


def _lists_with(lock: Lock, project_id: int) -> list[str]:
    """The lists that a ticket with this lock is in."""
    names = []
    if lock.session_digest is not None:
        names.append(f"session:{lock.session_digest}")
    if lock.distinct_id is not None:
        names.append(f"customer:{hashlib.sha256(lock.distinct_id.encode()).hexdigest()}")
    return [leases.full_key(f"list:{project_id}:{name}") for name in names]


# --- Seen --------------------------------------------------------------------


def mark_seen(*, ticket: Ticket) -> int:
    """Marks what polls have returned as seen by the customer; how many are unread after it.

    The caller has locked the ticket. What came since the last poll stays unread.
    """
    position = max(ticket.customer_read_seq, ticket.customer_delivered_seq)
    unread = ticket.messages.from_team(position).count() if position < ticket.last_seq else 0
    if (position, unread) != (ticket.customer_read_seq, ticket.unread_customer_count):
        ticket.customer_read_seq, ticket.unread_customer_count = position, unread
        ticket.save(update_fields=["customer_read_seq", "unread_customer_count"])
    return unread
