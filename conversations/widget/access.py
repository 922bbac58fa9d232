"""Who is at the other end of a widget: a browser by its secret, or a verified customer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from rest_framework.exceptions import PermissionDenied

from conversations.models import Ticket
from projects import identities
from projects.tokens import PublicProject


@dataclass(frozen=True)
class Lock:
    """What opens a ticket: the session of one browser, or a verified distinct_id."""

    session_digest: str | None
    distinct_id: str | None

    @classmethod
    def of(cls, ticket: Ticket) -> Lock:
        session_id = ticket.widget_session_id
        return cls(
            session_digest=None if session_id is None else digest_of(session_id),
            distinct_id=None if ticket.widget_restored else ticket.distinct_id,
        )


@dataclass(frozen=True)
class Caller:
    """What opens tickets: the browser's session, a verified distinct_id, or both."""

    session_id: UUID | None
    identity: str | None
    distinct_ids: frozenset[str]

    def opens(self, lock: Lock) -> bool:
        """Whether a ticket that is locked like this is the caller's."""
        if lock.distinct_id in self.distinct_ids:
            return True
        if lock.session_digest is None or self.session_id is None:
            return False
        return hmac.compare_digest(lock.session_digest, digest_of(self.session_id))


def origin_of(headers: Mapping[str, Any]) -> SplitResult | None:
    """Of which origin the page is that asks; a browser leaves Origin out on a page of ours."""
    named = headers.get("HTTP_ORIGIN") or headers.get("HTTP_REFERER", "")
    try:
        origin = urlsplit(named)
        # A port that is none is found out only when it is asked for.
        return origin if origin.hostname and origin.port != 0 else None
    except ValueError:
        return None


def is_among(page: SplitResult | None, project: PublicProject) -> bool:
    return page is not None and page.hostname in project.widget_domains


def check_identity(project: PublicProject, given: Any) -> None:
    """Raises PermissionDenied for an identity_hash that is not its distinct_id's.

    Of credentials that are not known to be well formed; what is no text is left to those
    who read it.
    """
    if not hasattr(given, "get"):
        return
    identity, proof = given.get("identity_distinct_id"), given.get("identity_hash")
    if not (isinstance(identity, str) and isinstance(proof, str)):
        return
    if not identities.is_proved(project, identity, proof):
        raise PermissionDenied("The identity_hash is not that of the identity_distinct_id.")


def identified(project: PublicProject, credentials: dict[str, Any]) -> Caller:
    """Who has these, validated. Raises PermissionDenied for a hash that is not theirs."""
    # Once more, since this is what opens tickets.
    check_identity(project, credentials)
    identity = credentials.get("identity_distinct_id")
    return Caller(
        session_id=credentials.get("widget_session_id"),
        identity=identity,
        distinct_ids=frozenset() if identity is None else identities.known_as(project.id, identity),
    )


def digest_of_credentials(token: str, given: Any) -> str | None:
    """Stands for a caller, from what a request gives, before that is known to be right.

    Made of the secret, and for one project, so that nobody can use up what is somebody
    else's; and of an identity alone where there is one, so that nobody has more by naming
    many sessions. None where a request gives nothing: those who give nothing are not one.
    """
    if not hasattr(given, "get"):
        return None
    identity = [given.get(name) for name in ("identity_distinct_id", "identity_hash")]
    parts = [part for part in identity if isinstance(part, str)]
    if not parts and isinstance(session_id := given.get("widget_session_id"), str):
        parts = [session_id]
    if not any(parts):
        return None
    text = "\0".join([token, *parts]).lower()
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def digest_of(session_id: UUID) -> str:
    return hashlib.sha256(session_id.bytes).hexdigest()
