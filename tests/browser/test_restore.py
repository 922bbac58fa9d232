"""A customer in a new browser gets old conversations back by the link in an email."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewCustomer, Service, Shop
from tests.browser.people import Customer

pytestmark = pytest.mark.xdist_group("browser")


def test_the_emailed_link_opens_a_resolved_conversation_in_a_new_browser(
    new_customer: NewCustomer, shop: Shop, make_run: Service
) -> None:
    shop.team.configure(widget_require_email=True)
    customer = new_customer()
    customer.visit(shop.page)
    customer.open_chat()
    customer.introduce("kim@example.com")
    customer.say("Where is my kettle?")
    shop.team.reply("It left us this morning.")
    shop.team.resolve()

    elsewhere = new_customer()
    elsewhere.visit(shop.page)
    elsewhere.open_chat()
    elsewhere.introduce("kim@example.com")
    elsewhere.ask_for_a_link("kim@example.com")
    link = make_run.link_mailed_to("kim@example.com")
    assert link.startswith(shop.page)
    elsewhere.follow(link)

    elsewhere.widget.get_by_text("It left us this morning.").click()
    elsewhere.sees("Where is my kettle?")
    elsewhere.sees("This conversation was resolved.")
    assert elsewhere.page.url == shop.page


def test_a_link_works_once(
    customer: Customer, new_customer: NewCustomer, shop: Shop, make_run: Service
) -> None:
    customer.page.evaluate("posthog.setPersonProperties({email: 'lou@example.com'})")
    customer.open_chat()
    customer.say("Where is my kettle?")
    customer.ask_for_a_link("lou@example.com")
    link = make_run.link_mailed_to("lou@example.com")
    customer.follow(link)

    somebody_else = new_customer()
    somebody_else.follow(link)
    somebody_else.open_chat()

    expect(somebody_else.widget.get_by_role("textbox")).to_be_visible()
    expect(somebody_else.widget.get_by_text("Where is my kettle?")).to_have_count(0)


def test_the_demo_shop_sends_links_to_itself(new_customer: NewCustomer, make_run: Service) -> None:
    sasha = new_customer()
    sasha.visit(f"{make_run.url}/demo?user=sasha")
    sasha.open_chat()
    sasha.say("Do you repair kettles?")

    elsewhere = new_customer()
    elsewhere.visit(f"{make_run.url}/demo")
    elsewhere.open_chat()
    elsewhere.ask_for_a_link("sasha@example.com")
    elsewhere.follow(make_run.link_mailed_to("sasha@example.com"))

    # Right after the link posthog-js now and then drops what came before its chat was drawn.
    elsewhere.page.reload()
    elsewhere.sees("Do you repair kettles?")
