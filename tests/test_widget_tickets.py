"""GET …/widget/tickets: the customer's conversations."""

from collections.abc import Callable
from typing import Any

import pytest

from projects.models import Project
from tests.api import ApiClient
from tests.test_queries import statements
from tests.widget import Browser, identity_hash


@pytest.fixture
def browser(project: Project) -> Browser:
    return Browser(project)


def test_they_come_newest_first(browser: Browser) -> None:
    ids = [browser.sent(str(number))["ticket_id"] for number in range(3)]

    answer = browser.tickets().json()

    assert [ticket["id"] for ticket in answer["results"]] == ids[::-1]
    assert answer["count"] == 3


def test_each_shows_what_a_list_needs(
    browser: Browser, writer: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent()["ticket_id"]
    reply = writer.post(f"{tickets_url}/{ticket_id}/reply", {"message": "Hello!"}).json()
    ticket = writer.get(f"{tickets_url}/{ticket_id}").json()

    assert browser.tickets().json()["results"] == [
        {
            "id": ticket_id,
            "ticket_number": ticket["ticket_number"],
            "status": "new",
            "unread_count": 1,
            "last_message": "Hello!",
            "last_message_at": reply["created_at"],
            "message_count": 2,
            "created_at": ticket["created_at"],
        }
    ]


def test_they_can_be_filtered_by_status(
    browser: Browser, writer: ApiClient, tickets_url: str
) -> None:
    resolved, new = [browser.sent()["ticket_id"] for _ in range(2)]
    writer.patch(f"{tickets_url}/{resolved}", {"status": "resolved"})

    def ids(**query: Any) -> list[str]:
        return [ticket["id"] for ticket in browser.tickets(**query).json()["results"]]

    assert ids(status="resolved") == [resolved]
    assert ids(status="new") == [new]


def test_they_come_in_pages(browser: Browser) -> None:
    ids = [browser.sent(str(number))["ticket_id"] for number in range(3)][::-1]

    pages = [browser.tickets(limit=2, offset=offset).json() for offset in (0, 2, 4)]

    assert [[ticket["id"] for ticket in page["results"]] for page in pages] == [
        ids[:2],
        ids[2:],
        [],
    ]
    assert {page["count"] for page in pages} == {3}


@pytest.mark.parametrize(
    ("query", "attr"),
    [
        ({"status": "opne"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"offset": "99999999999"}, "offset"),
        ({"widget_session_id": "7"}, "widget_session_id"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_named(browser: Browser, query: dict[str, Any], attr: str) -> None:
    browser.credentials |= query

    response = browser.tickets()

    assert response.status_code == 400
    assert list(response.json()["details"]) == [attr]


def test_a_session_sees_its_own_alone(project: Project, browser: Browser) -> None:
    browser.sent()

    assert Browser(project).tickets().json() == {"count": 0, "results": []}


def test_a_project_shows_its_own_alone(neighbour: Project, browser: Browser) -> None:
    browser.sent()
    elsewhere = Browser(neighbour)
    elsewhere.credentials = browser.credentials

    assert elsewhere.tickets().json()["count"] == 0


def test_a_verified_customer_with_a_session_sees_both(project: Project, browser: Browser) -> None:
    ids = {browser.sent()["ticket_id"], Browser(project, "user_1").sent()["ticket_id"]}

    browser.credentials |= {
        "identity_distinct_id": "user_1",
        "identity_hash": identity_hash(project, "user_1"),
    }

    assert {ticket["id"] for ticket in browser.tickets().json()["results"]} == ids


def test_the_list_costs_the_same_for_any_number_of_tickets(browser: Browser) -> None:
    browser.tickets()
    costs = []
    for count in (1, 10):
        for number in range(count):
            browser.sent(str(number))
        with statements() as found:
            browser.tickets(limit=19)
        costs.append(len(found))

    # The rows, and how many there are.
    assert costs == [2, 2]


@pytest.mark.parametrize("identity", [None, "user_1"])
def test_an_idle_list_costs_no_sql(project: Project, identity: str | None) -> None:
    browser = Browser(project, identity)
    browser.sent()
    browser.tickets()

    with statements() as found:
        browser.tickets()

    assert found == []


CHANGES: dict[str, Callable[[ApiClient, str, Browser], Any]] = {
    "a reply": lambda api, url, browser: api.post(f"{url}/reply", {"message": "Hello"}),
    "a status": lambda api, url, browser: api.patch(url, {"status": "pending"}),
    "another ticket": lambda api, url, browser: browser.sent("Another"),
    "another message": lambda api, url, browser: browser.sent(
        "Hello?", ticket_id=url.rpartition("/")[2]
    ),
    "bulk": lambda api, url, browser: api.post(
        f"{url.rpartition('/')[0]}/bulk_update_status",
        {"ids": [url.rpartition("/")[2]], "status": "pending"},
    ),
    "deletion": lambda api, url, browser: api.delete(url),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("identity", [None, "user_1"])
def test_a_change_shows_in_the_list_at_once(
    project: Project, writer: ApiClient, tickets_url: str, identity: str | None, change: str
) -> None:
    browser = Browser(project, identity)
    ticket_id = browser.sent()["ticket_id"]
    before = browser.tickets().json()

    CHANGES[change](writer, f"{tickets_url}/{ticket_id}", browser)

    assert browser.tickets().json() != before


def test_what_becomes_a_verified_customers_leaves_the_browsers_list(
    project: Project, browser: Browser
) -> None:
    ticket_id = browser.sent(distinct_id="user_1")["ticket_id"]
    customer = Browser(project, "user_1")
    assert (browser.tickets().json()["count"], customer.tickets().json()["count"]) == (1, 1)

    customer.sent("It is me", ticket_id=ticket_id)

    assert (browser.tickets().json()["count"], customer.tickets().json()["count"]) == (0, 1)


def test_what_is_seen_shows_in_the_list(
    browser: Browser, writer: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent()["ticket_id"]
    writer.post(f"{tickets_url}/{ticket_id}/reply", {"message": "Hello!"})
    assert browser.tickets().json()["results"][0]["unread_count"] == 1

    browser.news(ticket_id)
    browser.see(ticket_id)

    assert browser.tickets().json()["results"][0]["unread_count"] == 0
