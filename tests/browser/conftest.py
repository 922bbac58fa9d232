"""A shop's page on another origin, before the service that `make run` starts, mail included."""

import contextlib
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from config import embedded
from tests.browser.inbox import Agent, Room, agent_in, rooms_of
from tests.browser.people import PATIENCE, Customer, Team, eventually
from tests.make_run import Run, copied_checkout
from tests.needs import need_chromium, need_posthog_js

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # With this flag and its usual name posthog-js takes it for a bot, and sends no events.
    "--disable-blink-features=AutomationControlled",
]
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{} Safari/537.36"
)
# Another host than the service's, which Chromium finds on this machine without asking anybody.
SHOP_HOST = "shop.localhost"
README = (embedded.CHECKOUT / "README.md").read_text()


@dataclass(frozen=True)
class Service:
    """`make run`, and the folder where its mail arrives."""

    run: Run
    mail: Path

    @property
    def url(self) -> str:
        return self.run.url

    def link_mailed_to(self, address: str) -> str:
        """Waits for the mail, the only one to this address."""
        eventually(lambda: len(self._mails_to(address)), 1)
        [mail] = self._mails_to(address)
        body = mail.get_payload(decode=True)
        assert isinstance(body, bytes)
        [link] = re.findall(r"http://\S+", body.decode())
        return str(link)

    def _mails_to(self, address: str) -> list[Message]:
        written = [path.read_bytes() for path in self.mail.iterdir()]
        # Django's backend ends each mail with such a line.
        mails = [message_from_bytes(mail) for mail in written if mail.endswith(b"-" * 79 + b"\n")]
        return [mail for mail in mails if mail["To"] == address]


@pytest.fixture(scope="session")
def chromium() -> str:
    return need_chromium()


@pytest.fixture(scope="session")
def make_run(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Started once; the tests of the group `browser` all run in one process."""
    need_posthog_js()
    mail = tmp_path_factory.mktemp("mail")
    with copied_checkout() as copy:
        run = Run(copy, embedded.free_port(), EMAIL_URL=f"file://{mail}")
        try:
            run.wait_until_ready()
            yield Service(run, mail)
        finally:
            run.end(signal.SIGTERM)


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    # One for each test: as long as Playwright runs, the ORM refuses to work in this process.
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)


@dataclass(frozen=True)
class Shop:
    """A project: its team, and its page with the README's tag in it."""

    team: Team
    page: str


@pytest.fixture
def shop(make_run: Service) -> Iterator[Shop]:
    manage = make_run.run.manage
    project = json.loads(manage("create_project", "Shop", "--json"))
    arguments = ["--project", str(project["id"]), "--label", "test", "--scopes", "*", "--json"]
    key = json.loads(manage("create_api_key", *arguments))["key"]
    team = Team(make_run.url, project["id"], key)
    team.configure(widget_domains=[SHOP_HOST])
    with serving(page_with_the_readmes_tag(make_run.url, project["public_token"])) as port:
        yield Shop(team, f"http://{SHOP_HOST}:{port}/")


def page_with_the_readmes_tag(service: str, token: str) -> bytes:
    [tag] = re.findall(r"```html\n(.*?)```", README, re.DOTALL)
    tag = tag.replace("https://support.example.com", service)
    tag = tag.replace("cvp_your_public_token", token)
    return f"<!doctype html><title>Shop</title><link rel=icon href='data:,'>{tag}".encode()


@contextlib.contextmanager
def serving(page: bytes) -> Iterator[int]:
    """The port where this page is, at every path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


NewCustomer = Callable[[], Customer]


@pytest.fixture
def new_customer(browser: Browser) -> NewCustomer:
    """Each in a browser profile that has never been here."""

    def make() -> Customer:
        user_agent = USER_AGENT.format(browser.version)
        return Customer(browser.new_context(user_agent=user_agent))

    return make


@pytest.fixture
def customer(new_customer: NewCustomer, shop: Shop) -> Customer:
    """Somebody on the shop's page."""
    customer = new_customer()
    customer.visit(shop.page)
    return customer


# --- The inbox ---------------------------------------------------------------


@pytest.fixture(autouse=True)
def patience() -> None:
    expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def rooms(make_run: Service) -> Iterator[dict[str, Any]]:
    return rooms_of(make_run.run)


@pytest.fixture
def room(make_run: Service, rooms: Iterator[dict[str, Any]]) -> Room:
    return Room(make_run.url, next(rooms))


SitDown = Callable[..., Agent]


@pytest.fixture
def sit_down(browser: Browser, room: Room) -> SitDown:
    """An agent of the room, in a browser profile of their own."""

    def sit(name: str = "Dana", **options: Any) -> Agent:
        return agent_in(browser, room, name, **options)

    return sit


@pytest.fixture
def dana(sit_down: SitDown) -> Iterator[Agent]:
    """Whose console stays quiet, whatever she does."""
    agent = sit_down()
    yield agent
    assert agent.complaints == []
