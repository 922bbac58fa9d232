"""The unread count of a project: cached, and exact.

This module alone knows the count's cache key, lease and lifetime.
"""

import contextlib
import time
from collections.abc import Collection

from conversations.models import Ticket
from conversations.stream import wake
from rest import leases

_LIFETIME_MS = 30_000
# How long a caller waits for somebody else's count before it counts for itself.
_PATIENCE_SECONDS = 0.1
# Between two looks a waiter sleeps, at first so long, then twice as long, at most 16 ms.
_FIRST_SLEEP_SECONDS = 0.002
_LONGEST_SLEEP_SECONDS = 0.016
_VOIDED_LEASES = 2


def cache_key(project_id: int | str) -> str:
    return leases.full_key(f"unread:{project_id}")


def count(project_id: int, *, seen: bytes | None = None) -> int:
    """Unread customer messages over the project's unresolved tickets.

    Never older than the last committed write that has been answered, see
    `forget`. `seen` is the cached value where the caller has it already: then this
    costs nothing. On a miss one caller asks PostgreSQL while the others wait for
    its answer, at most 100 ms; without Redis each asks for itself. Raises what
    the database raises.
    """
    if seen is not None:
        return int(seen)
    key, deadline = cache_key(project_id), time.monotonic() + _PATIENCE_SECONDS
    tokens: set[str] = set()
    pause = _FIRST_SLEEP_SECONDS
    try:
        # A third token means that two leases were voided by writes meanwhile.
        while len(tokens) <= _VOIDED_LEASES and time.monotonic() < deadline:
            lease = leases.read_or_lease(key)
            if isinstance(lease, bytes):
                return int(lease)
            if lease.is_mine:
                return _count_under(lease, project_id)
            tokens.add(lease.token)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_SLEEP_SECONDS)
    except leases.CacheDown:
        pass
    return recount(project_id)


def _count_under(lease: leases.Lease, project_id: int) -> int:
    number = recount(project_id)
    # Refused if somebody wrote meanwhile. The number is right for this caller even
    # so: it includes every write that was answered before the caller asked.
    with contextlib.suppress(leases.CacheDown):
        leases.store(lease, number, lifetime_ms=_LIFETIME_MS)
    return number


def recount(project_id: int) -> int:
    """The count as PostgreSQL has it: one index-only query."""
    return Ticket.objects.in_project(project_id).unread_total()


def recounts(project_ids: Collection[int]) -> dict[int, int]:
    """The counts of several projects as PostgreSQL has them, by one query."""
    return dict.fromkeys(project_ids, 0) | Ticket.objects.unread_totals(project_ids)


def forget(project_id: int) -> None:
    """Drops the cached count when the transaction commits, never before.

    Before the commit a reader would refill the old number. The drop precedes every
    other hook of the commit that is registered after it, and the answer to the
    request, so whoever has seen that answer gets a count that includes the write.
    The project's streams look again.
    """
    leases.forget_at_commit(cache_key(project_id), lifetime_ms=_LIFETIME_MS)
    wake.at_commit(project_id)
