"""Verified identities: a customer whom the project's own server vouches for.

It signs the customer's distinct_id with the project's identity secret (HMAC-SHA256,
RFC 2104). Whoever has the signature is that customer, under all the distinct ids
that an API key or an earlier verified call has linked to it.
"""

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


def opened_by(
    project: PublicProject, distinct_id: str, identity_hash: str
) -> frozenset[str] | None:
    """The distinct ids that this customer is known by; None if the hash is not theirs.

    One round trip to Redis, and two queries where it has nothing of them. What is
    cached holds neither the secret nor the hash, but the hash's own digest.
    """
    given = identity_hash.lower().encode()
    record = leases.fill(
        cache_key(project.id, distinct_id),
        lambda: _load(project.id, distinct_id, given),
        lifetime_ms=_LIFETIME_MS,
    )
    if record is not None and orjson.loads(record)["fingerprint"] != project.fingerprint:
        # The secret is not the one that this was stored for.
        record = _load(project.id, distinct_id, given)
    if record is None:
        return None
    known = orjson.loads(record)
    is_theirs = hmac.compare_digest(known["proof"], _proof(given))
    return frozenset(known["distinct_ids"]) if is_theirs else None


def cache_key(project_id: int, distinct_id: str) -> str:
    return leases.full_key(f"links:{project_id}:{hashlib.sha256(distinct_id.encode()).hexdigest()}")


def forget_links(project_id: int, distinct_ids: Iterable[str]) -> None:
    """To be called by whoever changes what these distinct ids are linked to."""
    for distinct_id in distinct_ids:
        leases.forget_at_commit(cache_key(project_id, distinct_id), lifetime_ms=_LIFETIME_MS)


def _load(project_id: int, distinct_id: str, given: bytes) -> bytes | None:
    secret = Project.objects.values_list("identity_secret", flat=True).get(pk=project_id)
    if not hmac.compare_digest(signature(secret, distinct_id).encode(), given):
        return None
    return orjson.dumps(
        {
            "fingerprint": tokens.fingerprint(secret),
            "proof": _proof(given),
            "distinct_ids": sorted(linked_to(project_id, distinct_id)),
        }
    )


def _proof(given: bytes) -> str:
    return hashlib.sha256(given).hexdigest()
