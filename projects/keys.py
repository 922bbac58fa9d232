"""API keys as a request needs them: looked up by digest, from Redis where possible.

Records are cached under the leases of `rest.leases`, so that revoking, rotating
or changing a key holds from the next request on, against slow readers too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from projects.models import ApiKey
from rest import leases

# A record lives this long, and a key's use is noted at most this often, when its
# record is loaded anyway: together, last_used_at is right to the minute at the
# price of one UPDATE in 30 seconds.
_LIFETIME = timedelta(seconds=30)
_LIFETIME_MS = int(_LIFETIME.total_seconds() * 1000)


@dataclass(frozen=True)
class KeyRecord:
    """What an API key may do; `expires_at` in seconds since 1970."""

    id: int
    project_id: int
    label: str
    scopes: tuple[str, ...]
    expires_at: float | None

    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now().timestamp()

    def allows(self, scope: str) -> bool:
        """A write scope implies the read scope of the same object; `*` is all of them."""
        wanted, _, verb = scope.partition(":")
        return (
            scope in self.scopes
            or "*" in self.scopes
            or (verb == "read" and f"{wanted}:write" in self.scopes)
        )


def look_up(
    digest: str, also: Sequence[str] = ()
) -> tuple[KeyRecord | None, dict[str, bytes | None]]:
    """The live key with this digest, or None; and the cached values of the keys `also`.

    All of it is one round trip to Redis when the key's record is there; otherwise
    one query more. Without Redis, the query alone.
    """
    cache_key = _cache_key(digest)
    try:
        record, *others = leases.read([cache_key, *also])
        values = dict(zip(also, others, strict=True))
        api_key = _decode(record) if record else _load_into_cache(digest, cache_key)
    except leases.CacheDown:
        values, api_key = {}, _load(digest)
    if api_key is None or api_key.is_expired():
        return None, values
    return api_key, values


def forget(*digests: str) -> None:
    """Drops the records of these keys when the transaction commits."""
    cache_keys = [_cache_key(digest) for digest in digests]
    transaction.on_commit(lambda: leases.forget(cache_keys, lifetime_ms=_LIFETIME_MS))


def _cache_key(digest: str) -> str:
    return leases.full_key(f"key:{digest}")


def _load_into_cache(digest: str, cache_key: str) -> KeyRecord | None:
    lease = leases.read_or_lease(cache_key)
    if isinstance(lease, bytes):
        return _decode(lease)
    record = _load(digest)
    if not lease.is_mine:
        # Somebody else is storing it; one query more is cheaper than waiting.
        return record
    if record is None:
        # An unknown key leaves nothing behind.
        leases.give_back(lease)
    else:
        leases.store(lease, _encode(record), lifetime_ms=_LIFETIME_MS)
    return record


def _load(digest: str) -> KeyRecord | None:
    now = timezone.now()
    row = (
        ApiKey.objects.with_digest(digest)
        .filter(
            Q(digest=digest) | Q(previous_expires_at__gt=now),
            Q(expires_at=None) | Q(expires_at__gt=now),
            revoked_at=None,
        )
        .first()
    )
    if row is None:
        return None
    if row.last_used_at is None or row.last_used_at < now - _LIFETIME:
        # update() on purpose: noting a use changes nothing that is cached.
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=now)
    ends = [row.expires_at, row.previous_expires_at if digest != row.digest else None]
    return KeyRecord(
        id=row.pk,
        project_id=row.project_id,
        label=row.label,
        scopes=tuple(row.scopes),
        expires_at=_earliest(ends),
    )


def _earliest(moments: Sequence[datetime | None]) -> float | None:
    return min((moment.timestamp() for moment in moments if moment is not None), default=None)


def _encode(record: KeyRecord) -> bytes:
    return orjson.dumps(record)


def _decode(value: bytes) -> KeyRecord:
    fields = orjson.loads(value)
    return KeyRecord(**{**fields, "scopes": tuple(fields["scopes"])})
