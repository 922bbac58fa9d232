"""Agents in a conversation, in a real browser before the real service."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import (
    SHOP_HOST,
    NewCustomer,
    SitDown,
    page_with_the_readmes_tag,
    serving,
)
from tests.browser.inbox import Agent, Room
from tests.browser.people import eventually

pytestmark = pytest.mark.xdist_group("browser")


def test_an_agent_works_through_the_queue_by_the_keyboard(dana: Agent, room: Room) -> None:
    first = room.open_ticket("Where is my kettle?")
    second = room.open_ticket("Where is my cup?")
    dana.see_list("?order_by=ticket_number")

    dana.press("j", "Enter")
    expect(dana.said("Where is my kettle?")).to_be_visible()
    eventually(lambda: room.now(first)["unread_team_count"], 0)
    dana.press("r")
    expect(dana.box).to_be_focused()
    dana.page.keyboard.type("It left us this morning.")
    dana.press("Control+Enter")
    expect(dana.said("It left us this morning.")).to_be_visible()
    expect(dana.box).to_have_value("")
    dana.press("Escape", "n")
    dana.page.keyboard.type("Ask the courier")
    dana.press("Control+Enter")
    expect(dana.page.locator(".message.note")).to_contain_text("Ask the courier")
    expect(dana.box).to_have_value("")
    dana.press("Escape", "e")
    expect(dana.page.get_by_role("button", name="Reopen")).to_be_visible()
    dana.press("j")
    expect(dana.said("Where is my cup?")).to_be_visible()
    dana.press("a")
    expect(dana.page.get_by_label("Assigned to")).to_be_focused()
    dana.page.get_by_label("Assigned to").select_option(label="Kim")
    eventually(lambda: (room.now(second)["assignee"] or {}).get("type"), "user")
    dana.page.get_by_label("Assigned to").blur()
    dana.press("u")

    expect(dana.page).to_have_url(f"{room.inbox}?order_by=ticket_number")
    said = [(message["content"], message["is_private"]) for message in room.messages(first)]
    assert said[1:] == [("It left us this morning.", False), ("Ask the courier", True)]
    assert room.now(first)["status"] == "resolved"


def test_a_draft_survives_a_reload_and_is_gone_when_it_is_sent(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)
    dana.page.get_by_role("radio", name="Note").check()
    dana.box.fill("Half a thought")

    dana.page.reload()
    expect(dana.box).to_have_value("Half a thought")
    expect(dana.page.get_by_role("radio", name="Note")).to_be_checked()
    dana.page.get_by_role("button", name="Add note").click()
    expect(dana.said("Half a thought")).to_be_visible()
    dana.page.reload()

    expect(dana.box).to_have_value("")


def test_a_customers_message_shows_at_once_and_is_read_when_it_is_seen(
    dana: Agent, room: Room
) -> None:
    ticket = room.open_ticket("Where is my kettle?")
    dana.see(ticket)

    room.say(ticket, "Hello?")

    expect(dana.said("Hello?")).to_be_visible()
    eventually(lambda: room.now(ticket)["unread_team_count"], 0)
    # It is on the page, so that nothing is in the way of an answer to it.
    dana.box.fill("It left us.")
    dana.press("Control+Enter")
    expect(dana.said("It left us.")).to_be_visible()


def test_two_agents_answer_one_ticket_and_the_second_is_told(
    dana: Agent, sit_down: SitDown, room: Room
) -> None:
    ticket = room.open_ticket("Where is my kettle?")
    kim = sit_down("Kim")
    dana.see(ticket)
    kim.see(ticket)
    dana.box.fill("It left us this morning.")

    kim.box.fill("I am looking into it")
    kim.page.get_by_role("button", name="Send", exact=True).click()

    notice = dana.page.locator("#notice")
    expect(notice).to_contain_text("Kim wrote meanwhile.")
    expect(notice).to_contain_text("I am looking into it")
    expect(dana.box).to_have_value("It left us this morning.")
    dana.box.press("Control+Enter")
    expect(dana.said("It left us this morning.")).to_be_visible()
    expect(kim.said("It left us this morning.")).to_be_visible()
    assert len(room.messages(ticket)) == 3


def test_who_was_not_told_in_time_is_told_by_the_refusal(
    dana: Agent, sit_down: SitDown, room: Room
) -> None:
    ticket = room.open_ticket("Where is my kettle?")
    dana.see_without_stream(ticket)
    room.say(ticket, "I am on it", author_type="support")

    dana.box.fill("It left us.")
    dana.press("Control+Enter")

    expect(dana.page.locator("#notice")).to_contain_text("Yours is not sent.")
    expect(dana.box).to_have_value("It left us.")
    assert len(room.messages(ticket)) == 2
    dana.box.press("Control+Enter")
    expect(dana.said("It left us.")).to_be_visible()


def test_what_is_typed_beside_the_conversation_outlives_a_colleagues_change(
    dana: Agent, room: Room
) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)
    dana.page.get_by_label("Tags").fill("mine")

    room.change(ticket, tags=["theirs"], priority="high")

    expect(dana.page.get_by_label("Priority")).to_have_value("high")
    expect(dana.page.get_by_label("Tags")).to_have_value("mine")
    dana.page.get_by_label("Tags").press("Enter")
    expect(dana.page.locator("#properties")).to_contain_text("changed this ticket meanwhile")
    expect(dana.page.get_by_label("Tags")).to_have_value("mine")
    assert room.now(ticket)["tags"] == ["theirs"]
    dana.page.get_by_label("Tags").press("Enter")
    eventually(lambda: room.now(ticket)["tags"], ["mine"])


def test_what_was_refused_stays_with_why_until_it_is_done(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see_without_stream(ticket)
    room.change(ticket, priority="high")
    dana.page.get_by_label("Tags").fill("mine")
    dana.page.get_by_label("Tags").press("Enter")
    expect(dana.page.locator("#stale")).to_be_visible()
    room.say(ticket, "Hello?")
    dana.box.fill("It left us.")
    dana.press("Control+Enter")
    expect(dana.page.locator("#notice")).to_contain_text("Yours is not sent.")

    room.say(ticket, "Are you there?")
    dana.refresh()

    expect(dana.page.locator("#notice")).to_contain_text("Are you there?")
    expect(dana.page.locator("#notice")).to_contain_text("Yours is not sent.")
    expect(dana.page.locator("#stale")).to_be_visible()
    expect(dana.page.get_by_label("Tags")).to_have_value("mine")
    dana.page.get_by_label("Tags").press("Enter")
    eventually(lambda: room.now(ticket)["tags"], ["mine"])
    expect(dana.page.locator("#stale")).to_have_count(0)


def test_who_types_goes_on_typing_whatever_happens(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)
    tags = dana.page.get_by_label("Tags")
    tags.click()
    dana.page.keyboard.type("one")

    room.say(ticket, "Hello?")
    expect(dana.said("Hello?")).to_be_visible()
    dana.page.keyboard.type(", escalated")

    expect(tags).to_be_focused()
    expect(tags).to_have_value("one, escalated")
    tags.press("Enter")
    eventually(lambda: room.now(ticket)["tags"], ["escalated", "one"])
    assert room.now(ticket)["status"] != "resolved"


def test_changes_in_quick_succession_are_all_saved(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)

    dana.page.evaluate(
        """() => {
          for (const [id, value] of [["fact-priority", "high"], ["fact-status", "pending"]]) {
            const select = document.getElementById(id);
            select.value = value;
            select.dispatchEvent(new Event("change", { bubbles: true }));
          }
          document.getElementById("fact-tags").value = "quick";
          document.getElementById("form-tags").requestSubmit();
          document.getElementById("message").value = "On our way";
          document.getElementById("send").click();
          document.getElementById("send").click();
          document.getElementById("state").click();
        }"""
    )

    eventually(lambda: room.now(ticket)["status"], "resolved")
    assert room.now(ticket)["priority"] == "high"
    assert room.now(ticket)["tags"] == ["quick"]
    assert [message["content"] for message in room.messages(ticket)] == ["Hi", "On our way"]
    expect(dana.page.get_by_role("button", name="Reopen")).to_be_visible()


def test_what_waits_for_its_turn_is_done_as_it_was_when_the_agent_did_it(
    dana: Agent, room: Room
) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)

    dana.page.evaluate(
        """() => {
          const byId = (id) => document.getElementById(id);
          for (const value of ["pending", "on_hold", "new", "on_hold"]) {
            byId("fact-status").value = value;
            byId("fact-status").dispatchEvent(new Event("change", { bubbles: true }));
          }
          byId("kind-note").checked = true;
          byId("message").value = "For the team alone";
          byId("send").click();
          byId("kind-reply").checked = true;
          byId("state").click();
          byId("state").click();
          byId("fact-tags").value = "one";
          byId("form-tags").requestSubmit();
          byId("fact-tags").value = "one, two";
        }"""
    )

    eventually(lambda: room.now(ticket)["tags"], ["one"])
    now = room.now(ticket)
    assert now["status"] == "resolved"
    said = [(message["content"], message["is_private"]) for message in room.messages(ticket)]
    assert said == [("Hi", False), ("For the team alone", True)]
    expect(dana.page.locator("#activity")).to_contain_text("new → on hold")
    expect(dana.page.get_by_label("Tags")).to_have_value("one, two")
    expect(dana.page.get_by_role("button", name="Reopen")).to_be_visible()


def test_who_sends_and_resolves_goes_on_and_leaves_when_all_is_done(
    dana: Agent, room: Room
) -> None:
    ticket = room.open_ticket()
    other = room.open_ticket("Another")
    dana.see_list("?order_by=ticket_number")
    dana.see(ticket)

    dana.page.evaluate(
        """() => {
          document.getElementById("message").value = "It left us.";
          document.getElementById("send-and-resolve").click();
          document.getElementById("fact-tags").value = "done";
          document.getElementById("form-tags").requestSubmit();
        }"""
    )
    dana.press("j")

    dana.page.wait_for_url(f"**/tickets/{other['ticket_number']}")
    now = room.now(ticket)
    assert (now["status"], now["tags"]) == ("resolved", ["done"])


def test_who_was_refused_stays(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    room.open_ticket("Another")
    dana.see_list("?order_by=ticket_number")
    dana.see_without_stream(ticket)
    room.say(ticket, "Wait!")

    dana.press("e", "j")

    expect(dana.page.locator("#notice")).to_contain_text("The ticket is not resolved.")
    assert room.now(ticket)["status"] != "resolved"


def test_a_message_is_edited_again_before_the_answer_is_there(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    room.say(ticket, "It left as.", "support")
    dana.see(ticket)
    dana.page.locator("#message-2 summary", has_text="Change message 2").click()

    dana.page.evaluate(
        """() => {
          const text = document.getElementById("text-2");
          for (const said of ["It left us.", "It left us today."]) {
            text.value = said;
            text.form.requestSubmit();
          }
        }"""
    )

    expect(dana.said("It left us today.")).to_be_visible()
    assert room.messages(ticket)[1]["content"] == "It left us today."


def test_a_choice_that_is_walked_to_by_the_keyboard_is_saved_when_it_is_left(
    dana: Agent, room: Room
) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)
    dana.page.get_by_label("Status").focus()

    dana.press("ArrowDown", "ArrowDown", "Tab")

    eventually(lambda: room.now(ticket)["status"], "pending")
    expect(dana.page.locator("#activity")).to_contain_text("pending")
    expect(dana.page.locator("#activity")).not_to_contain_text("open →")


def test_enter_beside_the_box_sends_and_does_not_resolve(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)
    dana.box.fill("Ask Sam")
    dana.page.get_by_role("radio", name="Note").focus()

    dana.press("Space", "Enter")

    expect(dana.page.locator(".message.note")).to_contain_text("Ask Sam")
    assert room.now(ticket)["status"] != "resolved"


def test_what_is_below_is_not_read_before_it_is_seen(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    for number in range(12):
        room.say(ticket, f"{number}\n\n\n\n", author_type="support")
    dana.see(ticket)
    eventually(lambda: room.now(ticket)["unread_team_count"], 0)
    dana.page.evaluate("scrollTo(0, 0)")

    room.say(ticket, "Hello?")

    expect(dana.said("Hello?")).to_be_attached()
    below = dana.page.get_by_role("button", name="Show the new message below")
    expect(below).to_be_visible()
    assert room.now(ticket)["unread_team_count"] == 1
    below.click()
    eventually(lambda: room.now(ticket)["unread_team_count"], 0)
    expect(below).to_be_hidden()


def test_an_answer_whose_outcome_is_lost_is_sent_again_and_there_once(
    dana: Agent, room: Room
) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    dana.page.route("**/reply", lose, times=1)
    dana.box.fill("It left us.")
    dana.press("Control+Enter")
    expect(dana.page.locator("#problem")).to_contain_text("try again")
    expect(dana.box).to_have_value("It left us.")

    dana.box.press("Control+Enter")

    expect(dana.box).to_have_value("")
    assert [message["content"] for message in room.messages(ticket)] == ["Hi", "It left us."]
    dana.forgive_the_network()


def test_a_ticket_is_snoozed_and_gets_a_deadline(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)

    dana.page.locator("#properties summary").first.click()
    dana.page.get_by_role("button", name="Tomorrow, 9:00").click()
    eventually(lambda: room.now(ticket)["status"], "on_hold")
    expect(dana.page.get_by_label("Status")).to_have_value("on_hold")
    dana.page.locator("#properties summary").nth(1).click()
    dana.page.get_by_label("How many").fill("2")
    dana.page.locator("#form-sla").get_by_role("button", name="Set").click()

    eventually(lambda: room.now(ticket)["sla_due_at"] is not None, True)
    expect(dana.page.locator("#activity")).to_contain_text("deadline: none")


def test_the_keyboard_stays_where_it_was_used(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)
    snoozed = dana.page.locator("#properties summary").first
    snoozed.focus()
    dana.press("Enter", "Tab", "Enter")
    expect(snoozed).to_contain_text("until")
    expect(snoozed).to_be_focused()

    dana.page.get_by_role("button", name="Resolve", exact=True).focus()
    dana.press("Enter")
    expect(dana.page.get_by_role("button", name="Reopen")).to_be_focused()


def test_a_macro_fills_the_box_and_says_what_else_it_does(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    room.make("macros", name="Sent", content="It left us.", actions={"status": "pending"})
    dana.see(ticket)

    dana.page.get_by_label("Macro").select_option(label="Sent")
    expect(dana.box).to_have_value("It left us.")
    expect(dana.page.locator("#macro-does")).to_have_text("The macro sets the status to pending.")
    dana.box.press("Control+Enter")

    expect(dana.said("It left us.")).to_be_visible()
    assert room.now(ticket)["status"] == "pending"


def test_marked_unread_it_stays_so(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket()
    dana.see(ticket)
    eventually(lambda: room.now(ticket)["unread_team_count"], 0)

    dana.page.get_by_role("button", name="Mark unread").click()

    expect(dana.row(ticket)).to_have_class(re.compile("unread"))
    assert room.now(ticket)["unread_team_count"] == 1


def test_a_customer_in_the_widget_and_an_agent_talk(
    dana: Agent, room: Room, new_customer: NewCustomer
) -> None:
    room.configure(widget_domains=[SHOP_HOST])
    with serving(page_with_the_readmes_tag(room.service, room.token)) as port:
        customer = new_customer()
        customer.visit(f"http://{SHOP_HOST}:{port}/")
        customer.open_chat()
        customer.say("Where is my kettle?")
        dana.see(room.ticket())
        dana.box.fill("It left us this morning.")
        dana.press("Control+Enter")
        customer.sees("It left us this morning.")

        customer.say("<b>Thank</b> you!")

        expect(dana.said("<b>Thank</b> you!")).to_be_visible()


def test_a_message_is_edited_while_others_write_and_then_deleted(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket("Where is my kettle?")
    room.say(ticket, "It left as.", "support")
    dana.see(ticket)
    change = dana.page.locator("#message-2 summary", has_text="Change message 2")
    change.click()
    text = dana.page.get_by_label("Text of message 2")
    expect(text).to_be_focused()
    dana.page.keyboard.press("Control+A")
    dana.page.keyboard.type("It left")

    room.say(ticket, "Hello?")

    expect(dana.said("Hello?")).to_be_visible()
    expect(text).to_be_focused()
    dana.page.keyboard.type(" us.")
    dana.press("Control+Enter")
    expect(dana.said("It left us.")).to_be_visible()
    expect(dana.page.locator("#message-2 .when")).to_contain_text("edited")
    change.click()
    dana.page.locator("#message-2").get_by_text("Delete …").click()
    dana.page.get_by_role("button", name="Delete this message").click()
    expect(dana.said("It left us.")).to_have_count(0)
    assert [message["content"] for message in room.messages(ticket)] == [
        "Where is my kettle?",
        "Hello?",
    ]


def test_right_to_left_text_stands_to_the_right(dana: Agent, room: Room) -> None:
    ticket = room.open_ticket("متى تصل الغلاية؟")
    dana.see(ticket)

    direction = dana.said("متى تصل الغلاية؟").evaluate("node => getComputedStyle(node).direction")
    assert direction == "rtl"


def test_markup_of_a_customer_is_text_wherever_it_stands(dana: Agent, room: Room) -> None:
    markup = "<img src=x onerror=alert(1)><a href=javascript:alert(2)>"
    customer = {"name": markup, "email": markup, markup: markup}
    fields = {"email_subject": markup, "tags": [markup], "anonymous_traits": customer}
    ticket = room.open_ticket(markup, **fields)
    room.say(ticket, markup)
    made = "document.querySelectorAll('img, [onerror], a[href^=javascript]').length"

    dana.see_list()
    expect(dana.row(ticket)).to_contain_text(markup)
    assert dana.page.evaluate(made) == 0
    dana.see(ticket)
    expect(dana.said(markup)).to_have_count(2)
    assert dana.page.evaluate(made) == 0
