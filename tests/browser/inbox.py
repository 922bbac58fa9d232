"""An agent in a Chromium at the inbox, and a room of their own to work in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, expect

from tests.browser.people import PATIENCE, Team, eventually
from tests.make_run import Run

# Made by one call, since each starts a Python with all of Django; more only where they are used up.
ROOMS = 48
_MAKE_ROOMS = f"""
import json
from django.test import Client
from projects.models import ApiKey, Membership, Project, User

def session_of(project, name):
    email = f"{{name.lower()}}-{{project.pk}}@example.com"
    agent = User.objects.create_user(email, first_name=name)
    Membership.objects.create(project=project, user=agent)
    client = Client()
    client.force_login(agent)
    return client.cookies["sessionid"].value

rooms = []
for _ in range({ROOMS}):
    project = Project.objects.create(name="Shop")
    _, key = ApiKey.issue(project=project, label="test", scopes=["*"])
    sessions = {{name: session_of(project, name) for name in ("Dana", "Kim")}}
    rooms.append(dict(project=project.pk, token=project.public_token, key=key, sessions=sessions))
print(json.dumps(rooms))
"""

# Chromium says so itself of what a page asks for and is told about.
_IS_A_REFUSAL = re.compile(r"responded with a status of 4(00|09)")


def rooms_of(run: Run) -> Iterator[dict[str, Any]]:
    while True:
        yield from json.loads(run.manage("shell", "--no-imports", "-c", _MAKE_ROOMS))


class Room(Team):
    """A project with two agents, Dana and Kim, and all that its API key may do."""

    def __init__(self, service: str, made: dict[str, Any]) -> None:
        super().__init__(service, made["project"], made["key"])
        self.service, self.project_id = service, made["project"]
        self.token: str = made["token"]
        self.sessions: dict[str, str] = made["sessions"]

    @property
    def inbox(self) -> str:
        return f"{self.service}/inbox/{self.project_id}"

    def open_ticket(self, message: str = "Hi", **fields: Any) -> Any:
        return self._call("POST", "/conversations/tickets", {"message": message, **fields})

    def say(self, ticket: Any, content: str, author_type: str = "customer") -> Any:
        path = f"/conversations/tickets/{ticket['id']}/messages"
        return self._call("POST", path, {"content": content, "author_type": author_type})

    def change(self, ticket: Any, **fields: Any) -> Any:
        return self._call("PATCH", f"/conversations/tickets/{ticket['id']}", fields)

    def now(self, ticket: Any) -> Any:
        return self._call("GET", f"/conversations/tickets/{ticket['id']}?mark_read=false")

    def messages(self, ticket: Any) -> list[Any]:
        path = f"/conversations/tickets/{ticket['id']}/messages"
        found: list[Any] = self._call("GET", path)["results"]
        return found

    def make(self, kind: str, **fields: Any) -> Any:
        return self._call("POST", f"/conversations/{kind}", fields)

    def make_webhook(self) -> Any:
        fields = {"url": "https://example.com/hook", "event_types": ["ticket.created"]}
        return self._call("POST", "/webhooks", fields)


@dataclass(frozen=True)
class Agent:
    """A signed-in agent's tab; `complaints` are the console's errors and warnings."""

    page: Page
    room: Room
    complaints: list[str]

    def see_list(self, query: str = "") -> None:
        """The list, once it hears of changes."""
        self.page.goto(f"{self.room.inbox}{query}")
        self.is_live()

    def see(self, ticket: Any) -> None:
        self.page.goto(f"{self.room.inbox}/tickets/{ticket['ticket_number']}")
        self.is_live()

    def see_without_stream(self, ticket: Any) -> None:
        """Without hearing of what happens: what the page asks the stream is never answered."""
        self.page.route("**/stream", lambda route: None)
        self.page.goto(f"{self.room.inbox}/tickets/{ticket['ticket_number']}")
        # What comes after that is not asked for by the page any more.
        eventually(lambda: self.room.now(ticket)["unread_team_count"], 0)

    def is_live(self) -> None:
        expect(self.page.locator("#live")).to_have_attribute(
            "data-state", "live", timeout=PATIENCE * 1000
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def refresh(self) -> None:
        """As the stream does when something has happened."""
        self.page.evaluate("htmx.trigger('#refresh', 'inbox:live')")

    def forgive_the_network(self) -> None:
        """What the browser and htmx say of requests that the test has cut off."""
        cut = ("ERR_FAILED", "htmx:afterRequest", "htmx:sendError")
        self.complaints[:] = [said for said in self.complaints if not any(c in said for c in cut)]

    @property
    def rows(self) -> Locator:
        return self.page.locator("#rows .row")

    def row(self, ticket: Any) -> Locator:
        return self.page.locator(f"#rows .row[data-number='{ticket['ticket_number']}']")

    @property
    def box(self) -> Locator:
        return self.page.locator("#message")

    def said(self, text: str) -> Locator:
        return self.page.locator("#messages .content").get_by_text(text, exact=True)


def agent_in(browser: Browser, room: Room, name: str = "Dana", **options: Any) -> Agent:
    """An agent in a browser profile of their own, signed in."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    context.set_default_timeout(PATIENCE * 1000)
    cookie = {"name": "sessionid", "value": room.sessions[name], "url": room.service}
    context.add_cookies([cookie])  # type: ignore[list-item]  # (a dict is what it takes)
    agent = Agent(context.new_page(), room, [])

    def note(said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not _IS_A_REFUSAL.search(said.text):
            agent.complaints.append(said.text)

    def note_error(error: Error) -> None:
        agent.complaints.append(str(error))

    agent.page.on("console", note)
    agent.page.on("pageerror", note_error)
    return agent
