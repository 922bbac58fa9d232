"""How people are called on the pages: customers, agents, roles."""

from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, Value
from django.db.models.functions import Cast

from conversations.models import Ticket
from projects.models import Membership, Role

MAX_ASSIGNABLE = 1000


@dataclass(frozen=True)
class Assignable:
    """Whom a ticket can be assigned to; `value` is what the list's filter calls them."""

    value: str
    name: str
    email: str | None


def assignable(project_id: int) -> list[Assignable]:
    """A project's agents, then its roles, each by name; one query."""
    agents = Membership.objects.filter(project_id=project_id).values_list(
        Value("user"),
        Cast("user_id", CharField()),
        "user__first_name",
        "user__last_name",
        "user__email",
    )
    roles = Role.objects.filter(project_id=project_id).values_list(
        Value("role"), Cast("id", CharField()), "name", Value(""), Value("")
    )
    rows = agents.union(roles, all=True)[:MAX_ASSIGNABLE]
    found = [
        Assignable(f"{kind}:{key}", f"{first} {last}".strip() or email, email or None)
        for kind, key, first, last, email in rows
    ]
    return sorted(found, key=lambda one: (one.email is None, one.name.casefold()))


def assigned_to(ticket: Ticket) -> str | None:
    """The assignee as the list's filter calls them."""
    if ticket.assignee_user_id is not None:
        return f"user:{ticket.assignee_user_id}"
    return None if ticket.assignee_role_id is None else f"role:{ticket.assignee_role_id}"


def assignee_name(ticket: Ticket, among: list[Assignable]) -> str | None:
    """A former agent is in no list of members, but the ticket knows their address."""
    names = {one.value: one.name for one in among}
    known = names.get(assigned_to(ticket) or "")
    return known or ticket.assignee_email or ticket.assignee_role_name


def customer_name(ticket: Ticket) -> str:
    """What a person would call the customer: a name before an address, an address before an id."""
    properties = ticket.person["properties"] if ticket.person else {}
    candidates: list[Any] = [
        *(properties.get(name) for name in ("name", "Name")),
        ticket.anonymous_traits.get("name"),
        ticket.person and ticket.person["name"],
        ticket.anonymous_traits.get("email"),
        ticket.email_from,
    ]
    named = (text.strip() for text in candidates if isinstance(text, str))
    return next((text for text in named if text), "Visitor")


def as_assignee(value: str) -> dict[str, Any] | None:
    """What a control says as the API takes it; what is neither is for the API to refuse."""
    if value in ("", "unassigned"):
        return None
    kind, _, key = value.partition(":")
    is_number = kind == "user" and key.isascii() and key.isdecimal() and len(key) < 19
    return {"type": kind, "id": int(key) if is_number else key}
