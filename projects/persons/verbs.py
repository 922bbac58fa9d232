"""The ways a person comes to be, changes, and becomes one with another.

By the word of an API key or of a verified identity, that is; what browsers say is in
`projects.persons.claims`, and gives way to it here.

Locks: persons by id, then distinct ids in their order. A distinct id goes from one
person to another, or changes its link, only while its person is locked. How a person
is erased is said in `conversations.persons`, since tickets are erased with them.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q

from projects import identities
from projects.models import Person, PersonDistinctId, new_uuid
from projects.persons.rows import (
    MAX_PROPERTIES_BYTES,
    add,
    claims_of,
    keep,
    lock,
    rows_named,
    said_of,
    size,
)
from rest.json import are_same

# What only claims have put in a person does not count: anybody could fill it up.
MAX_DISTINCT_IDS_IN_ALL = 1000


class SeveralPersons(Exception):
    """The distinct ids belong to several persons. Merge them first."""


class NoSuchPerson(Exception):
    """There is no such person in this project."""


class TooManyDistinctIds(Exception):
    """The person would have more than 1000 distinct ids."""


# --- By the word of an API key -------------------------------------------------


def identify(
    *, project_id: int, distinct_ids: Sequence[str], properties: dict[str, Any]
) -> tuple[Person, bool]:
    """The person who is all of these, with these properties; and whether they are new.

    Known to whoever owns an API key, and so identified, and one customer under all of
    these. However many ask at once, a distinct id gets one person. Raises
    SeveralPersons, TooManyDistinctIds and TooManyProperties.
    """
    with transaction.atomic(savepoint=False):
        person, is_new = _owner(project_id, distinct_ids)
        set_properties(person=person, properties=properties)
    return person, is_new


def set_properties(*, person: Person, properties: dict[str, Any]) -> None:
    """Replaces those of the same name; the caller has locked the person.

    They are an API key's from now on, and not a claim. Raises TooManyProperties.
    """
    claimed = [name for name in person.claimed if name not in properties]
    keep(person, {**person.properties, **properties}, claimed)


def merge_persons(*, project_id: int, target_id: uuid.UUID, source_id: uuid.UUID) -> Person:
    """Makes two persons one: the target, with the distinct ids and properties of both.

    Where both have a property, the target's stays, unless it is only a claim. They are
    known since the earlier of the two. Their tickets show the target from now on, since
    tickets name distinct ids. Raises NoSuchPerson, whose argument is the id,
    TooManyDistinctIds and TooManyProperties.

    The two customers become one, where it is clear which customers are meant: where
    a claim has put more than one under either person, they stay apart.
    """
    with transaction.atomic(savepoint=False):
        # In one order, so that two opposite merges can not wait for each other.
        found = lock([target_id, source_id], project_id)
        for person_id in (target_id, source_id):
            if person_id not in found:
                raise NoSuchPerson(person_id)
        target, source = found[target_id], found[source_id]
        meant = [_customer_of(target), _customer_of(source)]
        PersonDistinctId.objects.filter(person=source).update(person=target)
        if meant[0] and meant[1]:
            _link(target, [*meant[0], *meant[1]])
        _check_distinct_ids(target)
        claims = {**claims_of(source), **claims_of(target)}
        said = {**said_of(source), **said_of(target)}
        keep(target, {**claims, **said}, sorted(claims.keys() - said.keys()))
        target.is_identified = target.is_identified or source.is_identified
        target.created_at = min(target.created_at, source.created_at)
        target.save(update_fields=["is_identified", "created_at"])
        source.delete()
    return target


def remove(*, person: Person) -> None:
    """Deletes a person that the caller has locked, and nothing besides."""
    with transaction.atomic(savepoint=False):
        names = person.distinct_id_rows.values_list("distinct_id", flat=True)
        identities.forget_links(person.project_id, list(names))
        person.delete()


# --- By the word of a verified identity ----------------------------------------


def vouch(*, project_id: int, distinct_id: str, properties: dict[str, Any]) -> Person:
    """The person with this distinct id, whom the project's own server vouches for.

    Sets the properties that no API key has set, which stay claims; null says nothing.
    Where they would make more than 64 KiB, none of them. A distinct id that
    only a claim has put under a person who has been identified under another one gets
    a person of its own.

    One query and no lock where all of it is known. Otherwise the person is locked, so
    call it before tickets are.
    """
    properties = {name: value for name, value in properties.items() if value is not None}
    known = (
        Person.objects.in_project(project_id)
        .filter(
            distinct_id_rows__project_id=project_id,
            distinct_id_rows__distinct_id=distinct_id,
            distinct_id_rows__is_identified=True,
            distinct_id_rows__link__isnull=False,
            is_identified=True,
        )
        .first()
    )
    if known is not None and not _news(known, properties):
        return known
    with transaction.atomic(savepoint=False):
        person, _ = _owner(project_id, [distinct_id])
        news = _news(person, properties)
        together = {**person.properties, **news}
        if size(together) <= MAX_PROPERTIES_BYTES:
            # Who they are is proved, and not what they say of themself.
            keep(person, together, sorted({*person.claimed, *news}))
    return person


def _news(person: Person, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in properties.items()
        if name not in person.properties
        or (name in person.claimed and not are_same(value, person.properties[name]))
    }


# --- Whose a distinct id is ----------------------------------------------------


def _owner(project_id: int, distinct_ids: Sequence[str]) -> tuple[Person, bool]:
    """The person that all of these belong to from now on, locked and identified, as one
    customer; and whether they are new."""
    # Each further round means that somebody else has made, merged or erased one of
    # the persons meanwhile.
    while True:
        found = lock([row.person_id for row in rows_named(project_id, distinct_ids)], project_id)
        rows = rows_named(project_id, distinct_ids)
        if {row.person_id for row in rows} != found.keys():
            continue
        squatted = _squatted(rows)
        owners = {row.person_id for row in rows if row not in squatted}
        if len(owners) > 1:
            raise SeveralPersons(SeveralPersons.__doc__)
        if owners:
            person = found[owners.pop()]
            is_new = False
        else:
            person = Person.objects.create(project_id=project_id, is_identified=True)
            is_new = True
        missing = set(distinct_ids) - {row.distinct_id for row in rows}
        if missing:
            if not add(person, missing, is_identified=True, link=new_uuid()):
                if is_new:
                    person.delete()
                continue
            identities.forget_links(project_id, missing)
        PersonDistinctId.objects.filter(pk__in=[row.pk for row in squatted]).update(person=person)
        if _link(person, distinct_ids):
            _check_distinct_ids(person)
        if not person.is_identified:
            person.is_identified = True
            person.save(update_fields=["is_identified"])
        return person, is_new


def _squatted(rows: Sequence[PersonDistinctId]) -> list[PersonDistinctId]:
    """Those that only a claim has put under a person who is somebody else.

    That person has been identified under another distinct id, not one of these. What is
    said of a customer would be said of a stranger, were they left there.
    """
    unlinked = [row for row in rows if row.link is None]
    if not unlinked:
        return []
    others = PersonDistinctId.objects.filter(
        person__in={row.person_id for row in unlinked}, is_identified=True
    ).exclude(pk__in=[row.pk for row in rows])
    strangers = set(others.values_list("person_id", flat=True))
    # One that an API key has named before stays where it is, and its company with it.
    strangers -= {row.person_id for row in rows if row.link is not None}
    return [row for row in unlinked if row.person_id in strangers]


def _link(person: Person, distinct_ids: Iterable[str]) -> bool:
    """Makes these ids of a locked person one customer, with all that are linked to either
    of them already; whether that is new."""
    named = Q(distinct_id__in=set(distinct_ids))
    rows = list(person.distinct_id_rows.filter(named))
    links = {row.link for row in rows if row.link is not None}
    if len(links) == 1 and all(row.link and row.is_identified for row in rows):
        return False
    changed = person.distinct_id_rows.filter(named | Q(link__in=links))
    names = list(changed.values_list("distinct_id", flat=True))
    changed.update(link=min(links, default=new_uuid()), is_identified=True)
    identities.forget_links(person.project_id, names)
    return True


def _customer_of(person: Person) -> list[str]:
    """Some of the distinct ids of the one customer that a locked person is.

    None where it is not clear who that is: where several of the ids, or groups of
    linked ones, have been brought together by claims alone.
    """
    rows = list(person.distinct_id_rows.values_list("link", "distinct_id"))
    if len(rows) == 1:
        return [distinct_id for _, distinct_id in rows]
    by_link = {link: distinct_id for link, distinct_id in rows if link is not None}
    return list(by_link.values()) if len(by_link) == 1 else []


def _check_distinct_ids(person: Person) -> None:
    if person.distinct_id_rows.filter(link__isnull=False).count() > MAX_DISTINCT_IDS_IN_ALL:
        raise TooManyDistinctIds(TooManyDistinctIds.__doc__)
