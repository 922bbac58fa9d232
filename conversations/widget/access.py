"""Who is at the other end of a widget: a browser by its secret, or a verified customer."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from rest_framework.exceptions import PermissionDenied

from projects import identities
from projects.tokens import PublicProject


@dataclass(frozen=True)
class Caller:
    """What opens tickets: the browser's session, a verified distinct_id, or both."""

    session_id: UUID | None
    identity: str | None
    distinct_ids: frozenset[str]

    def opens(self, *, session_digest: str | None, distinct_id: str) -> bool:
        """Whether a ticket with these is the caller's."""
        if distinct_id in self.distinct_ids:
            return True
        if session_digest is None or self.session_id is None:
            return False
        return hmac.compare_digest(session_digest, digest_of(self.session_id))


def identified(project: PublicProject, credentials: dict[str, Any]) -> Caller:
    """Who has these, validated. Raises PermissionDenied for a hash that is not theirs."""
    identity, distinct_ids = credentials.get("identity_distinct_id"), frozenset[str]()
    if identity is not None:
        opened = identities.opened_by(project, identity, credentials["identity_hash"])
        if opened is None:
            raise PermissionDenied("The identity_hash is not that of the identity_distinct_id.")
        distinct_ids = opened
    return Caller(
        session_id=credentials.get("widget_session_id"),
        identity=identity,
        distinct_ids=distinct_ids,
    )


def digest_of_credentials(given: Any) -> str | None:
    """Stands for a caller, from what a request gives, before that is known to be right.

    None where a request gives nothing: those who give nothing are not one caller.
    """
    names = ("identity_distinct_id", "identity_hash", "widget_session_id")
    parts = [str(given.get(name) or "").lower() for name in names] if hasattr(given, "get") else []
    if not any(parts):
        return None
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()


def digest_of(session_id: UUID) -> str:
    return hashlib.sha256(session_id.bytes).hexdigest()
