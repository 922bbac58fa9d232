"""Rows as tuples, where a model's instances would take several times as long to make."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from psycopg.adapt import Buffer, Loader

from rest.json import loads


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
