"""A PostgreSQL that is there and answers nothing: who waits for it, and for how long."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from config.embedded import Server
from rest.postgresql import base

# Far from what anything here takes, and from the 15 seconds of a statement.
SOON = 2.0


@pytest.fixture
def hang(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Pauses PostgreSQL, with an open connection to it, until the end of the test."""
    connection.ensure_connection()
    yield postgres_server.pause
    postgres_server.resume()
    monkeypatch.setattr(base, "_hung_until", 0.0)
    connection.close()


def ask() -> float:
    """Seconds until a query failed."""
    began = time.monotonic()
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return time.monotonic() - began


def driver() -> Any:
    return connection.connection


@pytest.mark.parametrize(("limit", "patience"), [(15, 18), (0, None)])
def test_an_answer_may_take_a_little_longer_than_a_statement(
    settings: Any, limit: int, patience: int | None
) -> None:
    settings.STATEMENT_TIMEOUT = limit

    with base.ImpatientConnection.connect(**connection.get_connection_params()) as new:
        assert new.patience == patience


def test_a_statement_without_an_answer_ends_and_its_connection_with_it(
    hang: Callable[[], None],
) -> None:
    driver().patience = 0.2
    hang()

    assert ask() < SOON
    assert driver().closed


def test_nobody_connects_for_a_moment_after_that(hang: Callable[[], None]) -> None:
    driver().patience = 0.2
    hang()
    ask()

    connection.close()
    assert ask() < SOON


def test_after_a_connection_that_did_not_come_about_nobody_tries_for_a_moment(
    hang: Callable[[], None],
) -> None:
    parameters = connection.get_connection_params()
    connection.close()
    hang()
    # Two seconds are the least that libpq knows.
    with pytest.raises(psycopg.OperationalError):
        base.ImpatientConnection.connect(**{**parameters, "connect_timeout": 2})

    assert ask() < SOON


def test_a_connection_that_was_idle_is_not_given_the_time_of_a_statement(
    hang: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_CHECK_SECONDS", 0.2)
    patience = driver().patience
    hang()
    began = time.monotonic()

    assert not connection.is_usable()
    assert time.monotonic() - began < SOON
    assert driver().patience == patience


def test_a_network_that_is_gone_is_found_out_by_the_system() -> None:
    connection.ensure_connection()

    with closing(socket.socket(fileno=socket.dup(driver().fileno()))) as wire:
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
