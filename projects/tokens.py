"""The projects as their public tokens name them, from Redis where possible.

Records are cached under the leases of `rest.leases`, like those of API keys, so that
a changed setting of the widget holds from the next request on.
"""

import hashlib
from dataclasses import dataclass

import orjson

from projects.models import Project
from rest import leases

_LIFETIME_MS = 300_000
_MAX_TOKEN = 64


@dataclass(frozen=True)
class PublicProject:
    """What a request with a project's public token may need to know of the project.

    `fingerprint` changes with the identity secret, and says nothing of it.
    """

    id: int
    conversations_enabled: bool
    widget_enabled: bool
    widget_domains: tuple[str, ...]
    widget_restore_enabled: bool
    fingerprint: str


def cache_key(token: str) -> str:
    return leases.full_key(f"token:{hashlib.sha256(token.encode()).hexdigest()}")


def look_up(token: str, seen: bytes | None = None) -> PublicProject | None:
    """The project with this token, or None; `seen` is the cached record where there is one.

    Nothing when `seen` is given, otherwise a round trip to Redis, and a query if it has none.
    """
    record = seen
    if record is None and is_possible(token):
        record = leases.fill(cache_key(token), lambda: _load(token), lifetime_ms=_LIFETIME_MS)
    if record is None:
        return None
    fields = orjson.loads(record)
    return PublicProject(**{**fields, "widget_domains": tuple(fields["widget_domains"])})


def is_possible(token: str) -> bool:
    """Whether there can be a project with this token; nobody has to be asked where not."""
    return len(token) <= _MAX_TOKEN and token.isascii() and token.isprintable()


def forget(token: str) -> None:
    """Drops the record when the transaction commits."""
    leases.forget_at_commit(cache_key(token), lifetime_ms=_LIFETIME_MS)


def _load(token: str) -> bytes | None:
    project = Project.objects.filter(public_token=token).first()
    if project is None:
        return None
    record = PublicProject(
        id=project.pk,
        conversations_enabled=project.conversations_enabled,
        widget_enabled=project.widget_enabled,
        widget_domains=tuple(project.widget_domains),
        widget_restore_enabled=project.widget_restore_enabled,
        fingerprint=fingerprint(project.identity_secret),
    )
    return orjson.dumps(record)


def fingerprint(identity_secret: str) -> str:
    return hashlib.sha256(f"fingerprint:{identity_secret}".encode()).hexdigest()[:16]
