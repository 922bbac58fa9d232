"""The pages of the inbox, as an agent who is signed in asks for them."""

import re

from bench.load import request
from bench.rounds import Target
from bench.world import Room, Servers, World

UNRESOLVED = "status=new,open,pending,on_hold"


def unresolved(servers: Servers, world: World) -> Target:
    return _list(f"?{UNRESOLVED}&limit=100", servers, world)


def everything(servers: Servers, world: World) -> Target:
    return _list("?limit=100", servers, world)


def searched(servers: Servers, world: World) -> Target:
    """A beginning of the addresses of 111 customers."""
    return _list(f"?search=visitor{world.shop.tickets // 1000 * 2 + 1}&limit=100", servers, world)


def view(servers: Servers, world: World) -> Target:
    return _list(f"?view={world.desk.view}&limit=100", servers, world)


def unassigned(servers: Servers, world: World) -> Target:
    return _list(f"?{UNRESOLVED}&assignee=unassigned&limit=100", servers, world)


def tagged(servers: Servers, world: World) -> Target:
    return _list(f"?{UNRESOLVED}&tags=vip&limit=100", servers, world)


def overdue(servers: Servers, world: World) -> Target:
    query = f"?{UNRESOLVED}&sla=breached&order_by=sla_due_at&limit=100"
    return _list(query, servers, world)


def views(servers: Servers, world: World) -> Target:
    links = f"view={world.desk.view}"
    return _page(world.shop, "/views", links, servers, world)


def conversation(servers: Servers, world: World) -> Target:
    last = f"{world.desk.messages - 2}: the second charge"
    path = f"/tickets/{world.desk.conversation}"
    return _page(world.scratch, path, last, servers, world)


def long_conversation(servers: Servers, world: World) -> Target:
    """With all of it on the page, as after a look at how it began."""
    path = f"/tickets/{world.desk.conversation}?since=1"
    return _page(world.scratch, path, "Hello?", servers, world)


def overview(servers: Servers, world: World) -> Target:
    return _page(world.unread, "/overview", "unresolved", servers, world)


def _page(room: Room, path: str, shown: str, servers: Servers, world: World) -> Target:
    asked = request("GET", f"/inbox/{room.project_id}{path}", session=world.desk.session)
    return Target(servers.service, [asked], lambda page: shown in page, read=bytes.decode)


def _list(query: str, servers: Servers, world: World) -> Target:
    path = f"/inbox/{world.shop.project_id}{query}"

    def is_right(page: str) -> bool:
        rows = len(re.findall('data-number="', page))
        return rows == 100 or (0 < rows < 100 and world.shop.tickets < 1_000_000)

    asked = request("GET", path, session=world.desk.session)
    return Target(servers.service, [asked], is_right, read=bytes.decode)
