"""A customer chats with the team: an unmodified posthog-js on a page of another origin."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewCustomer, Shop
from tests.browser.people import Customer, eventually

pytestmark = pytest.mark.xdist_group("browser")


def test_what_a_customer_writes_becomes_an_unread_ticket(customer: Customer, shop: Shop) -> None:
    customer.open_chat()
    customer.say("Where is my kettle?")

    ticket = shop.team.ticket()
    assert ticket["channel_source"] == "widget"
    assert ticket["last_message_text"] == "Where is my kettle?"
    assert ticket["unread_team_count"] == 1
    assert shop.team.unread_count() == 1


def test_a_reply_shows_in_the_open_chat(customer: Customer, shop: Shop) -> None:
    customer.open_chat()
    customer.say("Where is my kettle?")

    shop.team.reply("It left us this morning.")

    customer.sees("It left us this morning.")
    customer.sees("Where is my kettle?")


def test_a_reply_is_unread_until_the_customer_opens_the_chat(
    customer: Customer, shop: Shop
) -> None:
    customer.open_chat()
    customer.say("Where is my kettle?")
    customer.close_chat()

    shop.team.reply("It left us this morning.")
    assert shop.team.ticket()["unread_customer_count"] == 1

    customer.open_chat()
    customer.sees("It left us this morning.")
    eventually(lambda: shop.team.ticket()["unread_customer_count"], 0)


def test_a_reply_between_a_poll_and_the_next_message_shows_once(
    customer: Customer, shop: Shop
) -> None:
    customer.open_chat()
    customer.say("Where is my kettle?")
    # posthog-js polls at once and a second after a message, and then every five seconds.
    for _ in range(3):
        customer.next_poll()

    reply = shop.team.reply("It left us this morning.")
    customer.say("And my cup?")

    # What posthog-js asks for from now on leaves the reply out.
    assert asked_after(customer.next_poll().url) > datetime.fromisoformat(reply["created_at"])
    customer.sees("It left us this morning.")
    customer.sees("And my cup?")
    for _ in range(2):
        customer.next_poll()
    customer.sees("It left us this morning.")
    customer.sees("And my cup?")


def asked_after(poll: str) -> datetime:
    [after] = parse_qs(urlsplit(poll).query)["after"]
    return datetime.fromisoformat(after)


def test_after_a_reload_the_conversation_is_there_again(customer: Customer, shop: Shop) -> None:
    customer.open_chat()
    customer.say("Where is my kettle?")
    shop.team.reply("It left us this morning.")
    customer.sees("It left us this morning.")

    customer.page.reload()

    customer.sees("Where is my kettle?")
    customer.sees("It left us this morning.")
    customer.say("Thank you!")
    assert shop.team.ticket()["message_count"] == 3


def test_a_resolved_conversation_says_so_and_another_one_can_begin(
    customer: Customer, shop: Shop
) -> None:
    customer.open_chat()
    customer.say("Where is my kettle?")
    # The client looks for it only when it has found its conversation again.
    customer.page.reload()
    customer.sees("Where is my kettle?")

    shop.team.resolve()

    customer.sees("This conversation was resolved.")
    customer.widget.get_by_role("button", name="New conversation").click()
    customer.say("Do you have cups?")
    eventually(
        lambda: sorted(ticket["status"] for ticket in shop.team.tickets()), ["new", "resolved"]
    )


def test_identify_puts_a_person_on_the_ticket(customer: Customer, shop: Shop) -> None:
    customer.page.evaluate("posthog.identify('user_1', {email: 'robin@example.com'})")
    customer.open_chat()
    customer.say("Where is my kettle?")

    def person() -> Any:
        person = shop.team.ticket()["person"]
        return person and person["properties"].get("email")

    assert shop.team.ticket()["distinct_id"] == "user_1"
    eventually(person, "robin@example.com")


def test_another_browser_does_not_see_the_conversation(
    customer: Customer, new_customer: NewCustomer, shop: Shop
) -> None:
    customer.open_chat()
    customer.say("Where is my kettle?")

    somebody_else = new_customer()
    somebody_else.visit(shop.page)
    somebody_else.open_chat()

    expect(somebody_else.widget.get_by_role("textbox")).to_be_visible()
    expect(somebody_else.widget.get_by_text("Where is my kettle?")).to_have_count(0)


def test_the_customers_console_stays_clean(customer: Customer, shop: Shop) -> None:
    customer.page.evaluate("posthog.capture('looked around')")
    customer.open_chat()
    customer.say("Where is my kettle?")
    shop.team.reply("It left us this morning.")
    customer.sees("It left us this morning.")
    customer.page.evaluate("posthog.identify('user_1', {email: 'robin@example.com'})")
    customer.page.reload()
    customer.sees("It left us this morning.")
    customer.next_poll()

    assert customer.complaints == []
