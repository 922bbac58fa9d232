"""A customer in a new browser gets old conversations back by the link in an email."""

import re
from email.message import Message

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewCustomer, Service, Shop
from tests.browser.people import PATIENCE, Customer, eventually

pytestmark = pytest.mark.xdist_group("browser")

EMAIL = "robin@example.com"


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """It asks each customer for an email before the chat begins."""
    shop.team.configure(widget_require_email=True)
    return shop


def ask_for_a_link(customer: Customer) -> None:
    customer.open_chat()
    customer.introduce(EMAIL)
    customer.widget.get_by_role("button", name="Recover them here").click()
    customer.widget.get_by_placeholder("you@example.com").fill(EMAIL)
    customer.widget.get_by_role("button", name="Send restore link").click()
    sent = customer.widget.get_by_text("Check your email", exact=False)
    expect(sent).to_be_visible(timeout=PATIENCE * 1000)


def link_in(message: Message) -> str:
    body = message.get_payload(decode=True)
    assert isinstance(body, bytes)
    [link] = re.findall(r"http://\S+ph_conv_restore=\S+", body.decode())
    return str(link)


def test_the_emailed_link_opens_a_resolved_conversation_in_a_new_browser(
    customer: Customer, new_customer: NewCustomer, shop: Shop, make_run: Service
) -> None:
    customer.open_chat()
    customer.introduce(EMAIL)
    customer.say("Where is my kettle?")
    shop.team.reply("It left us this morning.")
    shop.team.resolve()

    elsewhere = new_customer()
    elsewhere.visit(shop.page)
    mails_before = len(make_run.messages())
    ask_for_a_link(elsewhere)
    eventually(lambda: len(make_run.messages()), mails_before + 1)
    mail = make_run.messages()[-1]
    assert mail["To"] == EMAIL
    link = link_in(mail)
    assert link.startswith(shop.page)

    elsewhere.visit(link)

    elsewhere.widget.get_by_text("It left us this morning.").click()
    elsewhere.sees("Where is my kettle?")
    elsewhere.sees("This conversation was resolved.")
    assert "ph_conv_restore" not in elsewhere.page.url
