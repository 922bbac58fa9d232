"""Every page that an agent sees, held to WCAG 2.2 AA by axe-core in a real browser."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import SitDown
from tests.browser.inbox import Room

pytestmark = pytest.mark.xdist_group("browser")

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (1280, 360)


@dataclass(frozen=True)
class Look:
    """A page as it is looked at, once something has been done on it."""

    path: str
    doing: str = "reading"
    act: Callable[[Page], object] = lambda page: None


def select_all(page: Page) -> None:
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#bulk")).to_be_visible()


def press(*keys: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        for key in keys:
            page.keyboard.press(key)

    return act


def open_keeper(page: Page) -> None:
    page.locator(".keeper > summary").click()
    page.locator(".keeper .ask > summary").click()


def change_message(page: Page) -> None:
    page.locator(".message.support .change > summary").first.click()
    page.locator(".message.support .change .ask > summary").first.click()


def open_first(name: str) -> Callable[[Page], None]:
    return lambda page: page.locator("summary", has_text=name).first.click()


LIST, SETTINGS = "/inbox/{project}", "/inbox/{project}/settings"
TICKET = "/inbox/{project}/tickets/1"
# A line for each page, and for each state of it that shows something else.
LOOKS = (
    Look("/"),
    Look("/inbox"),
    Look(LIST),
    Look(LIST, "selecting", select_all),
    Look(LIST, "choosing a status", open_first("Status")),
    Look(LIST, "choosing more", open_first("More")),
    Look(f"{LIST}?status=open", "saving a view", open_first("Save as a view")),
    Look(f"{LIST}?view={{view}}&status=open", "changing a view", open_keeper),
    Look(LIST, "looking who I am", open_first("Account")),
    Look(LIST, "asking for keys", press("?")),
    Look(f"{LIST}?search=nothing+has+these+words"),
    Look(f"{LIST}?created_after=yesterdayish&created_from=yesterdayish"),
    Look(TICKET),
    Look(TICKET, "noting", press("n", "A", "s", "k")),
    Look(TICKET, "changing a message", change_message),
    Look(TICKET, "waking", open_first("until")),
    Look("/inbox/{project}/tickets/2"),
    Look("/inbox/{project}/overview", "reading a table", open_first("The numbers as a table")),
    Look(SETTINGS),
    Look(f"{SETTINGS}/widget"),
    Look(f"{SETTINGS}/keys"),
    Look(f"{SETTINGS}/webhooks"),
    Look(f"{SETTINGS}/webhooks/{{webhook}}"),
    Look(f"{SETTINGS}/team"),
)


@pytest.fixture
def busy_room(room: Room) -> Room:
    """With something to see on every page."""
    kettle = room.open_ticket(
        "Where is my kettle? https://shop.example/orders/20811",
        status="open",
        priority="critical",
        tags=["shipping", "vip"],
        anonymous_traits={"name": "Mia Keller", "email": "mia@example.org"},
        distinct_id="mia",
    )
    room.open_ticket("A second one", distinct_id="mia", status="on_hold", priority="high")
    room.say(kettle, "It is in the post.", "support")
    room.say(kettle, "The carrier says so.", "AI")
    room.change(kettle, sla_due_at="2026-01-01T10:00:00Z", snoozed_until="2126-01-01T10:00:00Z")
    room.make("macros", name="On its way", content="It left us.", actions={"status": "pending"})
    return room


def test_no_page_breaks_a_rule_of_wcag_22_aa(
    busy_room: Room, sit_down: SitDown, browser: Browser
) -> None:
    stranger = browser.new_page()
    stranger.goto(f"{busy_room.service}/login")
    broken = broken_rules(stranger, "/login")
    # Nothing moves, so that no colour is measured on its way.
    page = sit_down(reduced_motion="reduce").page
    names = {"project": busy_room.project_id, "webhook": busy_room.make_webhook()["id"]}
    view = busy_room.make("views", name="Overdue", filters={"sla": "breached"})
    names["view"] = view["short_id"]
    for look in LOOKS:
        answer = page.goto(busy_room.service + look.path.format(**names))
        assert answer is not None
        # 400 is that of a list whose filters ask for what there is not.
        assert answer.status in (200, 400), look
        page.wait_for_function("!document.body.dataset.project || document.querySelector('.js')")
        look.act(page)
        broken += broken_rules(page, f"{look.path}, {look.doing}")

    assert broken == []


def broken_rules(page: Page, where: str) -> list[str]:
    """What axe-core finds in both themes and at both widths, a line for each element."""
    page.evaluate(Axe().axe_script)
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 860})
        for theme in THEMES:
            page.emulate_media(color_scheme=theme)
            violations = page.evaluate("rules => axe.run(rules).then(all => all.violations)", RULES)
            found += [
                f"{where}, {theme}, {width} px: {rule['id']}: {node['html'][:200]}"
                for rule in violations
                for node in rule["nodes"]
            ]
    page.set_viewport_size({"width": WIDTHS[0], "height": 860})
    return found
