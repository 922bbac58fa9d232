"""One change to many tickets: all of them or none, at the price of a few statements.

What a change brings with it is decided for each ticket where a single one is changed,
in `conversations.tickets.verbs`.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Func, QuerySet
from django.utils import timezone

from conversations import unread
from conversations.events import verbs as events
from conversations.events.actors import SYSTEM, Actor
from conversations.models import Assignee, Ticket, load_assignee_names
from conversations.tickets.serializers import MAX_TAGS
from conversations.tickets.verbs import change
from conversations.widget import polls
from rest.json import dumps


class TooManyTags(Exception):
    """A ticket would have more tags than one can have."""

    def __init__(self, ticket_number: int) -> None:
        super().__init__(f"Ticket #{ticket_number} would have more than {MAX_TAGS} tags.")


def set_status(*, project_id: int, ids: Sequence[UUID], actor: Actor, status: str) -> list[UUID]:
    """Gives tickets a status; which of them changed, in the order of `ids`."""
    return _change_each(project_id, ids, actor, lambda ticket: {"status": status})


def assign(*, project_id: int, ids: Sequence[UUID], actor: Actor, assignee: Assignee) -> list[UUID]:
    """Assigns tickets to a member, a role or nobody; which of them changed, in that order."""
    return _change_each(project_id, ids, actor, lambda ticket: {"assignee": assignee})


def unassign_all(tickets: QuerySet[Ticket]) -> int:
    """Leaves tickets of any projects to nobody, since whom they are assigned to is no more."""
    ids_in: dict[int, list[UUID]] = {}
    for project_id, pk in tickets.order_by("project", "pk").values_list("project", "pk"):
        ids_in.setdefault(project_id, []).append(pk)
    changed = [
        assign(project_id=project_id, ids=ids, actor=SYSTEM, assignee=Assignee())
        for project_id, ids in ids_in.items()
    ]
    return sum(len(ids) for ids in changed)


def add_tags(
    *, project_id: int, ids: Sequence[UUID], actor: Actor, tags: Sequence[str]
) -> list[UUID]:
    """Adds tags to tickets; which of them changed, in that order. Raises TooManyTags."""

    def with_tags(ticket: Ticket) -> dict[str, Any]:
        together = sorted({*ticket.tags, *tags})
        if len(together) > MAX_TAGS:
            raise TooManyTags(ticket.ticket_number)
        return {"tags": together}

    return _change_each(project_id, ids, actor, with_tags)


def remove_tags(
    *, project_id: int, ids: Sequence[UUID], actor: Actor, tags: Sequence[str]
) -> list[UUID]:
    """Takes tags from tickets; which of them changed, in that order."""

    def without_tags(ticket: Ticket) -> dict[str, Any]:
        return {"tags": [tag for tag in ticket.tags if tag not in tags]}

    return _change_each(project_id, ids, actor, without_tags)


def set_tags(
    *, project_id: int, ids: Sequence[UUID], actor: Actor, tags: Sequence[str]
) -> list[UUID]:
    """Gives tickets these tags and no others; which of them changed, in that order."""
    return _change_each(project_id, ids, actor, lambda ticket: {"tags": list(tags)})


def _change_each(
    project_id: int,
    ids: Sequence[UUID],
    actor: Actor,
    fields_of: Callable[[Ticket], dict[str, Any]],
) -> list[UUID]:
    """Changes those of the tickets that are the project's, locked in the order of their ids.

    That order keeps two callers who name the same tickets from waiting for each other.
    """
    with transaction.atomic(savepoint=False):
        tickets = (
            Ticket.objects.in_project(project_id)
            .filter(pk__in=ids)
            .defer("search")
            .order_by("pk")
            .select_for_update()
        )
        # After the locks, which may have taken a while.
        locked = list(tickets)
        load_assignee_names(locked)
        was = {ticket: events.before(ticket) for ticket in locked}
        now = timezone.now()
        columns_of = {ticket: change(ticket, fields_of(ticket), now) for ticket in locked}
        changed = [ticket for ticket, columns in columns_of.items() if columns]
        if changed:
            _write(changed, sorted({column for names in columns_of.values() for column in names}))
            events.record(events.updated({ticket: was[ticket] for ticket in changed}, actor=actor))
            # Raw SQL sends no signal.
            unread.forget(project_id)
            for ticket in changed:
                polls.forget(ticket)
    pks = {ticket.pk for ticket in changed}
    return [pk for pk in dict.fromkeys(ids) if pk in pks]


def _write(tickets: Sequence[Ticket], columns: Sequence[str]) -> None:
    """Stores these columns of tickets that are locked, in one statement.

    Django's `bulk_update` compares each row with each ticket: for 500, which stay locked
    meanwhile, it takes several times as long (measured: 250 ms of processor time, not 40).
    """
    types = {name: str(Ticket._meta.get_field(name).db_type(connection)) for name in columns}
    values = {name: f"new.{name}" for name in columns}
    if "search" in columns:
        types["search"], values["search"] = "text[]", "array_to_tsvector(new.search)"
    rows = [
        {"id": ticket.pk, **{name: _plain(getattr(ticket, name)) for name in columns}}
        for ticket in tickets
    ]
    # Names and types are the model's own.
    changes = ", ".join(f"{name} = {value}" for name, value in values.items())
    shape = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    with connection.cursor() as cursor:
        cursor.execute(_WRITE.format(changes=changes, shape=shape), [dumps(rows).decode()])


_WRITE = """
UPDATE conversations_ticket AS ticket SET {changes}
FROM jsonb_to_recordset(%s::jsonb) AS new(id uuid, {shape})
WHERE ticket.id = new.id
"""


def _plain(value: Any) -> Any:
    """A tsvector, in Python still an expression, as the lexemes that it is made of."""
    if isinstance(value, Func):
        [lexemes] = value.get_source_expressions()
        return lexemes.value
    return value
