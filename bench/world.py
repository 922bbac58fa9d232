"""What there is to ask for: the projects of a measurement, and the servers that are measured."""

import contextlib
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.stack import Web, start_web


@dataclass(frozen=True)
class Room:
    """A project, a key that may do everything in it, and what the harness knows of its tickets."""

    project_id: int
    key: str
    public_token: str
    tickets: int
    unread: int
    # Some that the team has read, so that reading them once more changes nothing.
    read_tickets: tuple[str, ...]
    # What idle widgets ask.
    polls: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"/api/projects/{self.project_id}/conversations/tickets"


@dataclass(frozen=True)
class Desk:
    """An agent of all projects who is signed in, and what they have made to look at."""

    # The cookie.
    session: str
    # Saved in the shop.
    view: str
    views: int
    # A ticket of the scratch project.
    conversation: int
    messages: int


@dataclass(frozen=True)
class World:
    """All but the two for writing are only read, so that each round finds them the same."""

    shop: Room
    scratch: Room
    scratch_max_plus_one: Room
    small: Room
    unread: Room
    neighbour: Room
    desk: Desk


@dataclass(frozen=True)
class Servers:
    """The service, and what it is measured against; each is started by who asks for it first."""

    started: contextlib.ExitStack
    folder: Path

    @cached_property
    def service(self) -> Web:
        return self._start("Service", "config.serve", ready="/readyz")

    @cached_property
    def reference(self) -> Web:
        return self._start("Reference", "bench.reference", ready="/")

    @cached_property
    def plain(self) -> Web:
        return self._start("Plain viewset", "bench.plain", ready="/ready")

    @cached_property
    def max_plus_one(self) -> Web:
        return self._start("MAX() + 1", "bench.max_plus_one", ready="/readyz")

    def another(self, name: str) -> Web:
        """A new service, that nobody else sends anything to."""
        return self._start(name, "config.serve", ready="/readyz")

    def _start(self, name: str, module: str, *, ready: str) -> Web:
        command, log = [sys.executable, "-m", module], self.folder / f"{name}.log"
        return start_web(self.started, name, command, log=log, ready=ready)
