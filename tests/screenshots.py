"""`make screenshots`: the README's pictures of the inbox, taken of what `make run` shows."""

import re
import signal

from playwright.sync_api import Page, expect, sync_playwright

from config import embedded
from tests.browser.conftest import CHROMIUM_OPTIONS
from tests.make_run import Run, copied_checkout
from tests.needs import need_chromium

PICTURES = embedded.CHECKOUT / "docs/pictures"


def main() -> None:
    chromium = need_chromium()
    with copied_checkout() as checkout:
        run = Run(checkout, embedded.free_port())
        try:
            run.wait_until_ready()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=CHROMIUM_OPTIONS
                )
                page = browser.new_page(viewport={"width": 1200, "height": 800})
                sign_in(page, run)
                take_pictures(page)
        finally:
            run.end(signal.SIGTERM)


def sign_in(page: Page, run: Run) -> None:
    """As the demo's agent, at the address of the inbox, with what is printed."""
    inbox = re.search(r"Inbox +(\S+)", run.output)
    agent = re.search(r"Demo agent +(\S+), password (\S+)", run.output)
    assert inbox is not None
    assert agent is not None
    page.goto(inbox[1])
    page.get_by_label("Email").fill(agent[1])
    page.get_by_label("Password").fill(agent[2])
    page.get_by_role("button", name="Log in").click()


def take_pictures(page: Page) -> None:
    """The list, and the conversation of a ticket in it."""
    PICTURES.mkdir(exist_ok=True)
    take(page, "inbox-list")
    page.get_by_role("link", name="Machine leaks").click()
    page.wait_for_url("**/tickets/*")
    take(page, "inbox-conversation")


def take(page: Page, name: str) -> None:
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path)
    print(f"{path.relative_to(embedded.CHECKOUT)}  {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
