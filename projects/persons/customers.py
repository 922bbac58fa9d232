"""The customers behind a page of tickets, in one query."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from projects.models import Person, names_in
from rest.json import timestamp
from rest.rows import fetch

_MACHINE_ID = re.compile(r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}|[0-9a-zA-Z]{20,}")


# By hand, since every answer with a ticket asks this, and the ORM took longer to write it down
# than PostgreSQL to answer it. Of several persons with one address the oldest has it.
_PERSONS = """
SELECT id, ARRAY(
    SELECT distinct_id FROM projects_persondistinctid WHERE person_id = projects_person.id
    ORDER BY id
), properties, created_at, is_identified, claimed
FROM projects_person WHERE id IN (<known>) ORDER BY created_at, id
"""
_BY_DISTINCT_ID = """
SELECT person_id FROM projects_persondistinctid WHERE project_id = %s AND distinct_id = ANY(%s)
"""
# A union, since an OR of the two would read every person of the project. The condition is that
# of `PersonQuerySet.with_address`, in the words of the index `person_email`.
_BY_ADDRESS = """
UNION SELECT id FROM projects_person
WHERE project_id = %s AND LEFT(LOWER(properties ->> 'email'), 320) IN (<addresses>)
"""
_ADDRESS = "LEFT(LOWER(%s), 320)"


@dataclass(frozen=True)
class Customers:
    """Persons found by distinct id and by email address (lower case), as in answers."""

    by_distinct_id: dict[str, dict[str, Any]]
    by_email: dict[str, dict[str, Any]]

    def of(self, distinct_id: str, email: str | None) -> dict[str, Any] | None:
        person = self.by_distinct_id.get(distinct_id)
        if person is None and email:
            person = self.by_email.get(email.lower())
        return person


def find_customers(
    project_id: int, *, distinct_ids: Iterable[str], emails: Iterable[str] = ()
) -> Customers:
    """All persons known by any of these, in one query however many there are.

    Nobody has an address who merely claims it: others write from there.
    """
    names, addresses = sorted(set(distinct_ids)), sorted(set(emails))
    if not names and not addresses:
        return Customers({}, {})
    parameters = [project_id, names]
    known = _BY_DISTINCT_ID
    if addresses:
        known += _BY_ADDRESS.replace("<addresses>", ", ".join([_ADDRESS] * len(addresses)))
        parameters += [project_id, *addresses]
    by_distinct_id: dict[str, dict[str, Any]] = {}
    by_email: dict[str, dict[str, Any]] = {}
    for *shown, claimed in fetch(_PERSONS.replace("<known>", known), parameters):
        answer = _shown(*shown)
        for distinct_id in answer["distinct_ids"]:
            by_distinct_id[distinct_id] = answer
        properties = answer["properties"]
        email = properties.get("email")
        if isinstance(email, str) and "email" not in claimed:
            by_email.setdefault(email.lower(), answer)
    return Customers(by_distinct_id, by_email)


def person_json(person: Person) -> dict[str, Any]:
    """A person as answers show them; found `with_distinct_ids`."""
    return _shown(
        person.pk,
        person.distinct_ids,
        person.properties,
        person.created_at,
        person.is_identified,
    )


def _shown(
    pk: UUID,
    distinct_ids: list[str],
    properties: dict[str, Any],
    created_at: datetime,
    is_identified: bool,
) -> dict[str, Any]:
    """By the columns of `_PERSONS`, in their order."""
    return {
        "id": pk,
        "name": person_name(properties, distinct_ids),
        "distinct_ids": distinct_ids,
        "properties": properties,
        "created_at": timestamp(created_at),
        "is_identified": is_identified,
    }


def person_name(properties: dict[str, Any], distinct_ids: list[str]) -> str:
    """The first property that names somebody, else the id that looks least like a machine's."""
    for name in names_in(properties):
        return name
    # min() keeps the first of equals: among ids that look alike the oldest wins.
    return min(distinct_ids, key=_looks_made, default="")


def _looks_made(distinct_id: str) -> int:
    return len("".join(_MACHINE_ID.findall(distinct_id)))
