"""GET …/widget/messages/{ticket_id}: an open widget asks for news, and misses none."""

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from config.embedded import Server
from conversations.events.actors import SYSTEM
from conversations.messages.verbs import post_message, repair_counters
from conversations.models import Message, Ticket
from conversations.tickets import verbs
from projects.models import Project
from tests.api import ApiClient
from tests.test_queries import round_trips as _round_trips
from tests.test_queries import statements
from tests.threads import InBackground, at_once, wait_until_blocked
from tests.widget import WIDGET, Browser

round_trips = _round_trips


@pytest.fixture
def browser(project: Project) -> Browser:
    return Browser(project)


@pytest.fixture
def ticket_id(browser: Browser) -> str:
    return str(browser.sent("Hi")["ticket_id"])


@pytest.fixture
def reply(writer: ApiClient, tickets_url: str, ticket_id: str) -> Any:
    """The team's answer to the customer's ticket."""

    def post(text: str, **fields: Any) -> Any:
        response = writer.post(f"{tickets_url}/{ticket_id}/reply", {"message": text, **fields})
        assert response.status_code == 201
        return response.json()

    return post


def test_a_poll_shows_the_conversation(browser: Browser, ticket_id: str, reply: Any) -> None:
    answer = reply("Hello!")

    news = browser.news(ticket_id)

    assert [message["content"] for message in news["messages"]] == ["Hi", "Hello!"]
    assert news["messages"][1] == {
        "id": answer["id"],
        "content": "Hello!",
        "rich_content": None,
        "author_type": "support",
        "author_name": answer["author_name"],
        "created_at": answer["created_at"],
    }
    assert (news["ticket_id"], news["ticket_status"]) == (ticket_id, "new")
    assert (news["unread_count"], news["has_more"]) == (1, False)


def test_notes_and_deleted_messages_are_not_shown(
    browser: Browser, ticket_id: str, reply: Any, writer: ApiClient, tickets_url: str
) -> None:
    reply("Among us", is_private=True)
    deleted = reply("A mistake")
    writer.delete(f"{tickets_url}/{ticket_id}/messages/{deleted['id']}")

    assert browser.texts(ticket_id) == ["Hi"]


def test_after_the_newest_message_there_is_nothing(browser: Browser, ticket_id: str) -> None:
    [message] = browser.news(ticket_id)["messages"]

    news = browser.news(ticket_id, after=message["created_at"])

    assert news["messages"] == []
    assert news["has_more"] is False


def test_only_what_is_newer_comes(browser: Browser, ticket_id: str, reply: Any) -> None:
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    reply("Hello!")

    assert browser.texts(ticket_id, after=after) == ["Hello!"]


def test_a_long_conversation_comes_page_by_page(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    for number in range(4):
        reply(str(number))
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        news = browser.news(ticket_id, **query)
        found += [message["content"] for message in news["messages"]]
        if not news["has_more"]:
            break
        query["after"] = news["messages"][-1]["created_at"]

    assert found == ["Hi", "0", "1", "2", "3"]


def test_a_limit_above_200_is_cut(browser: Browser, ticket_id: str) -> None:
    assert browser.texts(ticket_id, limit=100_000) == ["Hi"]


@pytest.mark.parametrize(
    ("query", "attr"),
    [
        ({"after": "yesterday"}, "after"),
        ({"after": "0000-01-01T00:00:00Z"}, "after"),
        ({"after": "0001-01-01T00:00:00+14:00"}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "many"}, "limit"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(
    browser: Browser, ticket_id: str, query: dict[str, Any], attr: str
) -> None:
    response = browser.poll(ticket_id, **query)

    assert response.status_code == 400
    assert list(response.json()["details"]) == [attr]


def test_unknown_parameters_are_ignored(browser: Browser, ticket_id: str) -> None:
    assert browser.poll(ticket_id, _="1700000000000", colour="red").status_code == 200


def test_a_poll_shows_the_status(
    browser: Browser, ticket_id: str, writer: ApiClient, tickets_url: str
) -> None:
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    browser.news(ticket_id, after=after)

    writer.patch(f"{tickets_url}/{ticket_id}", {"status": "resolved"})

    assert browser.news(ticket_id, after=after)["ticket_status"] == "resolved"


# --- Whose ticket ------------------------------------------------------------


def test_another_session_may_not_look(project: Project, ticket_id: str) -> None:
    response = Browser(project).poll(ticket_id)

    assert (response.status_code, response.json()["error"]) == (403, "Forbidden")


@pytest.mark.parametrize("named", [str(uuid.UUID(int=7)), "1", "tickets"])
def test_an_unknown_ticket_is_a_404(browser: Browser, named: str) -> None:
    response = browser.poll(named)

    assert (response.status_code, response.json()["error"]) == (404, "Ticket not found")


def test_a_ticket_of_another_project_is_a_404(neighbour: Project, browser: Browser) -> None:
    stranger = Browser(neighbour)
    ticket_id = stranger.sent()["ticket_id"]
    browser.credentials = stranger.credentials

    assert browser.poll(ticket_id).status_code == 404


def test_without_credentials_it_is_a_400(browser: Browser, ticket_id: str) -> None:
    browser.credentials = {}

    response = browser.poll(ticket_id)

    assert response.status_code == 400
    assert list(response.json()["details"]) == ["widget_session_id"]


# --- Nothing is skipped ------------------------------------------------------


def test_a_reply_before_the_customers_own_message_is_not_lost(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    browser.news(ticket_id)
    answer = reply("Are you there?")
    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]

    news = browser.news(ticket_id, after=after)

    [message] = news["messages"]
    assert message["id"] == answer["id"]
    assert message["content"] == "Are you there?"
    assert datetime.fromisoformat(message["created_at"]) == datetime.fromisoformat(
        after
    ) + timedelta(microseconds=1)


def test_an_after_at_the_end_of_time_skips_nothing(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    browser.news(ticket_id)
    reply("Hello!")

    assert browser.texts(ticket_id, after="9999-12-31T23:59:59.999999Z") == ["Hello!"]


def test_such_a_reply_comes_once(browser: Browser, ticket_id: str, reply: Any) -> None:
    browser.news(ticket_id)
    reply("Are you there?")
    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]

    polls = [browser.texts(ticket_id, after=after) for _ in range(3)]

    assert polls == [["Are you there?"], [], []]


def test_such_replies_come_alone_and_newer_ones_with_the_next_poll(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    browser.news(ticket_id)
    reply("One")
    reply("Two")
    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]
    reply("Three")

    first = browser.news(ticket_id, after=after)
    assert [message["content"] for message in first["messages"]] == ["One", "Two"]
    assert first["has_more"] is True
    after = first["messages"][-1]["created_at"]

    assert browser.texts(ticket_id, after=after) == ["Three"]


def test_such_replies_come_in_pages_as_well(browser: Browser, ticket_id: str, reply: Any) -> None:
    browser.news(ticket_id)
    for text in ("One", "Two", "Three"):
        reply(text)
    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]

    found = [browser.texts(ticket_id, after=after, limit=2) for _ in range(3)]

    assert found == [["One", "Two"], ["Three"], []]


def test_notes_and_deleted_replies_do_not_come_late_either(
    browser: Browser, ticket_id: str, reply: Any, writer: ApiClient, tickets_url: str
) -> None:
    browser.news(ticket_id)
    reply("Among us", is_private=True)
    deleted = reply("A mistake")
    writer.delete(f"{tickets_url}/{ticket_id}/messages/{deleted['id']}")
    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]

    assert browser.texts(ticket_id, after=after) == []


def test_what_a_first_page_left_out_is_not_lost_by_the_customers_own_message(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    for text in ("One", "Two", "Three"):
        reply(text)
    assert browser.texts(ticket_id, limit=2) == ["Hi", "One"]

    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]

    assert browser.texts(ticket_id, after=after) == ["Two", "Three"]


def test_a_reply_with_the_time_of_another_message_is_not_lost(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    reply("One")
    [_, first] = browser.news(ticket_id)["messages"]
    second = reply("Two")
    Message.objects.filter(pk=second["id"]).update(created_at=first["created_at"])

    assert browser.texts(ticket_id, after=first["created_at"]) == ["Two"]


def elsewhere(poll: Callable[[], list[str]]) -> Any:
    """A poll on another connection than that of the test, which has a transaction open."""
    with InBackground(poll) as background:
        return background.result()


def test_a_reply_that_commits_late_comes_before_those_that_waited_for_it(
    browser: Browser, ticket_id: str, writer: ApiClient, tickets_url: str
) -> None:
    """Its time is taken under the ticket's lock, so that nothing later can commit before it."""
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    with ExitStack() as stack:
        with transaction.atomic():
            ticket = Ticket.objects.select_for_update().get(pk=ticket_id)
            post_message(ticket=ticket, actor=SYSTEM, author_type="support", content="Late")
            body = {"message": "Later"}
            other = InBackground(writer.post, f"{tickets_url}/{ticket_id}/reply", body)
            stack.enter_context(other)
            wait_until_blocked()
            assert elsewhere(lambda: browser.texts(ticket_id, after=after)) == []
        assert other.result().status_code == 201

    assert browser.texts(ticket_id, after=after) == ["Late", "Later"]


def test_polls_do_not_wait_for_a_writer_for_long(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    reply("Waiting")
    with transaction.atomic():
        Ticket.objects.select_for_update().get(pk=ticket_id)
        assert elsewhere(lambda: browser.texts(ticket_id, after=after)) == []

    assert browser.texts(ticket_id, after=after) == ["Waiting"]


def test_many_polls_at_once_show_a_passed_reply_once(
    project: Project, browser: Browser, ticket_id: str, reply: Any
) -> None:
    browser.news(ticket_id)
    reply("Are you there?")
    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]
    tabs = [Browser(project) for _ in range(6)]
    for tab in tabs:
        tab.credentials = browser.credentials

    found = at_once(*[lambda tab=tab: tab.texts(ticket_id, after=after) for tab in tabs])

    assert sorted(found) == [[]] * 5 + [["Are you there?"]]


def test_a_head_delivers_nothing(browser: Browser, ticket_id: str, reply: Any) -> None:
    browser.news(ticket_id)
    reply("Are you there?")
    browser.head(f"{WIDGET}/messages/{ticket_id}", **browser.credentials)
    after = browser.sent("Hello?", ticket_id=ticket_id)["created_at"]

    assert browser.texts(ticket_id, after=after) == ["Are you there?"]


# --- What it costs -----------------------------------------------------------


def test_an_idle_poll_costs_no_sql_and_one_round_trip(
    browser: Browser, ticket_id: str, round_trips: list[Any]
) -> None:
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    browser.poll(ticket_id, after=after)
    round_trips.clear()

    with statements() as found:
        browser.poll(ticket_id, after=after)

    assert found == []
    assert len(round_trips) == 1


def test_a_poll_with_news_costs_the_same_for_any_number_of_messages(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    costs = []
    for count in (1, 20):
        for number in range(count):
            reply(str(number))
        with statements() as found:
            news = browser.news(ticket_id, after=after)
        after = news["messages"][-1]["created_at"]
        costs.append(len(found))

    # How the ticket stands; the lock's patience, the ticket, where `after` is, the messages, the
    # new position.
    assert costs == [6, 6]


@pytest.mark.parametrize(
    "change",
    [
        lambda api, url: api.post(f"{url}/reply", {"message": "News"}),
        lambda api, url: api.patch(url, {"status": "pending"}),
        lambda api, url: api.delete(_first_message(api, url)),
        lambda api, url: _apply_macro(api, url),
        lambda api, url: _repair(url),
        lambda api, url: api.post(
            f"{url.rpartition('/')[0]}/bulk_update_status",
            {"ids": [url.rpartition("/")[2]], "status": "pending"},
        ),
    ],
    ids=["reply", "status", "deletion", "macro", "repair", "bulk status"],
)
def test_a_change_shows_at_the_next_poll(
    browser: Browser, ticket_id: str, writer: ApiClient, tickets_url: str, change: Any
) -> None:
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    before = browser.news(ticket_id, after=after)

    change(writer, f"{tickets_url}/{ticket_id}")

    assert browser.news(ticket_id, after=after) != before


def _first_message(api: ApiClient, url: str) -> str:
    [message] = api.get(f"{url}/messages").json()["results"]
    api.post(f"{url}/reply", {"message": "So that a poll without news differs"})
    return f"{url}/messages/{message['id']}"


def _apply_macro(api: ApiClient, url: str) -> None:
    body = {"name": "Close", "actions": {"status": "resolved"}}
    macro = api.post(url.rpartition("/tickets/")[0] + "/macros", body).json()
    assert api.post(f"{url}/apply_macro", {"macro": macro["short_id"]}).status_code == 200


def _repair(url: str) -> None:
    """A message that nobody counted, found by counting anew."""
    ticket = Ticket.objects.get(pk=url.rpartition("/")[2])
    Message.objects.create(
        project_id=ticket.project_id,
        ticket=ticket,
        seq=2,
        author_type="support",
        content="Hello!",
        created_at=ticket.created_at + timedelta(seconds=1),
    )
    Ticket.objects.filter(pk=ticket.pk).update(last_seq=2)
    assert repair_counters(ticket_id=ticket.pk)


def test_a_snooze_that_ends_shows_at_the_next_poll(
    browser: Browser, ticket_id: str, writer: ApiClient, tickets_url: str
) -> None:
    writer.patch(f"{tickets_url}/{ticket_id}", {"snoozed_until": "2999-01-01T00:00:00Z"})
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    assert browser.news(ticket_id, after=after)["ticket_status"] == "on_hold"
    Ticket.objects.filter(pk=ticket_id).update(snoozed_until="2000-01-01T00:00:00Z")

    verbs.wake_tickets()

    assert browser.news(ticket_id, after=after)["ticket_status"] == "open"


def test_a_deleted_ticket_is_gone_at_the_next_poll(
    browser: Browser, ticket_id: str, writer: ApiClient, tickets_url: str
) -> None:
    browser.news(ticket_id)

    writer.delete(f"{tickets_url}/{ticket_id}")

    assert browser.poll(ticket_id).status_code == 404


def test_without_redis_a_poll_is_as_right(
    redis_server: Server, browser: Browser, ticket_id: str, reply: Any
) -> None:
    after = browser.news(ticket_id)["messages"][0]["created_at"]
    browser.news(ticket_id, after=after)
    redis_server.stop()

    reply("Hello!")

    assert browser.texts(ticket_id, after=after) == ["Hello!"]


def test_eight_tabs_of_one_browser_do_not_meet_the_limit_of_polls(
    browser: Browser, ticket_id: str
) -> None:
    """Each asks every five seconds: as many polls in a minute as these."""
    after = browser.news(ticket_id)["messages"][0]["created_at"]

    statuses = {browser.poll(ticket_id, after=after).status_code for _ in range(100)}

    assert statuses == {200}


def test_a_browser_that_asks_without_a_pause_is_told_to_wait(
    browser: Browser, ticket_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.widget.polls._POLLS", 3)

    responses = [browser.poll(ticket_id) for _ in range(4)]

    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert int(responses[3].headers["Retry-After"]) <= 60


# --- Seen --------------------------------------------------------------------


def test_what_polls_returned_is_marked_as_seen(
    browser: Browser, ticket_id: str, reply: Any, writer: ApiClient, tickets_url: str
) -> None:
    reply("Hello!")
    assert browser.news(ticket_id)["unread_count"] == 1

    assert browser.see(ticket_id).json() == {"success": True, "unread_count": 0}

    ticket = writer.get(f"{tickets_url}/{ticket_id}", mark_read="false").json()
    assert ticket["unread_customer_count"] == 0
    assert browser.news(ticket_id)["unread_count"] == 0


def test_what_came_since_the_last_poll_stays_unread(
    browser: Browser, ticket_id: str, reply: Any
) -> None:
    reply("One")
    browser.news(ticket_id)
    reply("Two")

    assert browser.see(ticket_id).json() == {"success": True, "unread_count": 1}


def test_marking_as_seen_leaves_the_ticket_as_it_is_to_the_team(
    browser: Browser, ticket_id: str, reply: Any, writer: ApiClient, tickets_url: str
) -> None:
    reply("Hello!")
    browser.news(ticket_id)
    before = writer.get(f"{tickets_url}/{ticket_id}", mark_read="false").json()

    browser.see(ticket_id)

    after = writer.get(f"{tickets_url}/{ticket_id}", mark_read="false").json()
    assert after == {**before, "unread_customer_count": 0}


def test_another_session_can_not_mark_as_seen(project: Project, ticket_id: str) -> None:
    assert Browser(project).see(ticket_id).status_code == 403


@pytest.mark.parametrize("named", [str(uuid.UUID(int=7)), "nothing"])
def test_marking_an_unknown_ticket_is_a_404(browser: Browser, named: str) -> None:
    assert browser.see(named).status_code == 404


def test_readers_and_writers_at_once_leave_the_right_number(
    project: Project, browser: Browser, ticket_id: str, writer: ApiClient, tickets_url: str
) -> None:
    def answer() -> None:
        for _ in range(5):
            ApiClient.post(writer, f"{tickets_url}/{ticket_id}/reply", {"message": "Hello!"})

    def follow() -> None:
        tab = Browser(project)
        tab.credentials = browser.credentials
        for _ in range(5):
            tab.news(ticket_id)
            tab.see(ticket_id)

    at_once(answer, follow, follow)

    ticket = Ticket.objects.get(pk=ticket_id)
    unread = ticket.messages.from_team(ticket.customer_read_seq).count()
    assert ticket.unread_customer_count == unread
    browser.news(ticket_id)
    assert browser.see(ticket_id).json()["unread_count"] == 0


def test_a_body_is_needed_to_mark_as_seen(browser: Browser, ticket_id: str) -> None:
    response = browser.post(f"{WIDGET}/messages/{ticket_id}/read", {})

    assert response.status_code == 400
