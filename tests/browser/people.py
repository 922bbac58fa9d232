"""Who takes part: a team at the ticket API, and a customer in a Chromium with posthog-js.

Everything goes over HTTP: Playwright keeps an event loop in the thread, beside which Django's
ORM refuses to work.
"""

import json
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Response, expect

PATIENCE = 30.0


def eventually(read: Callable[[], object], expected: object) -> None:
    """Waits until `read` gives what is expected."""
    deadline = time.monotonic() + PATIENCE
    while (found := read()) != expected:
        assert time.monotonic() < deadline, f"{found!r} is not {expected!r}"
        time.sleep(0.1)


class Team:
    """A project of its own and everything that its key may do."""

    def __init__(self, service: str, project_id: int, key: str) -> None:
        self.project = f"{service}/api/projects/{project_id}"
        self.key = key

    def ticket(self) -> Any:
        """The only ticket there is; reading the list leaves it unread."""
        [ticket] = self.tickets()
        return ticket

    def tickets(self) -> Any:
        return self._call("GET", "/conversations/tickets")["results"]

    def unread_count(self) -> Any:
        return self._call("GET", "/conversations/tickets/unread_count")["count"]

    def reply(self, message: str) -> Any:
        path = f"/conversations/tickets/{self.ticket()['id']}/reply"
        return self._call("POST", path, {"message": message})

    def resolve(self) -> None:
        path = f"/conversations/tickets/{self.ticket()['id']}"
        self._call("PATCH", path, {"status": "resolved"})

    def configure(self, **fields: Any) -> Any:
        return self._call("PATCH", "", fields)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.project + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)


class Customer:
    """A browser profile with one page in it; `complaints` are the console's errors and warnings."""

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.widget = self.page.locator("#ph-conversations-widget-container")
        self.complaints: list[str] = []
        self.page.on("pageerror", self._note_error)
        self.page.on("console", self._note)

    def _note_error(self, error: Error) -> None:
        self.complaints.append(str(error))

    def _note(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(f"{said.text} ({said.location['url']})")

    def visit(self, address: str) -> None:
        self.page.goto(address)

    def open_chat(self) -> None:
        self.widget.get_by_label(re.compile("^Open chat")).click()

    def close_chat(self) -> None:
        self.widget.get_by_label("Close", exact=True).click()

    def introduce(self, email: str) -> None:
        """Fills in the form that stands before the chat where the project requires an email."""
        self.widget.get_by_placeholder("you@example.com").fill(email)
        self.widget.get_by_role("button", name="Start Chat").click()

    def say(self, message: str) -> None:
        """Returns when the service has answered."""
        self.widget.get_by_role("textbox").fill(message)
        with self.page.expect_response(is_sending):
            self.widget.get_by_label("Send message").click()

    def sees(self, text: str) -> None:
        """Waits until the chat shows this text, exactly once."""
        shown = self.widget.get_by_text(text, exact=True)
        expect(shown).to_have_count(1, timeout=PATIENCE * 1000)

    def next_poll(self) -> Response:
        """Returns when it is answered."""
        with self.page.expect_response(is_poll, timeout=PATIENCE * 1000) as polled:
            pass
        return polled.value


def is_poll(response: Response) -> bool:
    return "/widget/messages/" in response.url and response.request.method == "GET"


def is_sending(response: Response) -> bool:
    return response.url.endswith("/widget/message") and response.request.method == "POST"
