"""Verified identities: a customer whom the project's own server vouches for.

It signs the customer's distinct_id with the project's identity secret (HMAC-SHA256,
RFC 2104). Whoever has the signature is that customer, under all the distinct ids
that an API key or an earlier verified call has linked to it.
"""

import functools
import hashlib
import hmac
from collections.abc import Iterable

import orjson

from projects import tokens
from projects.models import Project
from projects.persons.links import linked_to
from projects.tokens import PublicProject
from rest import leases

_LIFETIME_MS = 300_000


def signature(identity_secret: str, distinct_id: str) -> str:
    """The `identity_hash` of a distinct_id: 64 lower-case hexadecimal digits."""
    return hmac.new(identity_secret.encode(), distinct_id.encode(), hashlib.sha256).hexdigest()


def is_proved(project: PublicProject, distinct_id: str, identity_hash: str) -> bool:
    """Whether the hash is that of the distinct_id.

    It costs the same whichever it is, and whoever the customer is: else its time would
    tell a guesser who has been here lately.
    """
    expected = signature(_secret_of(project.id, project.fingerprint), distinct_id)
    return hmac.compare_digest(expected.encode(), identity_hash.lower().encode())


def known_as(project_id: int, distinct_id: str) -> frozenset[str]:
    """All distinct ids of a customer who has proved this one.

    One round trip to Redis, and a query where it has nothing of them.
    """
    record = leases.fill(
        cache_key(project_id, distinct_id),
        lambda: orjson.dumps(sorted(linked_to(project_id, distinct_id))),
        lifetime_ms=_LIFETIME_MS,
    )
    assert record is not None
    return frozenset(orjson.loads(record))


def cache_key(project_id: int, distinct_id: str) -> str:
    return leases.full_key(f"links:{project_id}:{hashlib.sha256(distinct_id.encode()).hexdigest()}")


def forget_links(project_id: int, distinct_ids: Iterable[str]) -> None:
    """To be called by whoever changes what these distinct ids are linked to."""
    for distinct_id in distinct_ids:
        leases.forget_at_commit(cache_key(project_id, distinct_id), lifetime_ms=_LIFETIME_MS)


class _Changed(Exception):
    """The secret is another than the caller's record of the project says."""


def _secret_of(project_id: int, fingerprint: str) -> str:
    try:
        return _kept_secret(project_id, fingerprint)
    except _Changed as changed:
        return str(changed)


@functools.lru_cache(maxsize=1000)
def _kept_secret(project_id: int, fingerprint: str) -> str:
    """Kept in this process alone: a cache that others may read is no place for a secret."""
    secret = Project.objects.values_list("identity_secret", flat=True).get(pk=project_id)
    if tokens.fingerprint(secret) != fingerprint:
        # Between the record and this query somebody has set another; it is not kept under
        # the fingerprint of the one before.
        raise _Changed(secret)
    return secret
