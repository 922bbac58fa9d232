"""What happened, as a reader of the project's events sees it."""

import time
from typing import Any

from django.db import connection

from tests.api import ApiClient
from tests.threads import PATIENCE_SECONDS


def events_url_of(project: Any) -> str:
    return f"/api/projects/{project.pk}/conversations/events"


def events_of(reader: ApiClient, project: Any, **query: Any) -> list[Any]:
    """The project's events over the API, when all that was committed is to be seen."""
    settle()
    response = reader.get(events_url_of(project), **query)
    assert response.status_code == 200, response.content
    results: list[Any] = response.json()["results"]
    return results


def settle() -> None:
    """Waits until no transaction runs that began before now, such as one of the server's own."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text")
        (now,) = cursor.fetchone()
        while time.monotonic() < deadline:
            cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::xid8", [now])
            if cursor.fetchone()[0]:
                return
            time.sleep(0.005)
    raise AssertionError("A transaction does not end.")
