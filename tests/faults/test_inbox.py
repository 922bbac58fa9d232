"""What an agent sees while PostgreSQL is gone, hangs, or takes too long."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from config.embedded import Server
from conversations.models import Ticket
from projects.models import Project
from rest.postgresql import base
from tests.conftest import MakeTicket
from tests.inbox import Browser, agent_of, inbox_of, page_of, text_of


@pytest.fixture
def browser(project: Project) -> Browser:
    return Browser(agent_of(project))


@pytest.fixture
def postgres(postgres_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    yield postgres_server
    postgres_server.resume()
    monkeypatch.setattr(base, "_hung_until", 0.0)
    connection.close()


def check_not_now(answer: Any) -> None:
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "<h1>Not now</h1>" in text_of(answer)
    assert "inbox/inbox.css" in text_of(answer)


def test_without_the_database_every_page_says_so_and_when_to_come_back(
    browser: Browser, project: Project, make_ticket: MakeTicket, postgres: Server
) -> None:
    page = page_of(project, make_ticket(message="Hi"))
    postgres.kill()

    for address in ("/inbox", inbox_of(project), page, f"{inbox_of(project)}/settings/team"):
        for ask in (browser.get, browser.part):
            check_not_now(ask(address))
    check_not_now(browser.post(f"{page}/reply", message="It left us.", seen="1"))
    check_not_now(browser.post_part(f"{page}/change", version="1", status="open"))
    sent, shown = browser.post(f"{page}/unread"), browser.get(f"{page}?since=1")
    assert "may have been done or not" in text_of(sent)
    assert "may have been done or not" not in text_of(shown)
    assert f'href="{page}?since=1">Try again' in text_of(shown)
    # Who is led to the form to log in, or is there.
    check_not_now(browser.get("/login"))
    check_not_now(browser.get("/"))
    check_not_now(Browser().post("/login", username="a@example.com", password="b"))


def test_a_database_that_hangs_is_the_same(
    browser: Browser, project: Project, postgres: Server
) -> None:
    browser.get(inbox_of(project))
    driver: Any = connection.connection
    driver.patience = 0.2
    postgres.pause()

    check_not_now(browser.get(inbox_of(project)))


def test_a_ticket_that_somebody_else_holds_for_long_is_left_as_it_is(
    browser: Browser, project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(message="Hi")
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    with psycopg.connect(**{**parameters, "context": None}) as other:
        other.execute("SELECT 1 FROM conversations_ticket WHERE id = %s FOR UPDATE", [ticket["id"]])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        answer = browser.post(f"{page_of(project, ticket)}/change", version="1", status="open")
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")

    check_not_now(answer)
    assert "Nothing was changed" in text_of(answer)
    assert Ticket.objects.get(pk=ticket["id"]).status == "new"
