"""How a person is erased.

Here and not beside the other verbs of persons, which know nothing of tickets: what
goes is named in one place, and nothing has to be connected for it to happen.
"""

from django.db import transaction
from django.db.models import Q, Value

from conversations.models import Restore, Ticket
from conversations.tickets.verbs import delete_ticket, update_ticket
from projects.models import Person, address_key, new_uuid
from projects.persons import find_customers
from projects.persons.verbs import remove


def erase_person(*, person: Person, tickets: bool) -> None:
    """Deletes a person that the caller has locked; with their tickets and messages if so told.

    Otherwise the tickets stay, each on its own: without traits and address, and under
    a fresh distinct id, which leads neither to the person nor from one ticket to the
    next. A few statements for each ticket.
    """
    with transaction.atomic(savepoint=False):
        for ticket in _tickets_of(person):
            if tickets:
                delete_ticket(ticket=ticket)
            else:
                update_ticket(
                    ticket=ticket,
                    distinct_id=str(new_uuid()),
                    anonymous_traits={},
                    email_from=None,
                    # Nobody has proved the new one.
                    identity_verified=None if ticket.identity_verified is None else False,
                )
        if isinstance(address := person.properties.get("email"), str):
            wishes = Restore.objects.filter(project_id=person.project_id)
            wishes.filter(email=address.lower()).delete()
        remove(person=person)


def _tickets_of(person: Person) -> list[Ticket]:
    """Those that show this person, by distinct id or by address; locked."""
    distinct_ids = list(person.distinct_id_rows.values_list("distinct_id", flat=True))
    whose = Q(distinct_id__in=distinct_ids)
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
    # Of the tickets with this address some are other persons'; those who are known by
    # the ticket's distinct id, or who have had the same address for longer.
    customers = find_customers(
        person.project_id,
        distinct_ids=[ticket.distinct_id for ticket in tickets],
        emails=[ticket.email_from for ticket in tickets if ticket.email_from],
    )
    shown = [customers.of(ticket.distinct_id, ticket.email_from) for ticket in tickets]
    return [
        ticket
        for ticket, customer in zip(tickets, shown, strict=True)
        if customer is not None and customer["id"] == person.pk
    ]
