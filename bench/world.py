"""What there is to ask for: the projects of a measurement, and the servers that are measured."""

from dataclasses import dataclass

from bench.stack import Web


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
class World:
    """All projects but `scratch` are only read, so that they are the same in every round."""

    shop: Room
    scratch: Room
    small: Room
    unread: Room
    neighbour: Room


@dataclass(frozen=True)
class Servers:
    """The service, and what it is measured against: see the modules that each serves."""

    service: Web
    reference: Web
    plain: Web
    max_plus_one: Web
