"""An agent who is signed in, at the pages of the inbox."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from projects.models import Membership, Project, User

HTMX = {"HX-Request": "true"}
TRANSACTION = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def agent_of(project: Project, name: str = "Dana") -> User:
    """A member of the project, with a name of their own."""
    number = User.objects.count()
    agent = User.objects.create_user(
        email=f"{name.lower()}-{project.pk}-{number}@example.com", first_name=name
    )
    Membership.objects.create(project=project, user=agent)
    return agent


class Browser:
    """A signed-in agent's, without JavaScript; `part` asks as htmx does."""

    def __init__(self, agent: User | None = None, *, csrf: bool = False) -> None:
        self.client = Client(raise_request_exception=False, enforce_csrf_checks=csrf)
        if agent is not None:
            self.client.force_login(agent)

    def get(self, url: str, **query: Any) -> Any:
        return self.client.get(url, query)

    def part(self, url: str, **query: Any) -> Any:
        return self.client.get(url, query, headers=HTMX)

    def post(self, url: str, **form: Any) -> Any:
        return self.client.post(url, _as_the_page_has_it(url, form))

    def post_part(self, url: str, **form: Any) -> Any:
        return self.client.post(url, _as_the_page_has_it(url, form), headers=HTMX)

    def queries(self, url: str) -> list[str]:
        """What PostgreSQL is asked for one page."""
        with CaptureQueriesContext(connection) as captured:
            assert self.client.get(url).status_code == 200
        asked = [query["sql"] for query in captured.captured_queries]
        return [sql for sql in asked if not sql.startswith(TRANSACTION)]


def _as_the_page_has_it(url: str, form: dict[str, Any]) -> dict[str, Any]:
    """Each page that a message is written on has a form of its own."""
    return {"form": str(uuid4()), **form} if url.endswith("/reply") else form


def numbers_in(page: Any) -> list[int]:
    """The tickets of a list, in its order."""
    return [int(number) for number in re.findall(r'data-number="(\d+)"', text_of(page))]


def text_of(page: Any) -> str:
    return unescape(page.content.decode())


def inbox_of(project: Project) -> str:
    return f"/inbox/{project.pk}"


def page_of(project: Project, ticket: Any) -> str:
    return f"{inbox_of(project)}/tickets/{ticket['ticket_number']}"
