"""An agent at the overview and the settings of the inbox, in a real browser."""

import re

import pytest
from playwright.sync_api import Error, expect

from tests.browser.conftest import SitDown
from tests.browser.inbox import Agent, Room

pytestmark = pytest.mark.xdist_group("browser")

PAGES = ("overview", "settings", "settings/widget", "settings/keys", "settings/team")
SECRET = "#secret"


def make_webhook(agent: Agent, room: Room) -> str:
    """Through the page; the secret that it then shows."""
    agent.page.goto(f"{room.inbox}/settings/webhooks")
    agent.page.get_by_label("Address").fill("https://example.com/hook")
    agent.page.get_by_role("button", name="Make the webhook").click()
    expect(agent.page.locator(SECRET)).to_be_visible()
    secret = agent.page.locator(SECRET).text_content()
    assert secret
    return secret


def test_a_secret_is_gone_when_the_agent_comes_back(dana: Agent, room: Room) -> None:
    secret = make_webhook(dana, room)

    dana.page.goto(f"{room.inbox}/overview")
    # Chromium has not kept what was answered to the form, and would have to send it again.
    with pytest.raises(Error, match="ERR_CACHE_MISS"):
        dana.page.go_back()
    expect(dana.page.locator("body")).not_to_contain_text(secret)


def test_a_secret_is_gone_after_a_reload_and_nothing_is_made_twice(dana: Agent, room: Room) -> None:
    secret = make_webhook(dana, room)

    dana.page.reload()

    expect(dana.page.get_by_text("This form was sent before")).to_be_visible()
    assert secret not in dana.page.content()
    expect(dana.page.locator(".thing")).to_have_count(1)


def test_a_refused_form_says_first_what_is_wrong_and_leads_there(dana: Agent, room: Room) -> None:
    dana.page.goto(f"{room.inbox}/settings/webhooks")
    dana.page.get_by_label("Address").fill("nonsense")
    dana.page.get_by_role("button", name="Make the webhook").click()

    expect(dana.page).to_have_title(re.compile("^Error: Webhooks"))
    expect(dana.page.locator("#problems")).to_be_focused()
    dana.press("Tab", "Enter")
    expect(dana.page.get_by_label("Address")).to_be_focused()


def test_the_snippet_is_copied_by_a_button(sit_down: SitDown, room: Room) -> None:
    agent = sit_down(permissions=["clipboard-read", "clipboard-write"])
    agent.page.goto(f"{room.inbox}/settings/widget")

    agent.page.get_by_role("button", name="Copy").click()

    expect(agent.page.locator("#said")).to_have_text("Copied.")
    copied = agent.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("<script async")
    assert room.token in copied


def test_a_webhook_is_deleted_by_the_keyboard_alone(dana: Agent, room: Room) -> None:
    make_webhook(dana, room)
    dana.page.locator(".thing a").focus()
    dana.press("Enter")
    dana.page.get_by_text("Delete …").focus()
    dana.press("Enter", "Tab", "Enter")

    expect(dana.page.get_by_role("status").get_by_text("The webhook is deleted.")).to_be_visible()
    expect(dana.page.locator(".thing h2")).to_have_count(0)


def test_no_page_is_wider_than_its_window(dana: Agent, room: Room) -> None:
    room.configure(name="Pneumonoultramicroscopicsilicovolcanoconiosis" * 2)
    room.open_ticket()
    make_webhook(dana, room)
    webhook = dana.page.locator(".thing a").get_attribute("href")
    assert webhook

    for width in (360, 2560):
        dana.page.set_viewport_size({"width": width, "height": 800})
        for path in PAGES:
            dana.page.goto(f"{room.inbox}/{path}")
            assert overflow(dana) <= 0, (path, width)
        dana.page.goto(room.service + webhook)
        assert overflow(dana) <= 0, (webhook, width)


def overflow(agent: Agent) -> int:
    root = "document.documentElement"
    return int(agent.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))
