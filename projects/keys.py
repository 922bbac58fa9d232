"""API keys as a request needs them: looked up by digest, from Redis where possible.

Records are cached under the leases of `rest.leases`, so that revoking, rotating
or changing a key holds from the next request on, against slow readers too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import orjson
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from projects.models import ApiKey
from rest import leases, limits
from rest.limits import Limit, Verdict
from rest.rates import parse_rate

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
    # Pairs of quota and seconds that hold instead of everybody's.
    limits: list[tuple[int, int]] | None = None

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


def ask(digest: str, also: Sequence[str] = ()) -> Verdict:
    """Whether the key with this digest may call now, with its record and the values of `also`.

    Of what Redis has, in one round trip. Only a key that is known is counted.
    """
    # By the key's id, since a new secret, or two at once, are no second quota.
    unnamed = [Limit("", quota, seconds) for quota, seconds in _everybodys()]
    return limits.take(unnamed, reading=[_cache_key(digest), *also], own="key")


def known(digest: str, asked: Verdict) -> KeyRecord | None:
    """The live key that was found by `ask`."""
    record = asked.values.get(_cache_key(digest))
    return _live(record) if record else None


def look_up(digest: str, asked: Verdict) -> tuple[KeyRecord | None, Verdict]:
    """The live key with this digest, or None; and whether it may call now.

    `asked` is what `ask` has found. Nothing more when the key's record is there; otherwise
    another round trip to Redis, and a query. Without Redis, the query alone.
    """
    cache_key = _cache_key(digest)
    if asked.values.get(cache_key):
        return known(digest, asked), asked
    record = leases.fill(cache_key, lambda: _load(digest), lifetime_ms=_LIFETIME_MS)
    api_key = _live(record) if record else None
    # Without Redis nothing is read; that the call is let through has been counted then.
    if api_key is None or not asked.values:
        return api_key, asked
    own = _everybodys() if api_key.limits is None else api_key.limits
    named = [Limit(f"key:{api_key.id}:{s}", q, s) for q, s in own]
    return api_key, replace(limits.take(named), values=asked.values)


def _everybodys() -> list[tuple[int, int]]:
    return [(rate.quota, rate.seconds) for rate in settings.RATE_LIMIT]


def forget(*digests: str) -> None:
    """Drops the records of these keys when the transaction commits."""
    for digest in digests:
        leases.forget_at_commit(_cache_key(digest), lifetime_ms=_LIFETIME_MS)


def _cache_key(digest: str) -> str:
    return leases.full_key(f"key:{digest}")


def live(digests: Collection[str]) -> dict[str, KeyRecord]:
    """The live ones among many keys, by their digests, as the database has them now.

    One query for all, and one more to note their use, which what goes on is as well.
    """
    rows = ApiKey.objects.filter(
        Q(digest__in=digests) | Q(previous_digest__in=digests), revoked_at=None
    )
    found = {
        digest: (row, _record(row, digest))
        for row in rows
        for digest in (row.digest, row.previous_digest)
        if digest is not None and digest in digests
    }
    current = {digest: pair for digest, pair in found.items() if not pair[1].is_expired()}
    _note_use([row for row, _ in current.values()])
    return {digest: record for digest, (_, record) in current.items()}


def _load(digest: str) -> bytes | None:
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
    _note_use([row])
    return orjson.dumps(_record(row, digest))


def _note_use(rows: Sequence[ApiKey]) -> None:
    now = timezone.now()
    stale = [
        row.pk for row in rows if row.last_used_at is None or row.last_used_at < now - _LIFETIME
    ]
    if stale:
        # update() on purpose: noting a use changes nothing that is cached.
        ApiKey.objects.filter(pk__in=stale).update(last_used_at=now)


def _record(row: ApiKey, digest: str) -> KeyRecord:
    ends = [row.expires_at, row.previous_expires_at if digest != row.digest else None]
    return KeyRecord(
        id=row.pk,
        project_id=row.project_id,
        label=row.label,
        scopes=tuple(row.scopes),
        expires_at=_earliest(ends),
        limits=[_pair(rate) for rate in row.rate_limits] or None,
    )


def _earliest(moments: Sequence[datetime | None]) -> float | None:
    return min((moment.timestamp() for moment in moments if moment is not None), default=None)


def _pair(rate: str) -> tuple[int, int]:
    parsed = parse_rate(rate)
    return parsed.quota, parsed.seconds


def _live(record: bytes) -> KeyRecord | None:
    fields = orjson.loads(record)
    api_key = KeyRecord(**{**fields, "scopes": tuple(fields["scopes"])})
    return None if api_key.is_expired() else api_key
