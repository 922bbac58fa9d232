"""Django's PostgreSQL backend, with an end to waiting for a server that hangs.

The server itself ends a statement that takes longer than `STATEMENT_TIMEOUT`. One that is
paused, or whose storage hangs, ends nothing, and its kernel goes on to acknowledge what it is
sent, so that TCP finds nothing wrong: without a limit on this side a request waits for as long
as that lasts. Django looks for a package with a module of this name.
"""

import time
from types import SimpleNamespace
from typing import Any

import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.backends.postgresql import base
from psycopg.types.datetime import TimestamptzLoader

from rest import leases

# A statement's answer comes at the latest so long after the server should have ended it.
_GRACE_SECONDS = 3.0
# How long a connection that was idle may take for `SELECT 1`.
_CHECK_SECONDS = 3.0
# So long nobody of this process connects to a server that hangs.
_BREAK_SECONDS = 1.0

_hung_until = 0.0


def _hangs() -> None:
    global _hung_until
    _hung_until = time.monotonic() + _BREAK_SECONDS


class ImpatientConnection(psycopg.Connection[Any]):
    """Closes itself, and raises OperationalError, when an answer takes longer than `patience`."""

    patience: float | None = None

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> "ImpatientConnection":
        if time.monotonic() < _hung_until:
            raise psycopg.OperationalError("PostgreSQL did not answer just now.")
        try:
            connection = super().connect(*args, **kwargs)
        except psycopg.errors.ConnectionTimeout:
            _hangs()
            raise
        if settings.STATEMENT_TIMEOUT:
            connection.patience = settings.STATEMENT_TIMEOUT + _GRACE_SECONDS
        return connection

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is None:
            timeout = self.patience
        try:
            return super().wait(gen, interval=interval, timeout=timeout)
        except psycopg.errors._WaitTimeout as exc:
            _hangs()
            # The answer to this may still come, and nobody must take it for that to the next.
            self.pgconn.finish()
            raise psycopg.OperationalError("PostgreSQL does not answer.") from exc


class DatabaseWrapper(base.DatabaseWrapper):
    Database: Any = SimpleNamespace(**{**vars(psycopg), "connect": ImpatientConnection.connect})

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = super().create_cursor(name)
        # psycopg's own, which is in C and gives UTC on a connection of that zone, as Django
        # makes them. Django's is in Python, and took a sixth of the time of a list.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        return cursor

    def is_usable(self) -> bool:
        """Looked at before a request's first query; it need not wait for a whole statement."""
        connection: Any = self.connection
        if connection is None:
            return False
        patience, connection.patience = connection.patience, _CHECK_SECONDS
        try:
            usable: bool = super().is_usable()
        finally:
            connection.patience = patience
        return usable

    def commit(self) -> None:
        hooks = [entry[1] for entry in self.run_on_commit]
        try:
            super().commit()
        except (OperationalError, InterfaceError):
            # Nobody knows whether it was done. If it was, what it changed must not stay cached.
            leases.forget_in_doubt(hooks)
            raise
