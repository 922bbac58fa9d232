"""Lists that a client can walk to the end, each page at the price of the first.

A link carries a keyset cursor: the place of the row at the edge of the page, in
the order of the list. The next page is read from the index at that place, so it
neither scans what went before nor shifts when rows come and go ("Pagination done
the PostgreSQL way", M. Winand). `offset` still works for who wants to jump.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.core import signing
from django.db.models import F, Func, IntegerField, Model, OrderBy, Q, QuerySet, Subquery
from rest_framework import serializers
from rest_framework.request import Request

from rest.exceptions import invalid
from rest.fields import QueryInteger, QueryParameters
from rest.rows import fetch_named

Row = TypeVar("Row", bound=Model)
_PLACE_PARAMETERS = ("limit", "offset", "cursor")


class PageQuery(QueryParameters):
    """Where in a list to look; a subclass may change both limits."""

    default_limit = 100
    max_limit = 1000

    limit = QueryInteger(
        required=False, min_value=1, help_text="How many rows; above the maximum it is cut to it."
    )
    offset = QueryInteger(
        default=0, min_value=0, max_value=2**62, help_text="How many rows to pass over."
    )
    cursor = serializers.CharField(
        default=None,
        max_length=1000,
        help_text="Opaque: a place in this list, from its links. It decides over `offset`.",
    )

    def validate_limit(self, limit: int) -> int:
        return min(limit, self.max_limit)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"limit": self.default_limit, **attrs}


@dataclass(frozen=True)
class Order:
    """How a list is sorted: by `column`, then by primary key unless the column is unique."""

    column: str
    descending: bool = False
    nullable: bool = False
    unique: bool = False

    def sorting(self, *, backward: bool) -> list[OrderBy]:
        """Nulls are last in the list, in both directions, so first when walking back."""
        down = self.descending != backward
        nulls: dict[str, Any] = {}
        if self.nullable:
            nulls = {"nulls_first": True} if backward else {"nulls_last": True}
        sorting = [OrderBy(F(self.column), descending=down, **nulls)]
        if not self.unique:
            sorting.append(OrderBy(F("pk"), descending=down))
        return sorting

    def beyond(self, value: Any, pk: Any, *, backward: bool) -> Q:
        """The rows that follow the row at (value, pk), or precede it."""
        less = self.descending != backward
        column, compare = self.column, "lt" if less else "gt"
        if value is None:
            nulls = Q(**{f"{column}__isnull": True, f"pk__{compare}": pk})
            return Q(**{f"{column}__isnull": False}) | nulls if backward else nulls
        if self.unique:
            return Q(**{f"{column}__{compare}": value})
        tie = Q(**{column: value, f"pk__{compare}": pk})
        strictly = Q(**{f"{column}__{compare}": value})
        if self.nullable:
            rows = strictly | tie
            return rows if backward else rows | Q(**{f"{column}__isnull": True})
        # Said twice on purpose: PostgreSQL starts an index scan at a plain bound, and
        # would walk the whole index to check the OR (measured: 4.5 ms against 1,802 ms).
        return Q(**{f"{column}__{compare}e": value}) & (strictly | tie)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of a list, how many there are in all, and the links to the pages beside it."""

    rows: Sequence[Row]
    count: int
    next: str | None
    previous: str | None

    def body(self, results: list[Any]) -> dict[str, Any]:
        return {
            "count": self.count,
            "next": self.next,
            "previous": self.previous,
            "results": results,
        }


def paginate(
    rows: QuerySet[Row],
    *,
    order: Order,
    query: dict[str, Any],
    request: Request,
    scope: str,
    adding: Callable[[Any], QuerySet[Row]] | None = None,
    counted: QuerySet[Any, int] | None = None,
    columns: Sequence[str] = (),
    is_settled: bool = False,
) -> Page[Row]:
    """One page of `rows`, with its count, in one query (two when the page is empty).

    `query` is validated by `PageQuery`. `scope` says which list this is, and whose:
    a cursor from another one, or from another order or filter, is refused. Count
    and rows are of one snapshot, so that they agree. `adding` joins what only the
    rows of the page need: in `rows` it would keep PostgreSQL from counting, and
    from passing over an offset, by an index alone. `counted` is the query for their
    number, where another one is better than `count_of(rows)`.

    With `columns` the rows are named tuples of these. `is_settled` says that the same
    parameters always mean the same statement, so that the one of the first page can be kept,
    see `fetch_named`; `rows` and `counted` are better lazy then.
    """
    counted = count_of(rows) if counted is None else counted
    limit, offset = query["limit"], query["offset"]
    listed = _listed(request, scope, order)
    fingerprint = _fingerprint(listed)
    backward, place = False, None
    if query["cursor"] is not None:
        backward, *place = _open_cursor(query["cursor"], fingerprint)

    def page() -> QuerySet[Any]:
        selected = rows
        if place:
            selected = rows.filter(order.beyond(*place, backward=backward))
        elif offset:
            # A deferred join: only the index is read for the rows that are passed over.
            keys = rows.order_by(*order.sorting(backward=False)).values("pk")
            selected = rows.filter(pk__in=keys[offset : offset + limit + 1])
        ordered = selected.order_by(*order.sorting(backward=backward))
        page: QuerySet[Any] = ordered.annotate(total=Subquery(counted))
        return (adding(page) if adding else page)[: limit + 1]

    found: list[Any]
    if columns:
        names = tuple(dict.fromkeys([*columns, "id", order.column, "total"]))
        is_first = not place and not offset
        kept_as = (names, listed, limit) if is_settled and is_first else None
        found = fetch_named(page, names, kept_as=kept_as)
    else:
        found = list(page())
    count = found[0].total if found else next(iter(counted), 0)
    more, found = len(found) > limit, found[:limit]
    if backward:
        found.reverse()

    has_next = bool(found) and (backward or more)
    # On the way back the rows decide: those that came meanwhile may have used the offset up.
    has_previous = more if backward else offset > 0
    next_link = previous_link = None
    if has_next:
        cursor = _cursor(fingerprint, order, found[-1], backward=False)
        next_link = _link(request, offset + len(found), cursor)
    if has_previous and found:
        cursor = _cursor(fingerprint, order, found[0], backward=True)
        previous_link = _link(request, max(0, offset - limit), cursor)
    elif backward and not found and count:
        # What was before has gone meanwhile: the list begins with what came after.
        next_link = _link(request, 0, None)
    elif has_previous and count:
        # Beyond the end there is no row to start from: back to the last page.
        previous_link = _link(request, max(0, min(offset, count) - limit), None)
    return Page(found, count, next_link, previous_link)


def count_of(rows: QuerySet[Any]) -> QuerySet[Any, int]:
    """The query for how many rows there are."""
    return rows.order_by().values_list(_COUNT, flat=True)


_COUNT = Func(template="COUNT(*)", output_field=IntegerField())


def _listed(request: Request, scope: str, order: Order) -> tuple[Any, ...]:
    """What list this is: all that decides which rows it has, in which order."""
    filters = sorted(
        (name, value)
        for name, value in request.query_params.items()
        if name not in (*_PLACE_PARAMETERS, "order_by")
    )
    return scope, order, tuple(filters)


def _fingerprint(listed: tuple[Any, ...]) -> str:
    scope, order, filters = listed
    return hashlib.sha256(repr((scope, order, list(filters))).encode()).hexdigest()[:16]


def _cursor(fingerprint: str, order: Order, row: Any, *, backward: bool) -> str:
    value = getattr(row, order.column)
    if isinstance(value, datetime):
        value = value.isoformat()
    pk = row.id if isinstance(row.id, int) else str(row.id)
    place = [fingerprint, backward, value, pk]
    return signing.Signer(salt="rest.pagination").sign_object(place)


def _open_cursor(cursor: str, fingerprint: str) -> tuple[bool, Any, Any]:
    try:
        place = signing.Signer(salt="rest.pagination").unsign_object(cursor)
    except (signing.BadSignature, ValueError):
        raise invalid("cursor", "This is not a cursor from a link of this list.") from None
    if place[0] != fingerprint:
        raise invalid("cursor", "The cursor is of another project, order or filter.")
    return place[1], place[2], place[3]


def _link(request: Request, offset: int, cursor: str | None) -> str:
    query = {**request.query_params.dict(), "offset": str(offset)}
    query.pop("cursor", None)
    if cursor:
        query["cursor"] = cursor
    return f"{base_url(request)}{request.path}?{urlencode(query)}"


def base_url(request: Request) -> str:
    """Scheme and host that links begin with."""
    return settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
