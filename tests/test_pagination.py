"""Walking a list by its links."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from conversations.models import Message, Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of
from tests.refusals import refusal

START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = (
    "updated_at",
    "created_at",
    "ticket_number",
    "sla_due_at",
    "snoozed_until",
    "last_message_at",
    "priority",
)
ORDERS = [sign + column for column in COLUMNS for sign in ("", "-")]


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def maybe_at(minute: int | None) -> datetime | None:
    return None if minute is None else at(minute)


def ticket_of(project: Project, number: int, minute: int, **fields: Any) -> Ticket:
    return Ticket(
        project=project,
        ticket_number=number,
        distinct_id=f"customer-{number}",
        created_at=at(minute),
        updated_at=at(minute),
        **fields,
    )


@pytest.fixture
def tickets(project: Project) -> list[Ticket]:
    """23 tickets with many ties in every order but the number's, and with nulls where they go."""
    ranks = [None, "low", "medium", "high", "critical"]
    return Ticket.objects.bulk_create(
        ticket_of(
            project,
            number,
            minute=(number * 7) % 5,
            sla_due_at=maybe_at([None, 1, 2, None, 3][number % 5]),
            snoozed_until=maybe_at([1, 1, None][number % 3]),
            last_message_at=maybe_at([None, 5, 4, 4][number % 4]),
            priority=ranks[number % 5],
            status=["new", "open"][number % 2],
        )
        for number in range(1, 24)
    )


def walk(client: ApiClient, url: str, link: str = "next") -> Iterator[dict[str, Any]]:
    """The bodies of a list's pages, one after the other, by the links that they carry."""
    following: str | None = url
    while following:
        body = client.get(following.removeprefix("http://testserver")).json()
        yield body
        following = body[link]


def numbers(*pages: dict[str, Any]) -> list[int]:
    return [ticket["ticket_number"] for page in pages for ticket in page["results"]]


def query_of(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


def in_order(tickets: list[Ticket], order_by: str) -> list[int]:
    """What the list has to say, worked out here: nulls last, ties by id, both in the direction."""
    column, descending = order_by.removeprefix("-"), order_by.startswith("-")
    ranks = {"low": 0, "medium": 1, "high": 2, "critical": 3}

    def place(ticket: Ticket) -> tuple[bool, Any, Any]:
        value = getattr(ticket, column)
        is_null = value is None
        return (is_null != descending, 0 if is_null else ranks.get(str(value), value), ticket.pk)

    return [ticket.ticket_number for ticket in sorted(tickets, key=place, reverse=descending)]


@pytest.mark.parametrize("order_by", ORDERS)
def test_a_walk_forward_and_back_sees_every_row_once_and_in_order(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str, order_by: str
) -> None:
    expected = in_order(tickets, order_by)

    forward = list(walk(reader, f"{tickets_url}?order_by={order_by}&limit=4"))
    back = list(walk(reader, forward[-2]["next"], "previous"))

    assert numbers(*forward) == expected
    assert numbers(*reversed(back)) == expected
    assert {page["count"] for page in [*forward, *back]} == {23}
    assert forward[0]["previous"] is None
    assert forward[-1]["next"] is None
    assert back[-1]["previous"] is None


@pytest.mark.parametrize("order_by", ORDERS)
def test_each_page_links_to_the_pages_beside_it(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str, order_by: str
) -> None:
    pages = list(walk(reader, f"{tickets_url}?order_by={order_by}&limit=7"))

    for before, page in pairwise(pages):
        returned = reader.get(page["previous"].removeprefix("http://testserver")).json()
        assert returned["results"] == before["results"]
        forth = reader.get(returned["next"].removeprefix("http://testserver")).json()
        assert forth["results"] == page["results"]


@pytest.mark.parametrize("order_by", ORDERS)
def test_an_offset_cuts_the_same_order(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str, order_by: str
) -> None:
    page = reader.get(tickets_url, order_by=order_by, offset=9, limit=5).json()

    assert numbers(page) == in_order(tickets, order_by)[9:14]


def test_links_carry_the_offset_for_information(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    pages = list(walk(reader, f"{tickets_url}?limit=10"))

    assert [query_of(page["next"])["offset"] for page in pages[:-1]] == ["10", "20"]
    assert [query_of(page["previous"])["offset"] for page in pages[1:]] == ["0", "10"]


def test_the_cursor_decides_and_not_the_offset(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    first = reader.get(tickets_url, limit=5, order_by="ticket_number").json()
    query = {**query_of(first["next"]), "offset": "17"}

    assert numbers(reader.get(tickets_url, **query).json()) == [6, 7, 8, 9, 10]


def test_links_keep_the_other_parameters(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    given = {"status": "new,open", "priority": "none,low", "order_by": "-priority", "limit": "3"}

    link = reader.get(tickets_url, **given).json()["next"]

    assert link.startswith(f"http://testserver{tickets_url}?")
    assert given.items() <= query_of(link).items()
    assert query_of(link).keys() - given.keys() == {"cursor", "offset"}


def test_a_filtered_walk_counts_and_shows_what_the_filter_lets_through(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    pages = list(walk(reader, f"{tickets_url}?status=open&order_by=sla_due_at&limit=2"))

    of_status = [ticket for ticket in tickets if ticket.status == "open"]
    assert numbers(*pages) == in_order(of_status, "sla_due_at")
    assert {page["count"] for page in pages} == {len(of_status)}


@pytest.mark.parametrize("named", ["@current", "alias"])
def test_links_name_the_project_as_the_request_did(
    reader: ApiClient, project: Project, tickets: list[Ticket], named: str
) -> None:
    paths = {
        "@current": "/api/projects/@current/conversations/tickets",
        "alias": f"/api/environments/{project.pk}/conversations/tickets",
    }

    pages = list(walk(reader, f"{paths[named]}/?limit=10"))

    assert pages[0]["next"].startswith(f"http://testserver{paths[named]}?")
    assert len(numbers(*pages)) == 23


def test_links_begin_with_the_public_url(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://support.example.org"

    page = reader.get(tickets_url, limit=5, offset=5).json()

    for link in ("next", "previous"):
        assert page[link].startswith(f"https://support.example.org{tickets_url}?")


# --- Limits ---


def test_a_page_has_a_hundred_rows_unless_told(
    reader: ApiClient, project: Project, tickets_url: str
) -> None:
    Ticket.objects.bulk_create(ticket_of(project, number, 1) for number in range(1, 102))

    assert len(reader.get(tickets_url).json()["results"]) == 100


@pytest.mark.parametrize("limit", [1001, 10**18])
def test_a_page_has_a_thousand_rows_at_most(
    reader: ApiClient, project: Project, tickets_url: str, limit: int
) -> None:
    Ticket.objects.bulk_create(ticket_of(project, number, 1) for number in range(1, 1002))

    page = reader.get(tickets_url, limit=limit).json()

    assert (len(page["results"]), page["count"]) == (1000, 1001)
    assert query_of(page["next"])["offset"] == "1000"
    rest = reader.get(page["next"].removeprefix("http://testserver")).json()
    assert (len(rest["results"]), rest["next"]) == (1, None)


def test_a_page_that_ends_with_the_list_has_no_next(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    assert reader.get(tickets_url, limit=23).json()["next"] is None
    assert reader.get(tickets_url, limit=22).json()["next"] is not None
    assert reader.get(tickets_url, limit=22, offset=1).json()["next"] is None


def test_the_limit_may_change_on_the_way(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    first = reader.get(tickets_url, order_by="ticket_number", limit=3).json()

    second = reader.get(tickets_url, **{**query_of(first["next"]), "limit": "5"}).json()
    third = reader.get(tickets_url, **{**query_of(second["next"]), "limit": "2"}).json()
    returned = reader.get(tickets_url, **{**query_of(third["previous"]), "limit": "6"}).json()

    assert numbers(first, second, third) == list(range(1, 11))
    assert numbers(returned) == [3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("offset", [23, 24, 2**62])
def test_beyond_the_end_there_is_nothing_but_the_way_back(
    reader: ApiClient, tickets: list[Ticket], tickets_url: str, offset: int
) -> None:
    page = reader.get(tickets_url, order_by="ticket_number", offset=offset, limit=10).json()

    assert (page["count"], page["next"], page["results"]) == (23, None, [])
    back = reader.get(page["previous"].removeprefix("http://testserver")).json()
    assert numbers(back) == list(range(14, 24))


def test_an_empty_list_has_no_links_whatever_the_offset(
    reader: ApiClient, tickets_url: str
) -> None:
    page = reader.get(tickets_url, offset=100).json()

    assert page == {"count": 0, "next": None, "previous": None, "results": []}


# --- Meanwhile ---


def follow(client: ApiClient, page: dict[str, Any], link: str = "next") -> dict[str, Any]:
    body: dict[str, Any] = client.get(page[link].removeprefix("http://testserver")).json()
    return body


def test_rows_that_come_and_go_before_the_place_shift_nothing(
    reader: ApiClient, project: Project, tickets: list[Ticket], tickets_url: str
) -> None:
    first = reader.get(tickets_url, order_by="-ticket_number", limit=5).json()

    ticket_of(project, 24, 9).save(force_insert=True)
    Ticket.objects.in_project(project.pk).filter(ticket_number__in=[23, 21]).delete()

    second = follow(reader, first)
    assert numbers(second) == [18, 17, 16, 15, 14]
    assert second["count"] == 22


def test_the_row_at_the_edge_may_be_deleted(
    reader: ApiClient, project: Project, tickets: list[Ticket], tickets_url: str
) -> None:
    first = reader.get(tickets_url, order_by="ticket_number", limit=5).json()

    Ticket.objects.in_project(project.pk).filter(ticket_number=5).delete()

    assert numbers(follow(reader, first)) == [6, 7, 8, 9, 10]


def test_a_row_that_comes_after_the_place_is_seen(
    reader: ApiClient, project: Project, tickets: list[Ticket], tickets_url: str
) -> None:
    first = reader.get(tickets_url, order_by="ticket_number", limit=20).json()

    ticket_of(project, 24, 9).save(force_insert=True)

    assert numbers(follow(reader, first)) == [21, 22, 23, 24]


def test_a_walk_by_updated_at_sees_every_change_at_least_once(
    reader: ApiClient, writer: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    seen: dict[int, Any] = {}
    for page in walk(reader, f"{tickets_url}?order_by=updated_at&limit=5"):
        seen |= {ticket["ticket_number"]: ticket for ticket in page["results"]}
        if len(seen) == 10:
            for number in (1, 12, 23):
                writer.patch(f"{tickets_url}/{number}", {"tags": ["changed"]})

    assert len(seen) == 23
    assert [number for number in sorted(seen) if seen[number]["tags"]] == [1, 12, 23]


def test_a_row_that_leaves_the_filter_takes_no_other_with_it(
    reader: ApiClient, writer: ApiClient, tickets: list[Ticket], tickets_url: str
) -> None:
    query = {"status": "open", "order_by": "ticket_number"}
    first = reader.get(tickets_url, limit=3, **query).json()

    writer.patch(f"{tickets_url}/1", {"status": "resolved"})

    assert numbers(first, follow(reader, first)) == [1, 3, 5, 7, 9, 11]


def test_a_walk_back_reaches_the_first_row_though_others_came_between(
    reader: ApiClient, project: Project, tickets: list[Ticket], tickets_url: str
) -> None:
    page = reader.get(tickets_url, order_by="created_at", offset=20, limit=5).json()
    expected = in_order(tickets, "created_at")[:20]

    Ticket.objects.bulk_create(ticket_of(project, number, 2) for number in range(24, 44))
    back = list(walk(reader, page["previous"], "previous"))

    walked = numbers(*reversed(back))
    assert [number for number in walked if number < 24] == expected


def test_a_walk_back_ends_though_rows_before_are_gone(
    reader: ApiClient, project: Project, tickets: list[Ticket], tickets_url: str
) -> None:
    page = reader.get(tickets_url, order_by="ticket_number", offset=20, limit=5).json()

    Ticket.objects.in_project(project.pk).filter(ticket_number__lte=18).delete()
    back = list(walk(reader, page["previous"], "previous"))

    assert numbers(*back) == [19, 20]


def test_all_rows_behind_the_place_may_go(
    reader: ApiClient, project: Project, tickets: list[Ticket], tickets_url: str
) -> None:
    first = reader.get(tickets_url, order_by="ticket_number", limit=20).json()

    Ticket.objects.in_project(project.pk).filter(ticket_number__gt=18).delete()

    last = follow(reader, first)
    assert (last["results"], last["next"], last["count"]) == ([], None, 18)
    assert numbers(follow(reader, last, "previous"))[-1] == 18


# --- Cursors from elsewhere ---


@pytest.fixture
def cursor(reader: ApiClient, tickets: list[Ticket], tickets_url: str) -> str:
    link = reader.get(tickets_url, limit=5, status="new,open", order_by="created_at").json()["next"]
    return query_of(link)["cursor"]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "new,open"},
        {"status": "new,open", "order_by": "-created_at"},
        {"status": "new,open", "order_by": "updated_at"},
        {"status": "new", "order_by": "created_at"},
        {"order_by": "created_at"},
        {"status": "new,open", "order_by": "created_at", "unread": "false"},
    ],
)
def test_a_cursor_of_another_order_or_filter_is_refused(
    reader: ApiClient, tickets_url: str, cursor: str, query: dict[str, str]
) -> None:
    response = reader.get(tickets_url, cursor=cursor, **query)

    assert refusal(response) == (400, "invalid_input", "cursor")


def test_a_cursor_of_another_project_is_refused(
    client_for: ClientFor, neighbour: Project, cursor: str
) -> None:
    stranger = client_for(neighbour, "ticket:read")

    response = stranger.get(
        tickets_url_of(neighbour), cursor=cursor, status="new,open", order_by="created_at"
    )

    assert refusal(response) == (400, "invalid_input", "cursor")


@pytest.mark.parametrize("garbage", ["x", "a:b", "::", "\N{SNOWMAN}", "null", "e30:" + "A" * 43])
def test_garbage_is_no_cursor(reader: ApiClient, tickets_url: str, garbage: str) -> None:
    assert refusal(reader.get(tickets_url, cursor=garbage)) == (400, "invalid_input", "cursor")


def test_a_cursor_that_somebody_has_changed_is_refused(
    reader: ApiClient, tickets_url: str, cursor: str
) -> None:
    changed = ("B" if cursor[0] == "A" else "A") + cursor[1:]

    response = reader.get(tickets_url, cursor=changed, status="new,open", order_by="created_at")

    assert refusal(response) == (400, "invalid_input", "cursor")


def test_a_cursor_works_under_every_spelling_of_its_project(
    reader: ApiClient, tickets_url: str, cursor: str
) -> None:
    query = {"cursor": cursor, "status": "new,open", "order_by": "created_at"}

    one = reader.get(tickets_url, **query).json()
    other = reader.get("/api/environments/@current/conversations/tickets/", **query).json()

    assert one["results"] == other["results"] != []


# --- Messages ---


@pytest.fixture
def messages_url(make_ticket: MakeTicket, project: Project, tickets_url: str) -> str:
    ticket = make_ticket()
    Message.objects.bulk_create(
        Message(
            project=project,
            ticket_id=ticket["id"],
            seq=seq,
            author_type="support",
            content=str(seq),
            created_at=START,
        )
        for seq in range(1, 204)
    )
    return f"{tickets_url}/1/messages"


def test_messages_come_fifty_at_a_time_unless_told(reader: ApiClient, messages_url: str) -> None:
    page = reader.get(messages_url).json()

    assert (len(page["results"]), page["count"]) == (50, 203)


def test_messages_come_two_hundred_at_a_time_at_most(reader: ApiClient, messages_url: str) -> None:
    assert len(reader.get(messages_url, limit=1000).json()["results"]) == 200


def test_messages_are_walked_in_both_directions(reader: ApiClient, messages_url: str) -> None:
    forward = list(walk(reader, f"{messages_url}?limit=60"))
    back = list(walk(reader, forward[-2]["next"], "previous"))

    expected = [str(seq) for seq in range(1, 204)]
    for pages in (forward, back[::-1]):
        assert [message["content"] for page in pages for message in page["results"]] == expected


def test_a_cursor_of_another_tickets_messages_is_refused(
    reader: ApiClient, make_ticket: MakeTicket, messages_url: str, tickets_url: str
) -> None:
    make_ticket()
    cursor = query_of(reader.get(messages_url, limit=5).json()["next"])["cursor"]

    for url in (f"{tickets_url}/2/messages", tickets_url):
        assert refusal(reader.get(url, cursor=cursor)) == (400, "invalid_input", "cursor")
