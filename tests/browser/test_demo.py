"""The demo shop that `make run` prints: its chat works under its own strict policy."""

import re
from typing import Any

import pytest

from tests.browser.conftest import NewCustomer, Service
from tests.browser.people import Customer, Team, eventually

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def customer(new_customer: NewCustomer) -> Customer:
    return new_customer()


@pytest.fixture
def team(make_run: Service) -> Team:
    """The demo's, by the key that is printed."""
    found = re.search(r"Demo API key +(\S+) \(project (\d+)\)", make_run.run.output)
    assert found is not None
    return Team(make_run.url, int(found[2]), found[1])


def newest(team: Team) -> Any:
    return max(team.tickets(), key=lambda ticket: ticket["ticket_number"])


def test_a_guest_of_the_demo_shop_raises_the_unread_count(
    make_run: Service, customer: Customer, team: Team
) -> None:
    before = team.unread_count()

    customer.visit(f"{make_run.url}/demo")
    customer.open_chat()
    customer.say("Does the kettle whistle?")

    assert team.unread_count() == before + 1
    assert newest(team)["last_message_text"] == "Does the kettle whistle?"
    customer.sees("Does the kettle whistle?")


def test_a_customer_who_is_logged_in_there_is_a_person(
    make_run: Service, customer: Customer, team: Team
) -> None:
    customer.visit(f"{make_run.url}/demo")
    customer.page.get_by_role("link", name="Log in as Robin").click()
    customer.open_chat()
    customer.say("Where is my parcel?")

    assert newest(team)["distinct_id"] == "robin"
    eventually(lambda: (newest(team)["person"] or {}).get("name"), "robin@example.com")


def test_its_policy_has_nothing_to_complain_about(make_run: Service, customer: Customer) -> None:
    customer.visit(f"{make_run.url}/demo")
    customer.open_chat()
    customer.say("Does the kettle whistle?")
    customer.next_poll()

    assert customer.complaints == []
