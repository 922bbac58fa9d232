"""GET …/unread_count on its short way: the answer is that of the whole way.

Every other test of the unread count, of keys, scopes, limits and faults runs over it as well.
"""

from typing import Any

import pytest
from django.db import connection

from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.routes import with_routes

SHORTCUT = "conversations.tickets.shortcut.UnreadCountShortcut"
# They tell one request from the other.
OF_EACH_REQUEST = {"X-Request-ID", "RateLimit"}


@pytest.fixture
def warm(make_ticket: MakeTicket, reader: ApiClient, unread_count_url: str) -> None:
    """The count and the key are in Redis."""
    make_ticket(message="Hi")
    reader.get(unread_count_url)


@pytest.fixture
def no_routes(settings: Any) -> None:
    """Whoever goes the whole way finds nothing at its end."""
    routes = with_routes()
    routes.urlpatterns = []
    settings.ROOT_URLCONF = routes


@pytest.fixture
def without_shortcut(settings: Any) -> None:
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if name != SHORTCUT]


def answers(project: Project, key: str) -> list[tuple[Any, ...]]:
    """What each spelling of the request is answered, without what is of each request."""
    tickets = "conversations/tickets/unread_count"
    client = ApiClient(key)
    spellings: list[tuple[str, dict[str, str]]] = [
        (f"/api/projects/{project.pk}/{tickets}", {}),
        (f"/api/projects/{project.pk}/{tickets}/", {}),
        (f"/api/environments/{project.pk}/{tickets}", {}),
        (f"/api/projects/@current/{tickets}", {}),
        (f"/api/projects/{project.pk}/{tickets}?", {}),
        (f"/api/projects/{project.pk}/{tickets}?x=1", {}),
        (f"/api/projects/{project.pk}/{tickets}", {"if-none-match": '"1"'}),
        (f"/api/projects/{project.pk}/{tickets}", {"if-none-match": '"2"'}),
        (f"/api/projects/{project.pk}/{tickets}", {"host": "elsewhere.example.com"}),
        (f"/api/projects/{project.pk}/{tickets}", {"host": "a b"}),
        (f"/api/projects/{project.pk}/{tickets}", {"accept": "text/html"}),
        (f"/api/projects/0{project.pk}/{tickets}", {}),
        (f"/api/projects/{project.pk + 100_000}/{tickets}", {}),
        (f"/api/projects/{project.pk}/{tickets}//", {}),
    ]
    found = []
    for url, headers in spellings:
        response = client.client.get(url, headers={**client.headers, **headers})
        kept = {k: v for k, v in response.headers.items() if k not in OF_EACH_REQUEST}
        body = response.content.replace(response.headers["X-Request-ID"].encode(), b"")
        found.append((url, headers, response.status_code, kept, body))
    return found


@pytest.mark.parametrize("scope", ["ticket:read", "ticket:write", "*", "person:read"])
def test_every_answer_is_that_of_the_whole_way(
    project: Project, client_for: ClientFor, warm: None, request: Any, scope: str
) -> None:
    key = client_for(project, scope).headers["authorization"].split()[1]
    answers(project, key)

    short = answers(project, key)
    request.getfixturevalue("without_shortcut")
    assert answers(project, key) == short
    assert short[0][2] == (403 if scope == "person:read" else 200)


def test_a_hit_needs_no_route(
    reader: ApiClient, unread_count_url: str, warm: None, no_routes: None
) -> None:
    response = reader.client.get(unread_count_url, headers=reader.headers)

    assert (response.status_code, response.json()) == (200, {"count": 1})


def test_a_call_counts_once_whichever_way_it_goes(
    project: Project, client_for: ClientFor, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    caller = client_for(project, "*")

    def left() -> int:
        headers = caller.get(unread_count_url).headers
        return int(headers["RateLimit"].split(";r=")[1].split(";")[0])

    first = left()
    assert left() == first - 1
    # The next one misses, and goes the whole way.
    make_ticket(message="Hi")
    assert left() == first - 2


def test_without_postgresql_it_is_unavailable_as_on_the_whole_way(
    project: Project, client_for: ClientFor, unread_count_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not in Redis yet, so that PostgreSQL is asked for the key.
    caller = client_for(project, "*")
    connection.close()
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "PORT", "1")
        answer = caller.get(unread_count_url)

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
