"""Verified identities: what is cached of the distinct ids that are one customer."""

import hashlib
from collections.abc import Iterable

from rest import leases

_LIFETIME_MS = 60_000


def cache_key(project_id: int, distinct_id: str) -> str:
    return leases.full_key(f"links:{project_id}:{hashlib.sha256(distinct_id.encode()).hexdigest()}")


def forget_links(project_id: int, distinct_ids: Iterable[str]) -> None:
    """To be called by whoever changes what these distinct ids are linked to."""
    for distinct_id in distinct_ids:
        leases.forget_at_commit(cache_key(project_id, distinct_id), lifetime_ms=_LIFETIME_MS)
