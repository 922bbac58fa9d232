"""The agents of a project and its roles, as forms of a page."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rest_framework import serializers

from conversations.inbox.settings.forms import Field
from projects.members.queries import members_of
from projects.members.verbs import NotAnAgent, find_member
from projects.models import Role, User
from rest.exceptions import invalid
from rest.fields import BoundedList, StrictObject, Text

MAX_MEMBERS = 1000
NEW_AGENT = [
    Field(
        "email",
        "Email address",
        max_length=254,
        required=True,
        help="Of somebody who has an account on this service.",
    )
]
NEW_ROLE = [Field("name", "Name", max_length=200, required=True)]
ROLE = [
    Field("role_name", "Name", max_length=200, required=True),
    Field("role_members", "Agents in it", "lines"),
    Field("were_members", "Agents who were in it", "lines"),
]


class NewAgentSerializer(StrictObject):
    email = Text(max_length=254)


class NewRoleSerializer(StrictObject):
    name = Text(max_length=200)


class RoleSerializer(StrictObject):
    role_name = Text(max_length=200)
    role_members = BoundedList(child=Text(max_length=254), max_length=MAX_MEMBERS)
    # As the form was shown: what others have changed since is not put back.
    were_members = BoundedList(child=Text(max_length=254), max_length=MAX_MEMBERS)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        wanted = _addresses(attrs["role_members"])
        were = _addresses(attrs["were_members"])
        attrs["joining"] = self._agents(wanted - were)
        project_id = self.context["project_id"]
        attrs["leaving"] = list(members_of(project_id).filter(email__in=were - wanted))
        return attrs

    def _agents(self, addresses: Iterable[str]) -> list[User]:
        try:
            return [
                find_member(self.context["project_id"], address) for address in sorted(addresses)
            ]
        except NotAnAgent as exc:
            raise serializers.ValidationError({"role_members": [str(exc)]}) from exc


def _addresses(texts: Iterable[str]) -> set[str]:
    return {text.lower() for text in texts}


@dataclass(frozen=True)
class ShownRole:
    role: Role
    members: list[str]
    # What is in its form: as it is, or as it was typed.
    entered_name: str
    entered_members: str
    is_open: bool


def members_by_role(project_id: int) -> dict[Any, list[str]]:
    """The addresses of those in each role who are agents of the project."""
    found: dict[Any, list[str]] = {}
    rows = members_of(project_id).filter(roles__project_id=project_id).order_by("email")
    for role, email in rows.values_list("roles__pk", "email"):
        found.setdefault(role, []).append(email)
    return found


def name_taken(field: str) -> serializers.ValidationError:
    return invalid(field, "The project has a role of this name already.", "unique")
