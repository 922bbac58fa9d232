"""A client of the stream, as a browser's EventSource reads it."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from tests.api import ApiClient
from tests.service import Service

# Longer than the 15 seconds within which a stream ends.
PATIENCE_SECONDS = 25.0


def stream_url_of(project: Any) -> str:
    return f"/api/projects/{project.pk}/conversations/stream"


@dataclass(frozen=True)
class Told:
    """What one block of lines said; a comment has no event."""

    event: str | None
    data: Any
    id: str | None


class Stream(AbstractContextManager["Stream"]):
    """An open stream; or an answer that refuses one, see `status`."""

    def __init__(
        self,
        service: Service,
        url: str,
        caller: ApiClient,
        *,
        last_event_id: str | None = None,
        method: str = "GET",
        **headers: str,
    ) -> None:
        self.connection = HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE_SECONDS)
        sent = {**caller.headers, **headers}
        if last_event_id is not None:
            sent["Last-Event-ID"] = last_event_id
        self.connection.request(method, url, headers=sent)
        self.response: HTTPResponse = self.connection.getresponse()
        self.status = self.response.status

    def __exit__(self, *exc: object) -> None:
        self.response.close()
        self.connection.close()

    def json(self) -> Any:
        return json.loads(self.response.read())

    def told(self) -> Iterator[Told]:
        """All that it says until it ends."""
        fields: dict[str, str] = {}
        while line := self.response.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if line != b"\n":
                fields[name] = value
                continue
            data = json.loads(fields["data"]) if "data" in fields else None
            yield Told(fields.get("event"), data, fields.get("id"))
            fields = {}

    def next(self) -> Told:
        """The next that is no comment."""
        return next(told for told in self.told() if told.event is not None)

    def event(self) -> Any:
        """The next event of the project, as its JSON."""
        told = next(told for told in self.told() if told.id is not None)
        assert (told.id, told.event) == (told.data["id"], told.data["type"])
        return told.data

    def count(self) -> int:
        """The next unread count."""
        told = next(told for told in self.told() if told.event == "unread_count")
        assert told.id is None
        count: int = told.data["count"]
        return count

    def wait_for_the_end(self) -> None:
        """Returns when the server has ended it, which it says properly."""
        for _ in self.told():
            pass
