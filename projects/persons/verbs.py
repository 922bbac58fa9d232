"""The ways a person comes to be, changes, and becomes one with another.

Locks: persons by id, then distinct ids in their order. How a person is erased is
said in `conversations.persons`, since tickets are erased with them.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from django.db import transaction

from projects.models import Person, PersonDistinctId
from rest.json import are_same

MAX_PROPERTIES_BYTES = 64 * 1024
MAX_DISTINCT_IDS_IN_ALL = 1000


class SeveralPersons(Exception):
    """The distinct ids belong to several persons. Merge them first."""


class NoSuchPerson(Exception):
    """There is no such person in this project."""


class TooManyProperties(Exception):
    """The person would have more than 64 KiB of properties."""


class TooManyDistinctIds(Exception):
    """The person would have more than 1000 distinct ids."""


def identify(
    *, project_id: int, distinct_ids: Sequence[str], properties: dict[str, Any]
) -> tuple[Person, bool]:
    """The person who is all of these, with these properties; and whether they are new.

    Known to whoever owns an API key, and so identified. However many ask at once,
    a distinct id gets one person. Raises SeveralPersons, TooManyDistinctIds and
    TooManyProperties.
    """
    with transaction.atomic(savepoint=False):
        person, is_new = _owner(project_id, distinct_ids)
        set_properties(person=person, properties=properties)
        if not person.is_identified:
            person.is_identified = True
            person.save(update_fields=["is_identified"])
    return person, is_new


def _owner(project_id: int, distinct_ids: Sequence[str]) -> tuple[Person, bool]:
    """The person that all of these belong to from now on, locked; and whether they are new."""
    # Each further round means that somebody else has made, merged or erased one of
    # the persons meanwhile.
    while True:
        owners = _owners(project_id, distinct_ids)
        if owners:
            person = Person.objects.select_for_update().filter(pk=_only(owners.values())).first()
        else:
            person = Person.objects.create(project_id=project_id, is_identified=True)
        if person is None:
            continue
        missing = [distinct_id for distinct_id in distinct_ids if distinct_id not in owners]
        if not missing:
            return person, False
        if _link(person, missing):
            _check_distinct_ids(person)
            return person, not owners
        if not owners:
            person.delete()


def _owners(project_id: int, distinct_ids: Sequence[str]) -> dict[str, uuid.UUID]:
    rows = PersonDistinctId.objects.filter(project_id=project_id, distinct_id__in=distinct_ids)
    return dict(rows.values_list("distinct_id", "person_id"))


def _only(owners: Iterable[uuid.UUID]) -> uuid.UUID:
    person_id, *others = set(owners)
    if others:
        raise SeveralPersons(SeveralPersons.__doc__)
    return person_id


def _link(person: Person, distinct_ids: Sequence[str]) -> bool:
    """Gives the person these ids; false if somebody else has got one of them first.

    Waits for those who are adding the same ones, in one order with them, so that
    two can not wait for each other.
    """
    rows = [
        PersonDistinctId(project_id=person.project_id, person=person, distinct_id=distinct_id)
        for distinct_id in sorted(distinct_ids)
    ]
    PersonDistinctId.objects.bulk_create(rows, ignore_conflicts=True)
    owners = _owners(person.project_id, distinct_ids)
    return len(owners) == len(rows) and set(owners.values()) == {person.pk}


def _check_distinct_ids(person: Person) -> None:
    if person.distinct_id_rows.count() > MAX_DISTINCT_IDS_IN_ALL:
        raise TooManyDistinctIds(TooManyDistinctIds.__doc__)


def set_properties(*, person: Person, properties: dict[str, Any]) -> None:
    """Replaces those of the same name; the caller has locked the person.

    Raises TooManyProperties.
    """
    _keep(person, {**person.properties, **properties})


def _keep(person: Person, properties: dict[str, Any]) -> None:
    if are_same(properties, person.properties):
        return
    if len(orjson.dumps(properties)) > MAX_PROPERTIES_BYTES:
        raise TooManyProperties(TooManyProperties.__doc__)
    person.properties = properties
    person.save(update_fields=["properties"])


def merge_persons(*, project_id: int, target_id: uuid.UUID, source_id: uuid.UUID) -> Person:
    """Makes two persons one: the target, with the distinct ids and properties of both.

    Where both have a property, the target's stays. They are known since the earlier
    of the two. Their tickets show the target from now on, since tickets name distinct
    ids. Raises NoSuchPerson, whose argument is the id, TooManyDistinctIds and
    TooManyProperties.
    """
    with transaction.atomic(savepoint=False):
        # In one order, so that two opposite merges can not wait for each other.
        both = Person.objects.in_project(project_id).filter(pk__in=[target_id, source_id])
        found = {person.pk: person for person in both.order_by("pk").select_for_update()}
        for person_id in (target_id, source_id):
            if person_id not in found:
                raise NoSuchPerson(person_id)
        target, source = found[target_id], found[source_id]
        PersonDistinctId.objects.filter(person=source).update(person=target)
        _check_distinct_ids(target)
        _keep(target, {**source.properties, **target.properties})
        target.is_identified = target.is_identified or source.is_identified
        target.created_at = min(target.created_at, source.created_at)
        target.save(update_fields=["is_identified", "created_at"])
        source.delete()
    return target
