"""Persons and their distinct ids, as the verbs and the claims lock, add and keep them."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from projects.models import Person, PersonDistinctId
from rest.json import are_same

MAX_PROPERTIES_BYTES = 64 * 1024


class TooManyProperties(Exception):
    """The person would have more than 64 KiB of properties."""


def rows_named(project_id: int, distinct_ids: Iterable[str]) -> list[PersonDistinctId]:
    named = {"project_id": project_id, "distinct_id__in": set(distinct_ids)}
    return list(PersonDistinctId.objects.filter(**named))


def lock(person_ids: Iterable[uuid.UUID], project_id: int) -> dict[uuid.UUID, Person]:
    persons = Person.objects.in_project(project_id).filter(pk__in=set(person_ids))
    return {person.pk: person for person in persons.order_by("pk").select_for_update()}


def add(
    person: Person,
    distinct_ids: Iterable[str],
    *,
    is_identified: bool,
    link: uuid.UUID | None,
) -> bool:
    """Gives a locked person new ids; false if somebody else has got one of them first.

    Waits for those who are adding the same ones, in one order with them, so that
    two can not wait for each other.
    """
    rows = [
        PersonDistinctId(
            project_id=person.project_id,
            person=person,
            distinct_id=distinct_id,
            is_identified=is_identified,
            link=link,
        )
        for distinct_id in sorted(distinct_ids)
    ]
    PersonDistinctId.objects.bulk_create(rows, ignore_conflicts=True)
    there = rows_named(person.project_id, [row.distinct_id for row in rows])
    return len(there) == len(rows) and all(row.person_id == person.pk for row in there)


def keep(person: Person, properties: dict[str, Any], claimed: Sequence[str]) -> None:
    """Claims give way where there is not room for everything."""
    if are_same(properties, person.properties) and set(claimed) == set(person.claimed):
        return
    if size(properties) > MAX_PROPERTIES_BYTES:
        properties, claimed = without(properties, claimed), []
        if size(properties) > MAX_PROPERTIES_BYTES:
            raise TooManyProperties(TooManyProperties.__doc__)
    person.properties, person.claimed = properties, list(claimed)
    person.save(update_fields=["properties", "claimed"])


def said_of(person: Person) -> dict[str, Any]:
    """The properties that are more than a claim."""
    return without(person.properties, person.claimed)


def claims_of(person: Person) -> dict[str, Any]:
    return {name: person.properties[name] for name in person.claimed if name in person.properties}


def size(properties: dict[str, Any]) -> int:
    return len(orjson.dumps(properties))


def without(properties: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    gone = set(names)
    return {name: value for name, value in properties.items() if name not in gone}
