"""Whom a long answer goes to, and whether they may still have it.

A request is checked once, when it comes. What goes on for hours is checked again.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.sessions.models import Session
from django.utils import timezone
from rest_framework.request import Request

from projects import key_format, keys
from projects.keys import KeyRecord
from projects.models import Membership, User


@dataclass(frozen=True)
class KeyCaller:
    """Who came with an API key; `expires_at` in seconds since 1970."""

    key_id: int
    digest: str
    expires_at: float | None

    @property
    def holder(self) -> str:
        """Whose streams are counted together, by whichever of the key's secrets they came."""
        return f"key:{self.key_id}"

    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now().timestamp()


@dataclass(frozen=True)
class AgentCaller:
    """A signed-in agent in one project."""

    user_id: int
    project_id: int
    session_key: str
    # Changes with the password, which ends the sessions begun before.
    session_hash: str

    @property
    def holder(self) -> str:
        """Whose streams are counted together, whatever the session and project."""
        return f"agent:{self.user_id}"


Caller = KeyCaller | AgentCaller


def caller_of(request: Request, project_id: int) -> Caller:
    """Who makes this request, whose rights have been checked."""
    if isinstance(request.auth, KeyRecord):
        secret = request.META["HTTP_AUTHORIZATION"].split()[1]
        return KeyCaller(request.auth.id, key_format.digest(secret), request.auth.expires_at)
    assert isinstance(request.user, User)
    return AgentCaller(
        user_id=request.user.pk,
        project_id=project_id,
        session_key=request.session.session_key or "",
        session_hash=request.user.get_session_auth_hash(),
    )


def still_allowed(callers: Collection[Caller], scope: str) -> set[Caller]:
    """Those who may do now what the scope is for: a few queries, however many they are."""
    by_key = [caller for caller in callers if isinstance(caller, KeyCaller)]
    agents = [caller for caller in callers if isinstance(caller, AgentCaller)]
    return _with_live_keys(by_key, scope) | _with_live_sessions(agents)


def _with_live_keys(callers: Collection[KeyCaller], scope: str) -> set[Caller]:
    if not callers:
        return set()
    records = keys.live({caller.digest for caller in callers})
    return {
        caller
        for caller in callers
        if caller.digest in records and records[caller.digest].allows(scope)
    }


def _with_live_sessions(callers: Collection[AgentCaller]) -> set[Caller]:
    if not callers:
        return set()
    sessions = Session.objects.filter(
        session_key__in={caller.session_key for caller in callers}, expire_date__gt=timezone.now()
    )
    session_keys = set(sessions.values_list("session_key", flat=True))
    users = User.objects.filter(pk__in={caller.user_id for caller in callers}, is_active=True)
    hashes = {user.pk: user.get_session_auth_hash() for user in users}
    memberships = Membership.objects.filter(user_id__in=hashes)
    places = set(memberships.values_list("user_id", "project_id"))
    return {
        caller
        for caller in callers
        if caller.session_key in session_keys
        and hashes.get(caller.user_id) == caller.session_hash
        and (caller.user_id, caller.project_id) in places
    }
