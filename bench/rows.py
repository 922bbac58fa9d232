"""What is measured: each row of the table, its requests, and what it is measured against."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import request
from bench.stack import Web

# --- What there is to ask for ------------------------------------------------


@dataclass(frozen=True)
class Room:
    """A project, a key that may do everything in it, and what the harness knows of its tickets."""

    project_id: int
    key: str
    tickets: int
    unread: int
    # Some that the team has read, so that reading them once more changes nothing.
    read_tickets: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"/api/projects/{self.project_id}/conversations/tickets"


@dataclass(frozen=True)
class Seeds:
    """`shop` is only read, so that it is the same in every round; writes go to `fresh`."""

    shop: Room
    fresh: Room


@dataclass(frozen=True)
class Target:
    """Requests to one web server, sent in turn, and how to tell a right answer.

    Every answer is held to the status; `is_right` looks at the body of the first one, before
    anything is measured.
    """

    web: Web
    requests: Sequence[bytes]
    is_right: Callable[[Any], bool]
    status: int = 200


# --- The references ----------------------------------------------------------


def redis_get(reference: Web) -> Target:
    """An answer that costs the server one GET of Redis."""
    return Target(reference, [request("GET", "/")], lambda body: body["count"] > 0)


def constant(reference: Web) -> Target:
    """An answer that costs the server next to nothing: what remains is the load's own limit."""
    return Target(reference, [request("GET", "/constant")], lambda body: body == {"count": 0})


# --- The rows ----------------------------------------------------------------


def unread_count(service: Web, seeds: Seeds) -> Target:
    shop = seeds.shop
    asked = request("GET", f"{shop.path}/unread_count", key=shop.key)
    return Target(service, [asked], lambda body: body == {"count": shop.unread})


def list_of_100(service: Web, seeds: Seeds) -> Target:
    shop = seeds.shop

    def is_right(body: Any) -> bool:
        complete = len(body["results"]) == min(100, shop.tickets)
        with_persons = any(ticket["person"] for ticket in body["results"])
        return body["count"] == shop.tickets and complete and with_persons

    return Target(service, [request("GET", f"{shop.path}?limit=100", key=shop.key)], is_right)


def retrieve(service: Web, seeds: Seeds) -> Target:
    shop = seeds.shop
    asked = [request("GET", f"{shop.path}/{pk}", key=shop.key) for pk in shop.read_tickets]
    return Target(service, asked, lambda body: body["id"] == shop.read_tickets[0])


def create(service: Web, seeds: Seeds) -> Target:
    def asked(number: int) -> bytes:
        body = {
            "distinct_id": f"customer-{number}",
            "anonymous_traits": {"name": f"Customer {number}", "email": f"c{number}@mail.example"},
            "priority": "medium",
            "tags": ["billing", "vip"],
            "message": "I was charged twice for the same month, the second time on the 3rd. "
            "Could you please look at it, and tell me when the money is back on my card?",
        }
        return request(
            "POST", seeds.fresh.path, key=seeds.fresh.key, body=json.dumps(body).encode()
        )

    return Target(
        service,
        [asked(number) for number in range(100)],
        lambda body: body["ticket_number"] >= 1 and body["message_count"] == 1,
        status=201,
    )


@dataclass(frozen=True)
class Row:
    title: str
    service: Callable[[Web, Seeds], Target]
    reference: Callable[[Web], Target] = redis_get


# By the name that ONLY takes, in the order of the table.
ROWS = {
    "unread_count": Row("unread_count, hit", unread_count),
    "list": Row("list of 100", list_of_100),
    "retrieve": Row("retrieve", retrieve),
    "create": Row("create, with a message", create),
}
