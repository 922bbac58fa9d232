"""Requests that may be repeated: with an Idempotency-Key, one that was answered is not done again.

The answer is stored in the transaction of the write, so that there is never one
without the other. A twin that comes while the first runs is seen by an advisory
lock; an index would make it wait for the first one's end. The header follows
draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from django.db import connection
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from rest.exceptions import Conflict, KeyReused, invalid
from rest.json import dumps
from rest.models import StoredAnswer

LIFETIME = timedelta(hours=24)
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_PRUNE_AT_ONCE = 1000


class Repeatable(Protocol):
    """An endpoint whose requests may be repeated."""

    def act(self, request: Request) -> Response:
        """Does what is asked for."""

    def told_about(self, response: Response) -> Sequence[UUID]:
        """The tickets and persons that an answer tells of."""

    def before_replay(self, about: Sequence[UUID]) -> None:
        """The first try may have died between its commit and what it had to do after it."""


def once(request: Request, *, scope: str, endpoint: Repeatable) -> Response | HttpResponse:
    """What the endpoint answers; or, if this request was answered before, that answer again.

    `scope` says whose key it is: two callers may choose the same one. Only answers of
    2xx are stored. Raises ValidationError for a key that is none, Conflict while
    the first request runs, KeyReused for another request with its key. Within the
    transaction of the write.
    """
    key = request.META["HTTP_IDEMPOTENCY_KEY"]
    if not _KEY.fullmatch(key):
        raise invalid("Idempotency-Key", "Must be 1 to 255 printable ASCII characters.")
    fingerprint = _fingerprint(request)
    digest = hashlib.sha256(f"{scope}\0{key}".encode())
    if not _is_alone(int.from_bytes(digest.digest()[:8], signed=True)):
        raise Conflict("A request with this Idempotency-Key is still running.")
    stored = StoredAnswer.objects.filter(digest=digest.hexdigest()).first()
    if stored is not None and stored.created_at > timezone.now() - LIFETIME:
        if stored.fingerprint != fingerprint:
            raise KeyReused()
        endpoint.before_replay(stored.about)
        return _replayed(stored)
    if stored is not None:
        stored.delete()
    response = endpoint.act(request)
    # The framework says what a body is when it renders it.
    headers = {name: text for name, text in response.headers.items() if name != "Content-Type"}
    if 200 <= response.status_code < 300:
        StoredAnswer.objects.create(
            digest=digest.hexdigest(),
            fingerprint=fingerprint,
            status=response.status_code,
            headers=headers,
            body=b"" if response.data is None else dumps(response.data),
            about=endpoint.told_about(response),
        )
    return response


def forget_about(ids: Iterable[UUID]) -> None:
    """Drops the answers that tell of one of these tickets or persons."""
    StoredAnswer.objects.filter(about__overlap=list(ids)).delete()


def prune() -> None:
    """Removes the answers that are kept no longer."""
    expired = StoredAnswer.objects.filter(created_at__lte=timezone.now() - LIFETIME)
    while StoredAnswer.objects.filter(pk__in=expired.values("pk")[:_PRUNE_AT_ONCE]).delete()[0]:
        pass


def _is_alone(lock: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [lock])
        return bool(cursor.fetchone()[0])


def _fingerprint(request: Request) -> str:
    # Read before the parser reads it, which then finds it here; the other way round it is gone.
    parts = [str(request.method).encode(), request.get_full_path().encode(), request.body]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _replayed(stored: StoredAnswer) -> HttpResponse:
    response = HttpResponse(
        bytes(stored.body), status=stored.status, content_type="application/json"
    )
    if not stored.body:
        del response.headers["Content-Type"]
    for name, value in stored.headers.items():
        response.headers[name] = value
    response.headers["Idempotency-Replayed"] = "true"
    return response
