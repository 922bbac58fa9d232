"""What is measured: each row of the table, its requests, its reference and its targets."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import inbox, targets
from bench.load import request
from bench.rounds import Target, fetch
from bench.stack import Web
from bench.targets import Rule
from bench.world import Room, Servers, World

# Enough to keep the service busy, and one that waits for each answer.
MANY, ONE = 32, 1


@dataclass(frozen=True)
class Row:
    title: str
    service: Callable[[Servers, World], Target]
    against: str
    reference: Callable[[Servers, World], Target] | None
    rules: Sequence[Rule]
    connections: int = MANY


# --- The unread count --------------------------------------------------------


def unread_hit(servers: Servers, world: World) -> Target:
    return _unread(servers.service, world.shop)


def unread_plain(servers: Servers, world: World) -> Target:
    return _unread(servers.plain, world.shop)


def unread_miss(room: str, servers: Servers, world: World) -> Target:
    from conversations import unread
    from rest import leases

    project_id = _room(world, room).project_id

    def forget() -> None:
        leases.forget_now([unread.cache_key(project_id)])

    return _unread(servers.service, _room(world, room), before=forget)


def unread_in_sql(room: str, servers: Servers, world: World) -> Target:
    project_id, unread = _room(world, room).project_id, _room(world, room).unread
    asked = [request("GET", f"/unread/{project_id}")]
    right = {"count": unread}
    return Target(servers.reference, asked, lambda body: body == right, before=lambda: None)


def _unread(web: Web, room: Room, before: Callable[[], None] | None = None) -> Target:
    asked = [request("GET", f"{room.path}/unread_count", key=room.key)]
    return Target(web, asked, lambda body: body == {"count": room.unread}, before=before)


# --- Lists -------------------------------------------------------------------


def page(room: str, query: str, servers: Servers, world: World) -> Target:
    asked = _room(world, room)

    def is_right(body: Any) -> bool:
        return bool(body["results"]) and body["count"] <= asked.tickets

    return Target(
        servers.service, [request("GET", f"{asked.path}?{query}", key=asked.key)], is_right
    )


def list_of_100(servers: Servers, world: World) -> Target:
    def is_right(body: Any) -> bool:
        complete = len(body["results"]) == min(100, world.neighbour.tickets)
        return complete and any(ticket["person"] for ticket in body["results"])

    first = page("neighbour", "limit=100", servers, world)
    return Target(servers.service, first.requests, is_right)


def list_in_sql(servers: Servers, world: World) -> Target:
    asked = [request("GET", f"/list/{world.neighbour.project_id}")]
    return Target(servers.reference, asked, lambda body: any(ticket["person"] for ticket in body))


def last_page(servers: Servers, world: World) -> Target:
    """Where the links lead in the end, from the last page but one."""
    shop = world.shop
    offset = max(0, shop.tickets - 200)
    path = f"{shop.path}?limit=100&offset={offset}"
    _, content = fetch(servers.service, request("GET", path, key=shop.key))
    link = "/api/" + json.loads(content)["next"].partition("/api/")[2]
    asked = [request("GET", link, key=shop.key)]
    return Target(servers.service, asked, lambda body: body["results"] and body["next"] is None)


def far_page(servers: Servers, world: World) -> Target:
    return page("shop", f"limit=100&offset={world.shop.tickets * 9 // 10}", servers, world)


def rare_word(servers: Servers, world: World) -> Target:
    return page("shop", f"search=zx{world.shop.tickets // 2}", servers, world)


# --- One ticket --------------------------------------------------------------


def retrieve(servers: Servers, world: World) -> Target:
    room = world.neighbour
    asked = [request("GET", f"{room.path}/{pk}", key=room.key) for pk in room.read_tickets]
    return Target(servers.service, asked, lambda body: body["id"] == room.read_tickets[0])


def retrieve_in_sql(servers: Servers, world: World) -> Target:
    tickets = world.neighbour.read_tickets
    asked = [request("GET", f"/ticket/{pk}") for pk in tickets]
    return Target(servers.reference, asked, lambda body: body["id"] == tickets[0])


def patch(servers: Servers, world: World) -> Target:
    room = world.scratch
    asked = [
        request("PATCH", f"{room.path}/{pk}", key=room.key, body=body)
        for pk, body in _changes(room)
    ]
    return Target(servers.service, asked, lambda body: body["priority"] == "high")


def patch_in_sql(servers: Servers, world: World) -> Target:
    room = world.scratch
    asked = [
        request("POST", f"/patch/{room.project_id}/{pk}", body=body) for pk, body in _changes(room)
    ]
    return Target(servers.reference, asked, lambda body: body["priority"] == "high")


def _changes(room: Room) -> list[tuple[str, bytes]]:
    """Each of which changes something, as the one before it said something else."""
    return [
        (pk, json.dumps({"priority": priority}).encode())
        for priority in ("high", "low")
        for pk in room.read_tickets
    ]


def message(servers: Servers, world: World) -> Target:
    room = world.scratch
    asked = [
        request("POST", f"{room.path}/{pk}/messages", key=room.key, body=_REPLY)
        for pk in room.read_tickets
    ]
    return Target(servers.service, asked, lambda body: len(body["content"]) > 100, status=201)


def message_in_sql(servers: Servers, world: World) -> Target:
    room = world.scratch
    asked = [
        request("POST", f"/message/{room.project_id}/{pk}", body=_REPLY) for pk in room.read_tickets
    ]
    return Target(servers.reference, asked, lambda body: len(body["content"]) > 100)


_REPLY = json.dumps(
    {
        "content": "Thank you for telling us. The second charge was a mistake of ours, and the"
        " money is back on your card within three days. Please tell us if it is not."
    }
).encode()


def create(servers: Servers, world: World) -> Target:
    return _create(servers.service, world.scratch)


def create_max_plus_one(servers: Servers, world: World) -> Target:
    return _create(servers.max_plus_one, world.scratch_max_plus_one)


def create_in_sql(servers: Servers, world: World) -> Target:
    path = f"/create/{world.scratch.project_id}"
    asked = [request("POST", path, body=_ticket(number)) for number in range(100)]
    return Target(servers.reference, asked, lambda body: body["message_count"] == 1)


def _create(web: Web, room: Room) -> Target:
    asked = [
        request("POST", room.path, key=room.key, body=_ticket(number)) for number in range(100)
    ]
    return Target(web, asked, lambda body: body["message_count"] == 1, status=201)


def _ticket(number: int) -> bytes:
    return json.dumps(
        {
            "distinct_id": f"customer-{number}",
            "anonymous_traits": {"name": f"Customer {number}", "email": f"c{number}@mail.example"},
            "priority": "medium",
            "tags": ["billing", "vip"],
            "message": "I was charged twice for the same month, the second time on the 3rd. "
            "Could you please look at it, and tell me when the money is back on my card?",
        }
    ).encode()


# --- The widget --------------------------------------------------------------


def widget_poll(servers: Servers, world: World) -> Target:
    token = world.neighbour.public_token
    asked = [request("GET", path, token=token) for path in world.neighbour.polls]
    # As of a widget that is open: what it asks is kept for sixty polls.
    return Target(servers.service, asked, lambda body: body["messages"] == [], each_is_cached=True)


# --- The references that cost next to nothing --------------------------------


def redis_get(servers: Servers, world: World) -> Target:
    return Target(servers.reference, [request("GET", "/")], lambda body: body["count"] > 0)


def constant(servers: Servers, world: World) -> Target:
    """What remains is the load's own limit."""
    return Target(servers.reference, [request("GET", "/constant")], lambda body: True)


# --- The table ---------------------------------------------------------------


def _room(world: World, name: str) -> Room:
    room: Room = getattr(world, name)
    return room


def _page_row(
    title: str,
    target: Callable[[Servers, World], Target],
    at_most: int,
    *rules: Rule,
    within_ms: float = 150,
) -> Row:
    """A page of the inbox, in so many statements."""
    return Row(
        f"inbox: {title}",
        target,
        "",
        None,
        [targets.time(within_ms), targets.statements(at_most), *rules],
        ONE,
    )


_GET = "bare WSGI, a GET of Redis"
_JSON = "PostgreSQL's own JSON"
_SQL = "bare SQL"
_first_page = partial(page, "shop", "limit=100")

# By the name that ONLY takes, in the order of the table.
ROWS = {
    "unread-hit": Row(
        "unread_count, hit",
        unread_hit,
        _GET,
        redis_get,
        [targets.speed(0.25), targets.trips(1), targets.statements(0)],
    ),
    "unread-plain": Row(
        "unread_count, hit", unread_hit, "a plain DRF viewset", unread_plain, [targets.speed(4)]
    ),
    "unread-miss-few": Row(
        "unread_count, miss, 1,000 unread",
        partial(unread_miss, "shop"),
        _SQL,
        partial(unread_in_sql, "shop"),
        [targets.duration(2, plus_ms=5), targets.statements(1)],
        ONE,
    ),
    "unread-miss-many": Row(
        "unread_count, miss, 100,000 unread",
        partial(unread_miss, "unread"),
        _SQL,
        partial(unread_in_sql, "unread"),
        [targets.duration(2, plus_ms=5), targets.statements(1)],
        ONE,
    ),
    "list": Row(
        "list of 100",
        list_of_100,
        _JSON,
        list_in_sql,
        [targets.duration(4), targets.statements(6)],
        ONE,
    ),
    "list-million": Row(
        "first page of 1,000,000",
        _first_page,
        "first page of 1,000",
        partial(page, "small", "limit=100"),
        [targets.duration(1.3)],
        ONE,
    ),
    "list-last": Row(
        "last page by the links", last_page, "first page", _first_page, [targets.duration(1.5)], ONE
    ),
    "list-offset": Row(
        "page at offset 900,000", far_page, "first page", _first_page, [targets.longer(200)], ONE
    ),
    # With one row, which costs next to nothing: the count is in the same statement.
    "count": Row(
        "count, no filter", partial(page, "shop", "limit=1"), "", None, [targets.sql(3)], ONE
    ),
    "count-open": Row(
        "count, status=open",
        partial(page, "shop", "limit=1&status=open"),
        "",
        None,
        [targets.sql(3)],
        ONE,
    ),
    "count-resolved": Row(
        "count, status=resolved",
        partial(page, "shop", "limit=1&status=resolved"),
        "",
        None,
        [targets.sql(3)],
        ONE,
    ),
    "search-rare": Row("search, a word with few hits", rare_word, "", None, [targets.sql(15)], ONE),
    # A page and its exact count, 500 and 2,000 ms.
    "search-common": Row(
        "search, the commonest word",
        partial(page, "shop", "search=the"),
        "",
        None,
        [targets.sql(2500)],
        ONE,
    ),
    "search-small": Row(
        "search, a project of 10,000",
        partial(page, "neighbour", "search=the"),
        "",
        None,
        [targets.sql(50)],
        ONE,
    ),
    "retrieve": Row("retrieve", retrieve, _JSON, retrieve_in_sql, [targets.cpu(5)]),
    "patch": Row("PATCH", patch, _SQL, patch_in_sql, [targets.cpu(5)]),
    "message": Row("message", message, _SQL, message_in_sql, [targets.cpu(5)]),
    "create": Row("create, with a message", create, _SQL, create_in_sql, [targets.cpu(5)]),
    "create-numbers": Row(
        "create, with a message",
        create,
        "a lock and MAX() + 1",
        create_max_plus_one,
        [targets.speed(1.5)],
    ),
    "widget": Row(
        "idle poll of a widget",
        widget_poll,
        _GET,
        redis_get,
        [targets.speed(0.25), targets.statements(0)],
    ),
    "inbox-unresolved": _page_row("100 unresolved", inbox.unresolved, 8),
    "inbox-all": _page_row("100 of all tickets", inbox.everything, 8),
    "inbox-search": _page_row("100 of a search", inbox.searched, 8),
    "inbox-view": _page_row("100 of a saved view", inbox.view, 8),
    "inbox-unassigned": _page_row("100 unassigned", inbox.unassigned, 8),
    # No index has tags and states of tickets together: the exact count is a look at thousands.
    "inbox-tag": _page_row("100 of a tag", inbox.tagged, 8, within_ms=1000),
    "inbox-overdue": _page_row("100 overdue", inbox.overdue, 8),
    "inbox-views": _page_row("numbers of 50 saved views", inbox.views, 8),
    "inbox-conversation": _page_row("500 messages, the last 50", inbox.conversation, 10),
    "inbox-messages": _page_row("500 messages", inbox.long_conversation, 10),
    "inbox-overview": _page_row("overview, 100,000 unread", inbox.overview, 7, targets.sql(50)),
}
