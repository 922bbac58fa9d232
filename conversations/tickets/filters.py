"""The parameters of the ticket list: which tickets, in which order."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, Case, F, Func, IntegerField, Q, QuerySet, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from conversations import search
from conversations.models import ChannelSource, Priority, Status, TicketQuerySet
from conversations.tickets.serializers import TagField
from conversations.tickets.totals import total
from projects.models import Project, User, address_key
from rest.dates import read_bound
from rest.fields import UUID_FORM, CommaList, Identifier, QueryFlag
from rest.pagination import Order, PageQuery, count_of

MAX_SEARCH = 200
MAX_BOUND = 40
MAX_TAGS_OF_A_FILTER = 50
DEADLINES = [(name, name) for name in ("breached", "at-risk", "on-track")]
_UUID = UUID_FORM.pattern
_ASSIGNEE = re.compile(f"(unassigned|me|user:([0-9]{{1,19}})|role:({_UUID}))")
ASSIGNEE_CHOICE = {
    "type": "string",
    "pattern": f"^(unassigned|me|user:[0-9]{{1,19}}|role:{_UUID})$",
}
_AT_RISK = timedelta(hours=1)
COLUMNS = {
    "updated_at": {},
    "created_at": {},
    "ticket_number": {"unique": True},
    "sla_due_at": {"nullable": True},
    "snoozed_until": {"nullable": True},
    "last_message_at": {"nullable": True},
    "priority": {"nullable": True},
}
DEFAULT_ORDER = "-updated_at"
_ORDERS = [sign + column for column in COLUMNS for sign in ("", "-")]


# --- What a parameter may say ------------------------------------------------


@extend_schema_field(ASSIGNEE_CHOICE)
class AssigneeChoice(serializers.Field[Any, Any, Any, Any]):
    """`unassigned`, `me`, `user:<id>` or `role:<id>`, as a condition."""

    default_error_messages = {
        "invalid": "Must be `unassigned`, `me`, `user:` and a number, or `role:` and a UUID.",
        "too_large": "There are no such numbers of users.",
        "not_signed_in": "`me` is a signed-in agent. With an API key, name one: `user:<id>`.",
    }

    def to_internal_value(self, data: str) -> Q:
        named = _ASSIGNEE.fullmatch(data)
        if named is None:
            self.fail("invalid")
        if named[0] == "unassigned":
            return Q(assignee_user=None, assignee_role=None)
        if named[0] == "me":
            return Q(assignee_user=self._signed_in())
        if named[3]:
            return Q(assignee_role=UUID(named[3]))
        if int(named[2]) >= 2**63:
            self.fail("too_large")
        return Q(assignee_user=int(named[2]))

    def _signed_in(self) -> int:
        agent = self.context["view"].request.user
        if not isinstance(agent, User):
            self.fail("not_signed_in")
        return agent.pk


@extend_schema_field(
    {
        "type": "string",
        "enum": _ORDERS,
        # What generated clients call them: of a `-` they can make no name.
        "x-enum-varnames": [
            name[1:].upper() + "_DESCENDING" if name.startswith("-") else name.upper()
            for name in _ORDERS
        ],
    }
)
class OrderField(serializers.ChoiceField):
    """A column, with `-` for descending."""


class TagList(CommaList):
    """Tags as a JSON array, which can hold any, or separated by commas; as they are kept."""

    default_error_messages = {"not_an_array": "Not a JSON array of texts."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(TagField(max_length=200), max_items=MAX_TAGS_OF_A_FILTER, **kwargs)

    def items(self, data: str) -> list[Any]:
        if not data.lstrip().startswith("["):
            return super().items(data)
        try:
            tags: list[Any] = json.loads(data)
        except (ValueError, RecursionError):
            self.fail("not_an_array")
        if not all(isinstance(tag, str) for tag in tags):
            self.fail("not_an_array")
        return tags or [""]


class Bound(serializers.CharField):
    """A bound of a period, see `rest.dates`; None is no bound."""

    default_error_messages = {
        "unknown": "Neither a date, a time, `all`, nor relative like `-7d` or `-1mStart`.",
        "beyond": "Beyond what a calendar has.",
    }

    def __init__(self, *, is_end: bool = False, help_text: str) -> None:
        values = "`2026-01-31`, a time of ISO 8601, `all`, or relative: `-7d`, `-1mStart`, `dEnd`"
        super().__init__(
            required=False,
            max_length=MAX_BOUND,
            help_text=f"{help_text}: {values} (s, M: minutes, h, d, w, m, q, y). Without a time"
            " zone, the project's is meant.",
        )
        self.is_end = is_end

    def run_validation(self, data: Any = serializers.empty) -> datetime | None:
        text: str = super().run_validation(data)
        query: Any = self.parent
        try:
            return read_bound(text, is_end=self.is_end, now=query.now, zone=lambda: query.zone)
        except OverflowError:
            self.fail("beyond")
        except ValueError:
            self.fail("unknown")


class SearchField(serializers.CharField):
    """A ticket's number, or words."""

    default_error_messages = {"no_word": "There is no word in it: no letter and no digit."}

    def run_validation(self, data: Any = serializers.empty) -> search.Search:
        text: str = super().run_validation(data)
        try:
            return search.read_search(self.context["view"].project_id, text)
        except ValueError:
            self.fail("no_word")


# --- The parameters ----------------------------------------------------------


class TicketListQuery(PageQuery):
    """Filters combine with AND; the values of one filter with OR."""

    status = CommaList(
        serializers.ChoiceField(choices=Status.choices), help_text="One or several statuses."
    )
    priority = CommaList(
        serializers.ChoiceField(choices=[*Priority.choices, ("none", "none")]),
        help_text="One or several priorities; `none`: without one.",
    )
    channel_source = serializers.ChoiceField(
        choices=ChannelSource.choices, required=False, help_text="By which way it came."
    )
    channel_detail = serializers.CharField(
        max_length=64, required=False, help_text="Exactly this, such as `widget_embedded`."
    )
    assignee = CommaList(
        AssigneeChoice(),
        help_text="Any of: `unassigned`; `me`, who is signed in; `user:<id>`; `role:<id>`.",
    )
    date_from = Bound(help_text="Changed (`updated_at`) then or later")
    date_to = Bound(
        is_end=True, help_text="Changed (`updated_at`) then or earlier; a date includes that day"
    )
    created_from = Bound(help_text="Created then or later")
    created_to = Bound(is_end=True, help_text="Created then or earlier; a date includes that day")
    distinct_ids = CommaList(
        serializers.CharField(max_length=400), help_text="Tickets of any of these customers."
    )
    emails = CommaList(
        serializers.CharField(max_length=320),
        help_text="Tickets from any of these addresses (`email_from`, or the `email` among the"
        " traits), in whichever case.",
    )
    ids = CommaList(Identifier(), help_text="Any of these tickets.")
    search = SearchField(
        required=False,
        max_length=MAX_SEARCH,
        help_text="A ticket's number, with or without `#`; or words that must each begin a word"
        " of the customer's name or address, the subject, the tags or a message.",
    )
    sla = serializers.ChoiceField(
        choices=DEADLINES,
        required=False,
        help_text="The deadline is over, within the next hour, or later.",
    )
    snoozed = QueryFlag(required=False, help_text="Whether it has a `snoozed_until`.")
    unread = QueryFlag(required=False, help_text="Whether the team has unread messages in it.")
    tags = TagList(help_text="Any of these tags; a JSON array or a comma-separated list.")
    tags_all = TagList(help_text="All of these tags.")
    tags_exclude = TagList(help_text="None of these tags.")
    order_by = OrderField(
        choices=_ORDERS,
        required=False,
        help_text="`-` for descending; `-updated_at` when left out. Nulls come last either way.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        # No default of the field: generated clients send those, and would override a view's order.
        return super().validate({"order_by": DEFAULT_ORDER, **attrs})

    @cached_property
    def now(self) -> datetime:
        """One for all bounds of a request."""
        return timezone.now()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The project's time zone: one query where the view does not know it, and only for a
        bound that has none."""
        known: ZoneInfo | None = getattr(self.context["view"], "time_zone", None)
        if known is not None:
            return known
        names = Project.objects.values_list("time_zone", flat=True)
        return ZoneInfo(names.get(pk=self.context["view"].project_id))


# --- What they mean ----------------------------------------------------------


def number_of(
    tickets: TicketQuerySet, project_id: int, query: dict[str, Any]
) -> QuerySet[Any, int]:
    """The query for how many tickets match, of `tickets`, which are all of the project."""
    narrowing = _NARROWING & query.keys()
    if narrowing <= {"status"}:
        return total(project_id, query.get("status"))
    if narrowing <= {"status", "snoozed"} and not query["snoozed"]:
        # All but the snoozed ones, which are few and have an index.
        snoozed = count_of(matching(tickets, query | {"snoozed": True}, counting=True))
        return total(project_id, query.get("status"), less=snoozed)
    if narrowing == {"search"}:
        wanted: search.Search = query["search"]
        return wanted.number_among_all(tickets)
    return count_of(matching(tickets, query, counting=True))


# Parameters that mean the same at any time and to anybody, and have few values.
_SETTLED = {
    *PageQuery._declared_fields,
    "order_by",
    "view",
    "status",
    "priority",
    "channel_source",
    "snoozed",
    "unread",
}


def is_settled(query: dict[str, Any]) -> bool:
    """Whether a validated `TicketListQuery` always asks for the same in the same words."""
    return query.keys() <= _SETTLED


def matching(
    tickets: TicketQuerySet, query: dict[str, Any], *, counting: bool = False
) -> TicketQuerySet:
    """The tickets that a validated `TicketListQuery` asks for.

    With `counting` the same ones, found in a way that suits those who want them all.
    """
    if "emails" in query:
        tickets = _from_addresses(tickets, query["emails"])
    conditions = [_CONDITIONS[name](query[name]) for name in _CONDITIONS if name in query]
    tickets = tickets.filter(*conditions)
    if "search" in query:
        wanted: search.Search = query["search"]
        tickets = wanted.counted_among(tickets) if counting else wanted.among(tickets)
    return tickets


def _with_priority(priorities: list[str]) -> Q:
    named = Q(priority__in=[value for value in priorities if value != "none"])
    return named | Q(priority=None) if "none" in priorities else named


def _assigned_to_any(choices: list[Q]) -> Q:
    any_of_them = Q()
    for choice in choices:
        any_of_them |= choice
    return any_of_them


def _due(sla: str) -> Q:
    now = timezone.now()
    if sla == "breached":
        return Q(sla_due_at__lt=now)
    if sla == "at-risk":
        return Q(sla_due_at__gte=now, sla_due_at__lte=now + _AT_RISK)
    return Q(sla_due_at__gt=now + _AT_RISK)


def sla_state(due_at: datetime | None, now: datetime) -> str | None:
    """Which of the filter's values a deadline has; None is no deadline."""
    if due_at is None:
        return None
    if due_at < now:
        return "breached"
    return "at-risk" if due_at <= now + _AT_RISK else "on-track"


class _AnyOf(Func):
    """Whether a value is in an array."""

    template = "%(expressions)s)"
    arg_joiner = " = ANY ("
    output_field = BooleanField()


def _from_addresses(tickets: TicketQuerySet, emails: list[str]) -> TicketQuerySet:
    # PostgreSQL puts both sides in lower case, so that they can not differ in how.
    addresses: list[Any] = [address_key(Value(email)) for email in emails]
    traits = tickets.alias(address=address_key(KeyTextTransform("email", "anonymous_traits")))
    senders = tickets.alias(address=address_key("email_from"))
    # As an array, since the planner takes one ticket in two hundred to be from any
    # address, and would walk through the whole project in the order of the list.
    pks = [
        ArraySubquery(rows.filter(address__in=addresses).values("pk")) for rows in (senders, traits)
    ]
    return tickets.filter(_AnyOf(F("pk"), pks[0]) | _AnyOf(F("pk"), pks[1]))


def _bounded(lookup: str) -> Callable[[datetime | None], Q]:
    return lambda moment: Q() if moment is None else Q(**{lookup: moment})


_CONDITIONS: dict[str, Callable[[Any], Q]] = {
    "status": lambda statuses: Q(status__in=statuses),
    "priority": _with_priority,
    "channel_source": lambda source: Q(channel_source=source),
    "channel_detail": lambda detail: Q(channel_detail=detail),
    "assignee": _assigned_to_any,
    "date_from": _bounded("updated_at__gte"),
    "date_to": _bounded("updated_at__lte"),
    "created_from": _bounded("created_at__gte"),
    "created_to": _bounded("created_at__lte"),
    "distinct_ids": lambda distinct_ids: Q(distinct_id__in=distinct_ids),
    "ids": lambda ids: Q(pk__in=ids),
    "sla": _due,
    "snoozed": lambda is_snoozed: Q(snoozed_until__isnull=not is_snoozed),
    "unread": lambda is_unread: Q(unread_team_count__gt=0) if is_unread else Q(unread_team_count=0),
    "tags": lambda tags: Q(tags__overlap=tags),
    "tags_all": lambda tags: Q(tags__contains=tags),
    "tags_exclude": lambda tags: ~Q(tags__overlap=tags),
}
# What narrows the list; all else in a query is where to look in it.
_NARROWING = {"emails", "search", *_CONDITIONS}


def order_named(order_by: str) -> Order:
    column = order_by.removeprefix("-")
    options: dict[str, bool] = COLUMNS[column]
    if column == "priority":
        column = "priority_rank"
    return Order(column, descending=order_by.startswith("-"), **options)


def ranked(tickets: TicketQuerySet, order: Order) -> TicketQuerySet:
    """The tickets with what they are to be sorted by."""
    if order.column == "priority_rank":
        return tickets.annotate(priority_rank=_PRIORITY_RANK)
    return tickets


_PRIORITY_RANK = Case(
    *(When(priority=value, then=Value(rank)) for rank, value in enumerate(Priority.values)),
    output_field=IntegerField(null=True),
)
