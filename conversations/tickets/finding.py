"""The ticket that a path names, found by one statement with all that its answer shows."""

import functools
import re
from typing import Any
from uuid import UUID

from django.db import OperationalError
from psycopg import errors
from rest_framework.exceptions import NotFound

from conversations.models import Ticket
from projects.models import Person
from projects.persons import person_json
from rest.fields import UUID_FORM
from rest.statements import Columns, first

_OF_REQUEST = "conversations.ticket"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_TO_CHANGE = """
SELECT {ticket} FROM conversations_ticket WHERE project_id = %s AND {name} = %s FOR UPDATE
"""
_TO_SHOW = """
SELECT {ticket}, projects_user.email, projects_role.name, {person}, ARRAY(
    SELECT distinct_id FROM projects_persondistinctid WHERE person_id = projects_person.id
    ORDER BY id
)
FROM conversations_ticket
LEFT JOIN projects_user ON projects_user.id = assignee_user_id
LEFT JOIN projects_role ON projects_role.id = assignee_role_id
LEFT JOIN projects_persondistinctid AS known ON known.project_id = conversations_ticket.project_id
    AND known.distinct_id = conversations_ticket.distinct_id
LEFT JOIN projects_person ON projects_person.id = known.person_id
WHERE conversations_ticket.project_id = %s AND conversations_ticket.{name} = %s
"""


def find_ticket(project_id: int, named: str, *, lock: bool) -> Ticket:
    """The project's ticket with this UUID or number; raises NotFound.

    To be changed it is locked, and alone: after waiting for the lock PostgreSQL would have the
    new row beside the person of the old one.
    """
    parameters: list[Any]
    if UUID_FORM.fullmatch(named):
        name, parameters = "id", [project_id, UUID(named)]
    elif _NUMBER.fullmatch(named):
        name, parameters = "ticket_number", [project_id, int(named)]
    else:
        raise _no_ticket()
    row = first(_statement(name, lock=lock), parameters)
    if row is None:
        raise _no_ticket()
    ticket = ticket_columns().instance(row[: len(ticket_columns())])
    if lock:
        ticket.load_assignee_names()
    else:
        _add_what_is_shown(ticket, row[len(ticket_columns()) :])
    return ticket


def find_to_show(environ: dict[str, Any], project_id: int, named: str) -> Ticket:
    """The ticket that a request only reads, looked up by whoever asks for it first.

    What took PostgreSQL too long is not tried again, but raised once more.
    """
    asked = (project_id, named)
    if _OF_REQUEST not in environ or environ[_OF_REQUEST][0] != asked:
        found: Ticket | OperationalError
        try:
            found = find_ticket(project_id, named, lock=False)
        except OperationalError as exc:
            if not isinstance(exc.__cause__, errors.QueryCanceled | errors.LockNotAvailable):
                raise
            found = exc
        environ[_OF_REQUEST] = (asked, found)
    found = environ[_OF_REQUEST][1]
    if isinstance(found, OperationalError):
        raise found
    return found


def _add_what_is_shown(ticket: Ticket, shown: Any) -> None:
    ticket.assignee_email, ticket.assignee_role_name, *of_person, distinct_ids = shown
    if of_person[0] is not None:
        person = _person_columns().instance(of_person)
        person.distinct_ids = distinct_ids
        ticket.person = person_json(person)
    elif ticket.email_from:
        # There may be one with this address, for `load_persons` to find.
        return
    else:
        ticket.person = None
    ticket.person_found_by = (ticket.distinct_id, ticket.email_from)


def _no_ticket() -> NotFound:
    return NotFound("There is no such ticket.")


@functools.cache
def _statement(name: str, *, lock: bool) -> str:
    statement = _TO_CHANGE if lock else _TO_SHOW
    return statement.format(ticket=ticket_columns().sql, person=_person_columns().sql, name=name)


@functools.cache
def ticket_columns() -> Columns[Ticket]:
    """Without the words for the search, which only the index of them reads."""
    return Columns.of(Ticket, without=["search"])


@functools.cache
def _person_columns() -> Columns[Person]:
    return Columns.of(Person, without=["search"])
