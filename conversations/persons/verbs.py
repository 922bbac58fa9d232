"""How a person is erased.

Here and not beside the other verbs of persons, which know nothing of tickets: what
goes is named in one place, and nothing has to be connected for it to happen.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from conversations.events import verbs as events
from conversations.events.actors import Actor
from conversations.events.models import OF_TICKETS, Event, EventType
from conversations.models import Ticket, load_assignee_names
from conversations.tickets.verbs import delete_ticket, update_ticket
from conversations.widget import restores
from projects.models import Person, address_key, new_uuid
from projects.persons import find_customers
from projects.persons.verbs import remove
from rest import idempotency


def erase_person(*, person: Person, tickets: bool, actor: Actor) -> None:
    """Deletes a person that the caller has locked; with their tickets and messages if so told.

    Otherwise the tickets stay, each on its own: without traits and address, and under
    a fresh distinct id, which leads neither to the person nor from one ticket to the
    next. A few statements for each ticket. The events of all tickets that they ever had
    say nothing of them any more.
    """
    with transaction.atomic(savepoint=False):
        theirs = _tickets_of(person)
        # Django takes the id from a ticket that it deletes.
        told = [
            *(ticket.pk for ticket in theirs),
            *_tickets_gone(person),
            *_tickets_formerly(person),
        ]
        addresses = _addresses(person, theirs)
        for ticket in theirs:
            if tickets:
                delete_ticket(ticket=ticket, actor=actor)
            else:
                update_ticket(
                    ticket=ticket,
                    actor=actor,
                    distinct_id=str(new_uuid()),
                    anonymous_traits={},
                    email_from=None,
                    # Nobody has proved the new one.
                    identity_verified=None if ticket.identity_verified is None else False,
                )
        events.blank(project_id=person.project_id, ticket_ids=told)
        idempotency.forget_about([person.pk, *told])
        restores.forget_addresses(person.project_id, addresses)
        # Claims that wait to be heard are left alone: their rows live for seconds, and one
        # that is heard after this is like one that a browser sends after this.
        remove(person=person)


def _addresses(person: Person, tickets: Sequence[Ticket]) -> list[str]:
    """Those that the person and their tickets name."""
    named = [person.properties.get("email")]
    for ticket in tickets:
        named += [ticket.email_from, ticket.anonymous_traits.get("email")]
    return [address for address in named if isinstance(address, str)]


def _tickets_of(person: Person) -> list[Ticket]:
    """Those that show this person, by distinct id or by address; locked."""
    whose = Q(distinct_id__in=_distinct_ids(person))
    address = person.properties.get("email")
    if isinstance(address, str):
        whose |= Q(email_from__isnull=False, sender=address_key(Value(address)))
    tickets = list(
        Ticket.objects.in_project(person.project_id)
        .alias(sender=address_key("email_from"))
        .filter(whose)
        .select_for_update(of=("self",))
        .order_by("pk")
    )
    shows = _showing(person, [(ticket.distinct_id, ticket.email_from) for ticket in tickets])
    theirs = [ticket for ticket, shown in zip(tickets, shows, strict=True) if shown]
    load_assignee_names(theirs)
    return theirs


def _tickets_gone(person: Person) -> list[UUID]:
    """Those that showed this person and were deleted, as far as events still tell of them.

    The columns of the two partial indexes are repeated here as they are there.
    """
    deleted = Event.objects.filter(project_id=person.project_id, type=EventType.TICKET_DELETED)
    whose = Q(was_known_as__in=_distinct_ids(person))
    address = person.properties.get("email")
    if isinstance(address, str):
        whose |= Q(sender=address_key(Value(address)))
    rows = (
        deleted.alias(sender=address_key(KeyTextTransform("email_from", "object")))
        .annotate(
            was_known_as=KeyTextTransform("distinct_id", "object"),
            email_from=KeyTextTransform("email_from", "object"),
        )
        .filter(whose)
        .values_list("ticket_id", "was_known_as", "email_from")
    )
    found = list(rows)
    shows = _showing(person, [(distinct_id, email_from) for _, distinct_id, email_from in found])
    return [ticket_id for (ticket_id, *_), shown in zip(found, shows, strict=True) if shown]


def _tickets_formerly(person: Person) -> list[UUID]:
    """Those of which an event shows this person, whoever has the ticket's address by now.

    The condition is repeated here as the partial index has it.
    """
    shown = KeyTextTransform("id", KeyTransform("person", "object"))
    told = Event.objects.filter(project_id=person.project_id, type__in=OF_TICKETS)
    theirs = told.annotate(shown=shown).filter(shown=str(person.pk))
    return list(theirs.values_list("ticket_id", flat=True).distinct())


def _distinct_ids(person: Person) -> list[str]:
    return list(person.distinct_id_rows.values_list("distinct_id", flat=True))


def _showing(person: Person, tickets: Sequence[tuple[str, str | None]]) -> list[bool]:
    """Of which of the tickets, named by distinct id and address, this is the person.

    Of those with their address some are other persons': who are known by the ticket's
    distinct id, or who have had the same address for longer.
    """
    customers = find_customers(
        person.project_id,
        distinct_ids=[distinct_id for distinct_id, _ in tickets],
        emails=[email_from for _, email_from in tickets if email_from],
    )
    shown = [customers.of(*ticket) for ticket in tickets]
    return [customer is not None and customer["id"] == person.pk for customer in shown]
