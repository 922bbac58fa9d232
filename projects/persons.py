"""The customers behind a page of tickets, in one query."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Lower

from projects.models import Person, PersonDistinctId
from rest.json import timestamp

_NAME_PROPERTIES = (
    "email",
    "Email",
    "$email",
    "name",
    "Name",
    "username",
    "Username",
    "UserName",
)
_MACHINE_ID = re.compile(r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}|[0-9a-zA-Z]{20,}")


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
    """All persons known by any of these, in one query however many there are."""
    found = PersonDistinctId.objects.filter(
        project_id=project_id, distinct_id__in=set(distinct_ids)
    ).values("person")
    addresses = {email.lower() for email in emails}
    if addresses:
        # A union, since an OR of the two would read every person of the project.
        found = found.union(
            Person.objects.annotate(address=Lower(KeyTextTransform("email", "properties")))
            .filter(project_id=project_id, address__in=addresses)
            .values("pk")
        )
    names = PersonDistinctId.objects.filter(person=OuterRef("pk")).order_by("pk")
    rows = (
        Person.objects.filter(pk__in=found)
        .annotate(distinct_ids=ArraySubquery(names.values("distinct_id")))
        .order_by("created_at", "pk")
    )
    by_distinct_id: dict[str, dict[str, Any]] = {}
    by_email: dict[str, dict[str, Any]] = {}
    for person in rows:
        answer = person_json(person, person.distinct_ids)
        for distinct_id in person.distinct_ids:
            by_distinct_id[distinct_id] = answer
        email = person.properties.get("email")
        if isinstance(email, str):
            by_email.setdefault(email.lower(), answer)
    return Customers(by_distinct_id, by_email)


def person_json(person: Person, distinct_ids: list[str]) -> dict[str, Any]:
    return {
        "id": person.pk,
        "name": person_name(person.properties, distinct_ids),
        "distinct_ids": distinct_ids,
        "properties": person.properties,
        "created_at": timestamp(person.created_at),
        "is_identified": person.is_identified,
    }


def person_name(properties: dict[str, Any], distinct_ids: list[str]) -> str:
    """The first property that names somebody, else the id that looks least like a machine's."""
    for name in _NAME_PROPERTIES:
        value = properties.get(name)
        if isinstance(value, str) and value.strip():
            return value
    # min() keeps the first of equals: among ids that look alike the oldest wins.
    return min(distinct_ids, key=_looks_made, default="")


def _looks_made(distinct_id: str) -> int:
    return len("".join(_MACHINE_ID.findall(distinct_id)))
