"""Rows as tuples: each value is what a model's field would have read."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import register_tzloader

from conversations.tickets.filters import TicketListQuery
from projects.models import Project
from rest import rows
from rest.json import JSONField, timestamp
from rest.rows import fetch, fetch_named

MOMENTS = (
    "0001-01-01 00:00:00+00",
    "0987-06-05 04:03:02.000001+00",
    "1899-12-31 23:59:59.999999+00",
    "1970-01-01 00:00:00+00",
    "2026-03-29 01:30:00.5+00",
    "2026-03-29 03:30:00+02",
    "2038-01-19 03:14:08.000010+00",
    "9999-12-31 23:59:59.999999+00",
)
JSON = (
    "null",
    '"text"',
    '"\\u00dc\\n\\ud83d\\ude00"',
    "[true, false, null]",
    '{"whole": 1, "float": 1.0, "tiny": 5e-324, "long": 0.1234567890123456789012345678901234}',
    '{"most": 9223372036854775807, "least": -9223372036854775808}',
    '{"beyond": 9223372036854775808, "below": -9223372036854775809, "u64": 18446744073709551615}',
    '{"very large": 1e300, "deep": {"list": [1e308, -1e308]}}',
    '{"digits in a text": "18446744073709551616"}',
)


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_is_read_as_django_reads_it(text: str) -> None:
    [[ours]] = fetch("SELECT %s::timestamptz", [text])

    with connection.cursor() as cursor:
        register_tzloader(UTC, cursor)
        cursor.execute("SELECT %s::timestamptz", [text])
        [theirs] = cursor.fetchone()
    assert (ours, ours.tzinfo) == (theirs, theirs.tzinfo) == (datetime.fromisoformat(text), UTC)


def test_a_cursor_on_the_server_reads_moments_in_utc(project: Project) -> None:
    with transaction.atomic():
        [moment] = Project.objects.filter(pk=project.pk).values_list("created_at").iterator()

    assert (moment[0], moment[0].tzinfo) == (project.created_at, UTC)


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_is_written_with_microseconds_and_z(text: str) -> None:
    moment = datetime.fromisoformat(text).astimezone(UTC)

    assert timestamp(moment) == f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def test_a_moment_of_another_zone_is_written_in_utc() -> None:
    moment = datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))

    assert timestamp(moment) == "2025-12-31T18:45:00.000000Z"


@pytest.mark.parametrize("text", JSON)
def test_json_is_read_as_the_field_reads_it(text: str) -> None:
    [[ours, stored]] = fetch("SELECT value, value::text FROM (SELECT %s::jsonb AS value)", [text])

    # By their repr: to Python 1 and 1.0 and true are equal.
    assert repr(ours) == repr(JSONField().from_db_value(stored, None, connection))


def test_a_null_is_none() -> None:
    assert fetch("SELECT NULL::jsonb, NULL::timestamptz", []) == [(None, None)]


def test_named_rows_have_the_columns_that_are_asked_for(project: Project) -> None:
    [row] = fetch_named(lambda: Project.objects.filter(pk=project.pk), ("name", "id"))

    assert (row.id, row.name, len(row)) == (project.pk, "Shop", 2)


def test_what_can_not_be_found_is_not_asked_for() -> None:
    assert fetch_named(Project.objects.none, ("id",)) == []


def test_a_statement_is_written_once_and_asked_anew(project: Project) -> None:
    kept_as = uuid4()
    fetch_named(lambda: Project.objects.filter(pk=project.pk), ("name",), kept_as=kept_as)
    Project.objects.filter(pk=project.pk).update(name="Renamed")

    def never() -> Any:
        raise AssertionError("The statement is known already.")

    assert fetch_named(never, ("name",), kept_as=kept_as) == [("Renamed",)]


def test_few_statements_are_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MOST_KEPT", 3)

    for _ in range(10):
        fetch_named(Project.objects.all, ("id",), kept_as=uuid4())

    assert len(rows._kept) <= 3


def test_a_query_is_read_with_the_fields_that_matter_to_it() -> None:
    given = TicketListQuery(data={"status": "new", "unknown": "1"})

    assert list(given.fields) == ["offset", "cursor", "status"]
    assert TicketListQuery().fields.keys() == TicketListQuery._declared_fields.keys()
