"""Agents at the list of the inbox, in a real browser before the real service."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewCustomer, Service, SitDown
from tests.browser.inbox import Agent, Room

pytestmark = pytest.mark.xdist_group("browser")


def test_the_demos_agent_signs_in_at_the_printed_address_and_sees_the_queue(
    make_run: Service, new_customer: NewCustomer
) -> None:
    printed = make_run.run.output
    inbox = re.search(r"Inbox +(\S+)", printed)
    agent = re.search(r"Demo agent +(\S+), password (\S+)", printed)
    assert inbox is not None
    assert agent is not None
    visitor = new_customer()
    visitor.visit(inbox[1])
    visitor.page.get_by_label("Email").fill(agent[1])
    visitor.page.get_by_label("Password").fill(agent[2])
    visitor.page.get_by_role("button", name="Log in").click()

    expect(visitor.page.get_by_role("link", name="Mia Keller").first).to_be_visible()
    expect(visitor.page).to_have_title(re.compile(r"\(\d+\) Unresolved · Demo shop"))
    assert visitor.complaints == []


def test_filters_change_the_list_and_the_address_and_back_undoes_it(
    dana: Agent, room: Room
) -> None:
    room.open_ticket("Where is my kettle?", status="open")
    pending = room.open_ticket("Where is my cup?", status="pending")
    dana.see_list()
    expect(dana.rows).to_have_count(2)
    expect(dana.page).to_have_title("(2) All tickets · Shop")

    dana.page.get_by_text("Status", exact=True).first.click()
    dana.page.get_by_label("Pending").check()

    expect(dana.rows).to_have_count(1)
    expect(dana.row(pending)).to_be_visible()
    expect(dana.page).to_have_url(f"{room.inbox}?status=pending")
    expect(dana.page).to_have_title("(2) Tickets · Shop")
    expect(dana.page.locator("#found")).to_have_text("1 ticket")
    dana.page.reload()
    expect(dana.rows).to_have_count(1)
    dana.page.go_back()
    expect(dana.rows).to_have_count(2)


def test_a_search_lists_what_has_the_words(dana: Agent, room: Room) -> None:
    room.open_ticket("Where is my kettle?")
    old = room.open_ticket("An espresso machine that leaks")
    room.change(old, status="resolved")
    dana.see_list()

    dana.press("/")
    dana.page.keyboard.type("espr leak")

    expect(dana.rows).to_have_count(1)
    expect(dana.row(old)).to_be_visible()
    expect(dana.page).to_have_url(f"{room.inbox}?search=espr+leak")


def test_many_are_selected_and_changed_at_once(dana: Agent, room: Room) -> None:
    tickets = [room.open_ticket(f"Ticket {number}") for number in range(60)]
    dana.see_list("?status=new")

    dana.page.get_by_label("Select all on this page").check()
    expect(dana.page.get_by_text("60 selected")).to_be_visible()
    dana.page.get_by_label("Tags", exact=True).last.fill("autumn")
    dana.page.get_by_role("button", name="Add").click()
    expect(dana.page.locator("#said")).to_have_text("60 of 60 tickets changed.")
    expect(dana.page.locator("#bulk")).to_be_hidden()
    dana.page.get_by_label("Select all on this page").check()
    dana.row(tickets[0]).get_by_role("checkbox").uncheck()
    dana.page.get_by_role("button", name="Set status").click()

    expect(dana.rows).to_have_count(1)
    expect(dana.row(tickets[0])).to_be_visible()
    states = [(ticket["status"], ticket["tags"]) for ticket in room.tickets()]
    assert sorted(states) == [("new", ["autumn"]), *[("resolved", ["autumn"])] * 59]


def test_a_list_is_kept_as_a_view_which_is_changed_and_deleted(dana: Agent, room: Room) -> None:
    room.open_ticket("Where is my kettle?", status="open", tags=["a"])
    room.open_ticket("Where is my cup?", status="pending")
    dana.see_list("?status=open")
    dana.page.get_by_text("Save as a view").click()
    dana.page.get_by_label("Save this list as a view named").fill("Kettles")
    dana.page.get_by_role("button", name="Save view").click()
    expect(dana.page.locator("#said")).to_have_text("Saved as a view.")
    expect(dana.page.locator("#views")).to_contain_text("Kettles")
    dana.is_live()

    dana.page.get_by_text("Status: Open").click()
    dana.page.get_by_label("Open", exact=True).uncheck()
    expect(dana.rows).to_have_count(2)
    dana.page.get_by_text("Changed view: Kettles").click()
    dana.page.get_by_role("button", name="Save the changed filters").click()
    expect(dana.page.get_by_text("View: Kettles", exact=True)).to_be_visible()
    expect(dana.rows).to_have_count(2)

    dana.page.get_by_text("View: Kettles", exact=True).click()
    dana.page.get_by_text("Delete the view").click()
    dana.page.get_by_role("button", name="Delete it").click()
    expect(dana.page.locator("#views")).to_have_text("None yet")


def test_enter_in_the_tags_adds_them_and_changes_nothing_else(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see_list("?status=new")

    dana.row(ticket).get_by_role("checkbox").check()
    dana.page.locator("#bulk-tags").fill("autumn")
    dana.press("Enter")

    expect(dana.page.locator("#said")).to_have_text("1 of 1 ticket changed.")
    now = room.now(ticket)
    assert (now["status"], now["tags"]) == ("new", ["autumn"])


def test_each_change_is_said_where_it_can_be_seen(dana: Agent, room: Room) -> None:
    room.open_ticket()
    dana.see_list("?status=new")
    for tag in ("autumn", "winter"):
        dana.page.get_by_label("Select all on this page").check()
        dana.page.locator("#bulk-tags").fill(tag)
        dana.press("Enter")

        expect(dana.page.get_by_text("1 of 1 ticket changed.")).to_be_visible()
        # As after five seconds.
        dana.page.evaluate("document.getAnimations().forEach((one) => one.finish())")
        expect(dana.page.get_by_text("1 of 1 ticket changed.")).to_be_hidden()


def test_no_more_are_selected_than_can_be_changed_at_once(dana: Agent, room: Room) -> None:
    for _ in range(3):
        room.open_ticket()
    dana.see_list("?status=new")
    # The rule is the same for 500 of 501.
    dana.page.locator("#bulk").evaluate("bulk => { bulk.dataset.most = 2 }")

    dana.page.get_by_label("Select all on this page").click()

    expect(dana.page.locator("#rows input:checked")).to_have_count(2)
    expect(dana.page.get_by_text("2 selected, the most that can be changed")).to_be_visible()
    dana.page.locator("#rows input:not(:checked)").click()
    expect(dana.page.locator("#rows input:checked")).to_have_count(2)


def test_an_answer_that_is_not_the_inboxs_leaves_the_list_as_it_is(dana: Agent, room: Room) -> None:
    room.open_ticket()
    dana.see_list("?status=new")
    dana.page.route("**/bulk*", lambda route: route.fulfill(status=400, body="<h1>Proxy</h1>"))

    dana.page.get_by_label("Select all on this page").check()
    dana.page.get_by_role("button", name="Set status").click()

    expect(dana.page.locator("#problem")).to_contain_text("the service answered 400")
    expect(dana.rows).to_have_count(1)
    expect(dana.page.get_by_role("button", name="Set status")).to_be_focused()
    # The page's own word for it.
    assert [said for said in dana.complaints if "Response Status Error Code 400" not in said] == []
    dana.complaints.clear()


def test_what_customers_do_shows_at_once_in_list_number_and_title(dana: Agent, room: Room) -> None:
    first = room.open_ticket("Where is my kettle?")
    room.make("views", name="Of all", filters={"status": ["new"]})
    dana.see_list()
    expect(dana.page).to_have_title(re.compile(r"^\(1\)"))
    dana.row(first).get_by_role("checkbox").check()
    dana.page.get_by_label("Tags", exact=True).last.fill("half typed")

    second = room.open_ticket("Where is my cup?")

    expect(dana.row(second)).to_be_visible()
    expect(dana.page).to_have_title(re.compile(r"^\(2\)"))
    icon = dana.page.locator("link[rel=icon]")
    expect(icon).to_have_attribute("href", re.compile(r"^data:image/svg.*%3E2%3C"))
    expect(dana.page.locator("#side .number").first).to_have_text("2 unread")
    expect(dana.page.locator("#views .number")).to_have_text("2 unread")
    expect(dana.row(first).get_by_role("checkbox")).to_be_checked()
    expect(dana.page.get_by_label("Tags", exact=True).last).to_have_value("half typed")


def test_a_network_that_comes_back_brings_what_happened_meanwhile(dana: Agent, room: Room) -> None:
    dana.see_list()
    dana.page.context.set_offline(True)
    expect(dana.page.locator("#live")).to_have_text(re.compile("Offline"))
    ticket = room.open_ticket("Where is my kettle?")

    dana.page.context.set_offline(False)

    dana.is_live()
    expect(dana.row(ticket)).to_be_visible()
    # Chromium's own words for a request without a network.
    dana.complaints[:] = [said for said in dana.complaints if "ERR_INTERNET" not in said]


def test_tabs_share_one_stream_and_the_next_one_takes_over(dana: Agent, room: Room) -> None:
    dana.see_list()
    asked: list[str] = []
    dana.page.context.on("request", lambda request: asked.append(request.url))
    tabs = [dana.page.context.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(room.inbox)
        expect(tab.locator("#live")).to_have_attribute("data-state", "live")
    assert [url for url in asked if url.endswith("/stream")] == []

    dana.page.goto("about:blank")
    ticket = room.open_ticket("Where is my kettle?")

    for tab in tabs:
        tab.bring_to_front()
        expect(tab.locator(f"#row-{ticket['ticket_number']}")).to_be_visible()
    assert len([url for url in asked if url.endswith("/stream")]) == 1


def test_the_keyboard_alone_goes_through_the_list(dana: Agent, room: Room) -> None:
    tickets = [room.open_ticket(f"Ticket {number}") for number in range(3)]
    dana.see_list("?order_by=ticket_number")

    dana.press("j", "j", "j", "k")
    expect(dana.row(tickets[1]).get_by_role("link")).to_be_focused()
    dana.press("e")
    expect(dana.page.locator("#said")).to_have_text("1 of 1 ticket changed.")
    assert room.now(tickets[1])["status"] == "resolved"
    dana.press("k", "x", "j", "x", "a")
    expect(dana.page.get_by_text("2 selected")).to_be_visible()
    expect(dana.page.get_by_label("Assign to")).to_be_focused()
    dana.press("Escape", "?")
    expect(dana.page.get_by_role("dialog")).to_be_visible()
    dana.press("Escape")
    expect(dana.page.get_by_role("dialog")).to_be_hidden()


def test_the_keyboard_stays_where_a_ticket_has_left_the_list(dana: Agent, room: Room) -> None:
    tickets = [room.open_ticket(f"Ticket {number}") for number in range(4)]
    dana.see_list("?status=new&order_by=ticket_number")

    dana.press("j", "j", "e")
    expect(dana.rows).to_have_count(3)
    expect(dana.row(tickets[2]).get_by_role("link")).to_be_focused()
    dana.press("j", "e")
    expect(dana.rows).to_have_count(2)
    # The last one has none after it.
    expect(dana.row(tickets[2]).get_by_role("link")).to_be_focused()
    dana.press("k")
    expect(dana.row(tickets[0]).get_by_role("link")).to_be_focused()


def test_the_focus_outlives_whatever_replaces_the_list(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see_list("?status=new")
    box = dana.row(ticket).get_by_role("checkbox")
    box.focus()

    expect(dana.row(room.open_ticket())).to_be_visible()
    expect(box).to_be_focused()
    dana.press("x")
    dana.page.get_by_role("button", name="Remove").focus()
    dana.press("Enter")
    expect(dana.page.get_by_text("Which tags?")).to_be_visible()
    expect(dana.page.locator("#bulk-tags")).to_be_focused()
    dana.page.locator("#bulk-tags").fill("autumn")
    dana.press("Enter")
    expect(dana.page.locator("#bulk")).to_be_hidden()
    expect(dana.row(ticket).get_by_role("link")).to_be_focused()


def test_a_filter_that_is_wrong_says_so_at_once_and_after_a_reload(
    sit_down: SitDown, room: Room
) -> None:
    agent = sit_down(viewport={"width": 360, "height": 800})
    agent.see_list()
    field, told = agent.page.get_by_label("Created from"), "Neither a date"
    agent.page.get_by_text("More", exact=True).click()
    field.fill("garbage")
    agent.press("Enter")

    for _ in ("at once", "after a reload"):
        expect(agent.page.get_by_role("alert").get_by_text(told)).to_be_visible()
        expect(agent.page.locator(".further").get_by_text(told)).to_be_in_viewport()
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_accessible_description(re.compile(told))
        agent.page.reload()
    field.fill("")
    agent.press("Enter")
    expect(agent.page.get_by_text(told)).to_have_count(0)
    expect(field).not_to_have_attribute("aria-invalid", "true")


def test_a_link_skips_the_filters(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see_list()

    dana.press("Tab", "Enter", "Tab", "Tab", "Tab")

    expect(dana.row(ticket).get_by_role("link")).to_be_focused()


def test_a_small_window_has_the_lists_and_the_keys_too(sit_down: SitDown, room: Room) -> None:
    agent = sit_down(viewport={"width": 360, "height": 800})
    agent.see_list()
    lists = agent.page.get_by_role("button", name="Lists")

    lists.click()
    expect(agent.page.locator("#side")).to_be_visible()
    agent.press("Escape")
    expect(agent.page.locator("#side")).to_be_hidden()
    expect(lists).to_be_focused()
    expect(lists).to_have_attribute("aria-expanded", "false")
    agent.page.get_by_role("button", name="Keyboard commands").click()
    expect(agent.page.get_by_label("Single keys are commands")).to_be_visible()


def test_single_keys_can_be_switched_off(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see_list()
    dana.press("?")
    expect(dana.page.get_by_role("dialog", name="Keyboard commands")).to_be_visible()
    dana.page.get_by_label("Single keys are commands").uncheck()
    dana.page.get_by_role("button", name="Close").click()

    dana.page.reload()
    dana.press("j")

    expect(dana.row(ticket).get_by_role("link")).not_to_be_focused()


@pytest.mark.parametrize("width", [360, 2560])
def test_nothing_is_wider_than_the_window(sit_down: SitDown, room: Room, width: int) -> None:
    customer = {"name": "W" * 300, "w" * 100: "w" * 1000}
    ticket = room.open_ticket(
        "W" * 2000, tags=["w" * 200], email_subject="W" * 500, anonymous_traits=customer
    )
    room.say(ticket, "W" * 2000)
    agent = sit_down(viewport={"width": width, "height": 800})
    for address in (room.inbox, f"{room.inbox}/tickets/1"):
        agent.page.goto(address)
        expect(agent.page.locator("main")).to_be_visible()

        assert agent.page.evaluate("document.documentElement.scrollWidth") == width
        agent.is_live()
        agent.page.context.set_offline(True)
        expect(agent.page.locator("#live")).to_have_text(re.compile("Offline"))
        assert agent.page.evaluate("document.documentElement.scrollWidth") == width
        agent.page.context.set_offline(False)
