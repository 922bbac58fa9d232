"""Rows that are read and written by statements whose text is always the same.

For each call Django composes the SQL of a query, or asks the driver what the columns of a raw one
are, and PostgreSQL plans it. Both take several times as long as to find a row by its key. Here
the columns are known beforehand, and PostgreSQL plans a statement once for each connection, where
that can be; see `planned_cursor`.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, connection
from django.db.models import Func, Model
from django.db.models.signals import post_save

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Columns(Generic[M]):
    """A model's columns as a statement names them, and how an instance comes of their values."""

    model: type[M]
    names: list[str]
    sql: str
    converters: list[tuple[int, Callable[..., Any]]]

    @classmethod
    def of(cls, model: type[M], *, without: Sequence[str] = ()) -> "Columns[M]":
        """Those `without` are loaded by a query of their own when somebody asks for them."""
        fields = [field for field in model._meta.concrete_fields if field.name not in without]
        quoted = [f'"{model._meta.db_table}"."{field.column}"' for field in fields]
        return cls(
            model=model,
            names=[field.attname for field in fields],
            sql=", ".join(quoted),
            converters=[
                (place, field.from_db_value)
                for place, field in enumerate(fields)
                if hasattr(field, "from_db_value")
            ],
        )

    def __len__(self) -> int:
        return len(self.names)

    def instance(self, values: Sequence[Any]) -> M:
        converted = list(values)
        for place, convert in self.converters:
            converted[place] = convert(converted[place], None, connection)
        return self.model.from_db(connection.alias, self.names, converted)


def every(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    with _executed(sql, parameters) as cursor:
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def first(sql: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    """The row of a statement that has one, or none."""
    return next(iter(every(sql, parameters)), None)


def insert(instance: Model) -> None:
    """What `instance.save(force_insert=True)` does, without the signal before it."""
    fields = instance._meta.concrete_fields
    values, parameters = _assigned(instance, fields, add=True)
    columns = ", ".join(f'"{field.column}"' for field in fields)
    returned = instance._meta.db_returning_fields
    read_back = ", ".join(f'"{field.column}"' for field in returned)
    [row] = every(
        f'INSERT INTO "{instance._meta.db_table}" ({columns}) VALUES ({", ".join(values)})'  # noqa: S608  (of our own models)
        f" RETURNING {read_back or 1}",
        parameters,
    )
    for field, value in zip(returned, row, strict=False):
        setattr(instance, field.attname, value)
    instance._state.adding, instance._state.db = False, connection.alias
    _tell(instance, created=True, update_fields=None)


def update(instance: Model, names: Sequence[str]) -> None:
    """What `instance.save(update_fields=names)` does, without the signal before it."""
    fields: list[Any] = [instance._meta.get_field(name) for name in names]
    values, parameters = _assigned(instance, fields, add=False)
    changes = ", ".join(
        f'"{field.column}" = {value}' for field, value in zip(fields, values, strict=True)
    )
    key = instance._meta.pk
    statement = f'UPDATE "{instance._meta.db_table}" SET {changes} WHERE "{key.column}" = %s'  # noqa: S608  (as above)
    with _executed(statement, [*parameters, instance.pk]) as cursor:
        if cursor.rowcount != 1:
            raise DatabaseError(f"There is no row of {instance!r} to be updated.")
    _tell(instance, created=False, update_fields=frozenset(names))


def _assigned(instance: Model, fields: Sequence[Any], *, add: bool) -> tuple[list[str], list[Any]]:
    """What is assigned to each field, with its parameters: a value, or a function of values."""
    values, parameters = [], []
    for field in fields:
        value = field.pre_save(instance, add)
        if isinstance(value, Func):
            arguments = [argument.value for argument in value.get_source_expressions()]
            values.append(f"{value.function}({', '.join(['%s'] * len(arguments))})")
            parameters += arguments
        else:
            values.append("%s")
            parameters.append(field.get_db_prep_save(value, connection))
    return values, parameters


def _tell(instance: Model, *, created: bool, update_fields: frozenset[str] | None) -> None:
    post_save.send(
        sender=type(instance),
        instance=instance,
        created=created,
        update_fields=update_fields,
        raw=False,
        using=connection.alias,
    )


@contextlib.contextmanager
def _executed(sql: str, parameters: Sequence[Any]) -> Iterator[Any]:
    with connection.planned_cursor() as cursor:  # type: ignore[attr-defined]  # (of our own backend)
        cursor.execute(sql, parameters)
        yield cursor
