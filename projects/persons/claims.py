"""What browsers say of persons, with no proof: claims.

Anybody has a project's public token, so anybody can say anything of any distinct id
that they know. A claim may make a person, fill in properties that are absent, and
bring distinct ids together that were never identified. It changes nothing that an
API key or a verified identity has said, and it links nothing: neither a verified
identity nor a restored conversation looks at what is here.

They are heard by a job, not by the request that brings them: how long it takes to hear
one would tell whoever sends it who is known here.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from projects.models import PendingClaims, Person, PersonDistinctId
from projects.persons.rows import (
    MAX_PROPERTIES_BYTES,
    add,
    claims_of,
    keep,
    lock,
    rows_named,
    size,
    without,
)
from rest.exceptions import TRY_AGAIN

# What strangers can put into one person stays a fraction of what an API key can.
MAX_CLAIMED_BYTES = 16 * 1024
MAX_CLAIMED_DISTINCT_IDS = 100

# Claims that no worker has heard for so long are not heard at all.
_KEPT = timedelta(days=1)
_ATTEMPTS = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Claim:
    """That a person with this distinct id has these properties, and the `other` one as well.

    `identifies`: that the distinct id names a customer, not just a browser.
    """

    distinct_id: str
    properties: dict[str, Any]
    other: str | None = None
    identifies: bool = False


class _Overtaken(Exception):
    """Somebody else has made, merged or erased one of the persons meanwhile."""


# --- Until they are heard ----------------------------------------------------


def note(*, project_id: int, claims: Sequence[Claim]) -> PendingClaims:
    """Keeps the claims; whoever calls this enqueues the job that hears them.

    One statement, whomever they are of. Of the properties of each as many are kept as
    one person could take.
    """
    kept = [
        replace(claim, properties=_fitting(claim.properties, MAX_CLAIMED_BYTES)) for claim in claims
    ]
    return PendingClaims.objects.create(
        project_id=project_id, claims=[asdict(claim) for claim in kept]
    )


def hear_noted(pending_id: UUID) -> None:
    """Hears what was noted, in its order; does nothing where that was done already.

    Where it was broken off, or two do it at once, claims are heard again: nothing
    changes by that, since what they say is there.
    """
    pending = PendingClaims.objects.filter(pk=pending_id).first()
    if pending is None:
        return
    for claim in pending.claims:
        hear(project_id=pending.project_id, claim=Claim(**claim))
    pending.delete()


def prune() -> None:
    """Removes claims that have waited too long, or could not be heard."""
    PendingClaims.objects.filter(created_at__lt=timezone.now() - _KEPT).delete()


# --- What becomes of one -----------------------------------------------------


def hear(*, project_id: int, claim: Claim) -> None:
    """Does what a claim may do, in a transaction of its own; what it may not is left out.

    However many are heard at once, a distinct id gets one person. One that is
    overtaken again and again is dropped.
    """
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                _hear(project_id, claim)
                return
        except _Overtaken:
            continue
        except (OperationalError, IntegrityError) as exc:
            if not isinstance(exc.__cause__, TRY_AGAIN):
                raise
    _log.warning("A claim was dropped in project %s: it was overtaken each time", project_id)


def _hear(project_id: int, claim: Claim) -> None:
    names = [name for name in (claim.distinct_id, claim.other) if name is not None]
    persons = lock([row.person_id for row in rows_named(project_id, names)], project_id)
    rows = {row.distinct_id: row for row in rows_named(project_id, names)}
    if {row.person_id for row in rows.values()} != persons.keys():
        raise _Overtaken
    mine, others = rows.get(claim.distinct_id), rows.get(claim.other or "")
    if mine is not None:
        person = persons[mine.person_id]
    elif others is not None and _is_free(persons[others.person_id], adding=1):
        person = persons[others.person_id]
    else:
        person = Person.objects.create(project_id=project_id)
    # In their order, so that two claims can not wait for each other.
    for name in sorted(set(names) - rows.keys()):
        if name == claim.distinct_id or _has_room(person, 1):
            is_identified = claim.identifies and name == claim.distinct_id
            if not add(person, [name], is_identified=is_identified, link=None):
                raise _Overtaken
    if claim.identifies and mine is not None and not mine.is_identified:
        PersonDistinctId.objects.filter(pk=mine.pk).update(is_identified=True)
    if others is not None and others.person_id != person.pk:
        _absorb(person, persons[others.person_id])
    _fill_in(person, claim.properties)


def _is_free(person: Person, *, adding: int = 0) -> bool:
    """Whether nothing but claims has been said of a person, and none that identifies them."""
    is_claimed = not person.is_identified and person.properties.keys() <= set(person.claimed)
    return (
        is_claimed
        and not person.distinct_id_rows.exclude(is_identified=False, link=None).exists()
        and _has_room(person, adding)
    )


def _has_room(person: Person, adding: int) -> bool:
    claimed = person.distinct_id_rows.filter(link=None).count()
    return claimed + adding <= MAX_CLAIMED_DISTINCT_IDS


def _absorb(person: Person, other: Person) -> None:
    """Merges a person of whom nothing is known but claims; leaves any other alone."""
    rows = other.distinct_id_rows
    if not _is_free(other) or not _has_room(person, rows.count()):
        return
    rows.update(person=person)
    other.delete()
    _fill_in(person, other.properties)


def _fill_in(person: Person, properties: dict[str, Any]) -> None:
    """Takes what is absent, each that there is still room for."""
    room = min(
        MAX_CLAIMED_BYTES - size(claims_of(person)),
        MAX_PROPERTIES_BYTES - size(person.properties),
    )
    news = _fitting(without(properties, person.properties), room)
    keep(person, {**person.properties, **news}, [*person.claimed, *news])


def _fitting(properties: dict[str, Any], room: int) -> dict[str, Any]:
    """Each that there is still room for, in bytes. Null says nothing."""
    fitting: dict[str, Any] = {}
    for name, value in properties.items():
        needed = size({name: value})
        if value is not None and needed <= room:
            fitting[name] = value
            room -= needed
    return fitting
