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
from django.db.backends.postgresql import base, operations
from psycopg.pq import TransactionStatus
from psycopg.types.datetime import TimestamptzLoader

from rest import leases

# A statement's answer comes at the latest so long after the server should have ended it.
_GRACE_SECONDS = 3.0
# How long a connection that was idle may take for `SELECT 1`.
_CHECK_SECONDS = 3.0
# So long nobody of this process connects to a server that hangs.
_BREAK_SECONDS = 1.0

# The calls of a statement after which it is worth to be planned for good.
PLAN_AFTER = 5

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


class PlannedCursor(psycopg.Cursor[Any]):
    """Plans a statement anew where a migration has changed the type of a column it reads."""

    def execute(self, *args: Any, **kwargs: Any) -> "PlannedCursor":
        try:
            return super().execute(*args, **kwargs)
        except psycopg.errors.FeatureNotSupported:
            if self.connection.info.transaction_status != TransactionStatus.IDLE:
                # What was planned goes with the transaction, for whoever tries it again.
                raise
            self.connection.execute("DEALLOCATE ALL")
            return super().execute(*args, **kwargs)


def _is_direct(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server at the other end is PostgreSQL itself.

    A pooler gives its clients numbers of its own for the process that serves them, as it has
    none yet when they connect (PgBouncer: random ones).
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] == connection.info.backend_pid


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> Any:
        """For whoever looks at what was asked; of a planned statement the driver keeps nothing."""
        if isinstance(cursor, PlannedCursor):
            return psycopg.ClientCursor(cursor.connection).mogrify(sql, params)
        return super().last_executed_query(cursor, sql, params)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
    Database: Any = SimpleNamespace(**{**vars(psycopg), "connect": ImpatientConnection.connect})

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = super().create_cursor(name)
        # psycopg's own, which is in C and gives UTC on a connection of that zone, as Django
        # makes them. Django's is in Python, and took a sixth of the time of a list.
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        return cursor

    def connect(self) -> None:
        super().connect()
        connection: Any = self.connection
        with self.wrap_database_errors:
            if _is_direct(connection):
                connection.prepare_threshold = PLAN_AFTER

    def planned_cursor(self) -> Any:
        """A cursor for statements whose text is always the same.

        PostgreSQL plans such a statement once for each connection, where it would take several
        times as long to plan it as to find a row by its key; and again after each ANALYZE, so
        that a plan made for an empty table is not kept for a full one. Through a pooler, where
        the next statement may come to another connection, it plans each.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            return self._prepare_cursor(PlannedCursor(self.connection))  # type: ignore[attr-defined]  # (not in the stubs)

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
