"""Rows as tuples, where a model's instances would take several times as long to make."""

import functools
from collections import namedtuple
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from psycopg.adapt import Buffer, Loader

from rest.json import loads

_MOST_KEPT = 500

_kept: dict[Hashable, tuple[str, Sequence[Any]]] = {}


class _JSONLoader(Loader):
    """Reads jsonb as a `JSONField` does."""

    def load(self, data: Buffer) -> Any:
        return loads(str(data, "utf-8"))


def fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows, with each value as a model's field reads it."""
    with connection.cursor() as cursor:
        cursor.cursor.adapters.register_loader("jsonb", _JSONLoader)
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def fetch_named(
    rows: Callable[[], QuerySet[Any]], names: tuple[str, ...], *, kept_as: Hashable = None
) -> list[Any]:
    """All rows, as named tuples of these columns and annotations.

    The ORM takes longer to write the statement of a list than all the rest takes together.
    With `kept_as`, which must say everything that the statement depends on, it writes it once.
    """
    statement = _kept.get(kept_as)
    if statement is None:
        try:
            statement = rows().values_list(*names).query.sql_with_params()
        except EmptyResultSet:
            return []
        if kept_as is not None:
            if len(_kept) >= _MOST_KEPT:
                _kept.clear()
            _kept[kept_as] = statement
    return list(map(_named(names)._make, fetch(*statement)))


@functools.cache
def _named(names: tuple[str, ...]) -> Any:
    return namedtuple("_named", names)
