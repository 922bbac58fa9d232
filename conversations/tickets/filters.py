"""The parameters of the ticket list: which tickets, in which order."""

from typing import Any

from django.db.models import Case, IntegerField, Q, Value, When
from rest_framework import serializers

from conversations.models import ChannelSource, Priority, Status, TicketQuerySet
from rest.fields import CommaList, QueryFlag
from rest.pagination import Order, PageQuery

_COLUMNS = {
    "updated_at": {},
    "created_at": {},
    "ticket_number": {"unique": True},
    "sla_due_at": {"nullable": True},
    "snoozed_until": {"nullable": True},
    "last_message_at": {"nullable": True},
    "priority": {"nullable": True},
}


class TicketListQuery(PageQuery):
    """Filters combine with AND; the values of one filter with OR."""

    status = CommaList(
        serializers.ChoiceField(choices=Status.choices), help_text="One or several statuses."
    )
    priority = CommaList(
        serializers.ChoiceField(choices=[*Priority.choices, ("none", "none")]),
        help_text="One or several priorities; `none`: without one.",
    )
    channel_source = serializers.ChoiceField(choices=ChannelSource.choices, required=False)
    distinct_ids = CommaList(
        serializers.CharField(max_length=400), help_text="Tickets of any of these customers."
    )
    ids = CommaList(serializers.UUIDField(), help_text="Any of these tickets.")
    unread = QueryFlag(required=False, help_text="Whether the team has unread messages in it.")
    order_by = serializers.ChoiceField(
        choices=[sign + column for column in _COLUMNS for sign in ("", "-")],
        default="-updated_at",
        help_text="`-` for descending. Nulls come last either way.",
    )


def matching(tickets: TicketQuerySet, query: dict[str, Any]) -> TicketQuerySet:
    """The tickets that a validated `TicketListQuery` asks for."""
    if "status" in query:
        tickets = tickets.filter(status__in=query["status"])
    if "priority" in query:
        named = Q(priority__in=[value for value in query["priority"] if value != "none"])
        tickets = tickets.filter(named | Q(priority=None) if "none" in query["priority"] else named)
    if "channel_source" in query:
        tickets = tickets.filter(channel_source=query["channel_source"])
    if "distinct_ids" in query:
        tickets = tickets.filter(distinct_id__in=query["distinct_ids"])
    if "ids" in query:
        tickets = tickets.filter(pk__in=query["ids"])
    if "unread" in query:
        tickets = (
            tickets.filter(unread_team_count__gt=0)
            if query["unread"]
            else tickets.filter(unread_team_count=0)
        )
    return tickets


def sorted_by(tickets: TicketQuerySet, order_by: str) -> tuple[TicketQuerySet, Order]:
    column = order_by.removeprefix("-")
    options: dict[str, bool] = _COLUMNS[column]
    if column == "priority":
        tickets, column = tickets.annotate(priority_rank=_PRIORITY_RANK), "priority_rank"
    return tickets, Order(column, descending=order_by.startswith("-"), **options)


_PRIORITY_RANK = Case(
    *(When(priority=value, then=Value(rank)) for rank, value in enumerate(Priority.values)),
    output_field=IntegerField(null=True),
)
