"""Short ways: the answer is that of the whole way.

Every other test of the unread count, of keys, scopes, limits, polls and faults runs over them
as well, since the tests' clients pass what a request to the web server passes.
"""

import logging
import subprocess
import sys
import time
from ipaddress import ip_network
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django_redis import get_redis_connection

from conversations import unread
from conversations.widget import polls
from projects.models import Project
from rest import leases
from rest.rates import parse_rates
from tests.api import ApiClient, FrontClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of
from tests.routes import with_routes
from tests.service import service_environment
from tests.test_queries import statements
from tests.threads import InBackground
from tests.widget import WIDGET, Browser

# They tell one request from the other.
OF_EACH_REQUEST = {"X-Request-ID", "RateLimit"}
Spelling = tuple[str, dict[str, str]]


@pytest.fixture
def no_routes(settings: Any) -> None:
    """Whoever goes the whole way finds nothing at its end."""
    routes = with_routes()
    routes.urlpatterns = []
    settings.ROOT_URLCONF = routes


@pytest.fixture
def warm(make_ticket: MakeTicket, reader: ApiClient, unread_count_url: str) -> None:
    """The count and the key are in Redis."""
    make_ticket(message="Hi")
    reader.get(unread_count_url)


@pytest.fixture
def browser(project: Project) -> Browser:
    return Browser(project)


@pytest.fixture
def poll_url(browser: Browser) -> str:
    """What the browser's widget asks for news with; nothing is new, and that is in Redis."""
    sent = browser.sent()
    first = f"{WIDGET}/messages/{sent['ticket_id']}?widget_session_id={browser.session_id}"
    url = f"{first}&after={sent['created_at']}"
    # The first finds the message that is its own, the second that nothing is new.
    for asked in (first, url):
        assert browser.get(asked).status_code == 200
    return url


def answers(spellings: list[Spelling], *, whole: bool, caplog: Any) -> list[tuple[Any, ...]]:
    """What each request is answered, and its line in the log, without what is of each request."""
    client = (Client if whole else FrontClient)(raise_request_exception=False)
    found = []
    for url, headers in spellings:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            response = client.get(url, headers=headers)
        kept = {k: v for k, v in response.headers.items() if k not in OF_EACH_REQUEST}
        body = response.content.replace(response.headers["X-Request-ID"].encode(), b"")
        lines = [record.getMessage() for record in caplog.records if record.name == "access"]
        found.append((url, headers, response.status_code, kept, body, lines))
    return found


def the_same_both_ways(spellings: list[Spelling], caplog: Any) -> list[tuple[Any, ...]]:
    short = answers(spellings, whole=False, caplog=caplog)
    assert short == answers(spellings, whole=True, caplog=caplog)
    return short


@pytest.mark.parametrize("scope", ["ticket:read", "ticket:write", "*", "person:read"])
def test_every_unread_count_is_that_of_the_whole_way(
    project: Project, client_for: ClientFor, warm: None, scope: str, caplog: Any
) -> None:
    headers = client_for(project, scope).headers
    url = f"/api/projects/{project.pk}/conversations/tickets/unread_count"
    spellings: list[Spelling] = [
        *((url + end, headers) for end in ("", "/", "?", "?x=1", "//")),
        (url.replace("projects", "environments"), headers),
        (url.replace("projects", "environments") + "/", headers),
        (url.replace(str(project.pk), "@current"), headers),
        (url.replace(str(project.pk), f"0{project.pk}"), headers),
        (url.replace(str(project.pk), str(project.pk + 100_000)), headers),
        (url, {}),
        (url, {"authorization": "Bearer cvk_none"}),
        *(
            (url, {**headers, **more})
            for more in (
                {"if-none-match": '"1"'},
                {"if-none-match": '"2"'},
                {"host": "elsewhere.example.com"},
                {"host": "a b"},
                {"host": ""},
                {"origin": "https://shop.example.com"},
                {"accept": "text/html"},
                {"cookie": "sessionid=none"},
                {"cookie": "csrftoken=none"},
                {"cookie": "other=none"},
            )
        ),
    ]
    answers(spellings, whole=False, caplog=caplog)

    short = the_same_both_ways(spellings, caplog)
    assert short[0][2] == (403 if scope == "person:read" else 200)


@pytest.mark.parametrize("scope", ["ticket:read", "ticket:write", "*", "person:read"])
def test_every_ticket_is_that_of_the_whole_way(
    project: Project,
    neighbour: Project,
    client_for: ClientFor,
    make_ticket: MakeTicket,
    writer: ApiClient,
    scope: str,
    caplog: Any,
) -> None:
    headers = client_for(project, scope).headers
    tickets = tickets_url_of(project)
    known, sender, stranger = (
        make_ticket(distinct_id="ada"),
        make_ticket(distinct_id="nobody", email_from="Ada@example.com"),
        make_ticket(distinct_id="nobody"),
    )
    persons = f"/api/projects/{project.pk}/persons"
    ada = {"distinct_ids": ["ada"], "properties": {"email": "ada@example.com", "n": 2**53}}
    assert client_for(project, "*").post(persons, ada).status_code == 201
    assert writer.patch(f"{tickets}/{known['id']}", {"tags": ["a"]}).status_code == 200
    foreign = client_for(neighbour, "*").post(tickets_url_of(neighbour), {}).json()
    url = f"{tickets}/{known['id']}"
    spellings: list[Spelling] = [
        *((f"{tickets}/{ticket['id']}", headers) for ticket in (known, sender, stranger)),
        *(
            (f"{tickets}/{name}", headers)
            for name in (known["ticket_number"], 0, 7, "007", "1" * 9)
        ),
        *((f"{tickets}/{name}", headers) for name in (known["id"].upper(), "x", "-" * 36)),
        (f"{tickets}/{foreign['id']}", headers),
        *((f"{tickets_url_of(neighbour)}/{x['id']}", headers) for x in (foreign, known)),
        *((url + end, headers) for end in ("/", "?", "?mark_read=false", "?x=1", "//")),
        (url.replace("projects", "environments"), headers),
        (url.replace(str(project.pk), "@current"), headers),
        (url, {}),
        *(
            (url, {**headers, **more})
            for more in (
                {"if-none-match": "*"},
                {"if-none-match": '"2"'},
                {"host": "elsewhere.example.com"},
                {"origin": "https://shop.example.com"},
                {"cookie": "sessionid=none"},
                {"cookie": "csrftoken=none"},
            )
        ),
    ]
    answers(spellings, whole=False, caplog=caplog)

    short = the_same_both_ways(spellings, caplog)
    assert short[0][2] == (403 if scope == "person:read" else 200)


def test_every_poll_is_that_of_the_whole_way(
    project: Project, browser: Browser, poll_url: str, caplog: Any
) -> None:
    headers, stranger = browser.headers, Browser(project)
    shop = {"origin": "https://shop.example.com"}
    spellings: list[Spelling] = [
        *((poll_url + end, headers) for end in ("", "&_=1764000000000", "&limit=50", "&a=b&a=c")),
        *((poll_url + end, headers) for end in ("&limit=0", "&after=x", "&after=", "&limit=201")),
        *((f"{poll_url}&{poll_url.partition('?')[2]}{end}", headers) for end in ("", "&limit=1")),
        *((poll_url + end, headers) for end in ("&identity_hash=x", "&identity_distinct_id=ada")),
        (poll_url.replace(":", "%3A"), headers),
        (poll_url.replace("&after", "&%61fter"), headers),
        (poll_url.replace("?", "/?"), headers),
        (poll_url.partition("&")[0], headers),
        (poll_url.partition("?")[0], headers),
        (poll_url.replace(browser.session_id, stranger.session_id), headers),
        (poll_url.replace(browser.session_id, "x"), headers),
        (poll_url.replace(browser.session_id, ""), headers),
        (poll_url.replace("/messages/", "/messages/1"), headers),
        (poll_url, {}),
        (poll_url, {"x-conversations-token": "none"}),
        *(
            (poll_url, {**headers, **more})
            for more in (
                shop,
                {"origin": "null"},
                {"origin": "http://["},
                {"origin": "x" * 400},
                {"referer": "https://shop.example.com/help"},
                {"host": "elsewhere.example.com"},
                {"if-none-match": "*"},
                {"cookie": "csrftoken=none"},
            )
        ),
    ]
    answers(spellings, whole=False, caplog=caplog)

    short = the_same_both_ways(spellings, caplog)
    assert [short[0][2], short[4][2]] == [200, 400]


@pytest.mark.parametrize("origin", ["https://shop.example.com", "https://elsewhere.example.com"])
def test_a_poll_from_a_page_that_may_not_use_the_widget_is_refused(
    project: Project, browser: Browser, poll_url: str, origin: str, caplog: Any
) -> None:
    project.widget_domains = ["shop.example.com"]
    project.save()
    spellings: list[Spelling] = [(poll_url, {**browser.headers, "origin": origin})]
    answers(spellings, whole=False, caplog=caplog)

    short = the_same_both_ways(spellings, caplog)
    assert short[0][2] == (200 if "shop" in origin else 403)


@pytest.mark.parametrize(
    "changed",
    [
        {"SECURE_HSTS_SECONDS": 60},
        {"X_FRAME_OPTIONS": "SAMEORIGIN"},
        {"ALLOWED_HOSTS": ["elsewhere.example.com"]},
    ],
    ids=str,
)
def test_the_settings_of_headers_and_hosts_hold(
    reader: ApiClient,
    browser: Browser,
    unread_count_url: str,
    warm: None,
    poll_url: str,
    settings: Any,
    changed: dict[str, Any],
    caplog: Any,
) -> None:
    for name, value in changed.items():
        setattr(settings, name, value)
    spellings: list[Spelling] = [(unread_count_url, reader.headers), (poll_url, browser.headers)]

    the_same_both_ways(spellings, caplog)


def test_a_hit_needs_no_route(
    reader: ApiClient, unread_count_url: str, warm: None, no_routes: None
) -> None:
    response = reader.client.get(unread_count_url, headers=reader.headers)

    assert (response.status_code, response.json()) == (200, {"count": 1})


def test_a_ticket_that_is_read_needs_no_route(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, request: Any
) -> None:
    url = f"{tickets_url}/{make_ticket()['id']}"
    first = reader.get(url)
    request.getfixturevalue("no_routes")

    again = reader.client.get(url, headers=reader.headers)

    assert (again.status_code, again.content) == (200, first.content)


def test_who_reads_a_ticket_with_unread_messages_has_read_it(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, unread_count_url: str
) -> None:
    assert reader.get(unread_count_url).json() == {"count": 0}
    url = f"{tickets_url}/{make_ticket(message='Hi')['id']}"
    assert reader.get(unread_count_url).json() == {"count": 1}

    assert reader.get(url).json()["unread_team_count"] == 0
    assert reader.get(unread_count_url).json() == {"count": 0}


def test_an_idle_poll_needs_no_route(browser: Browser, poll_url: str, no_routes: None) -> None:
    for headers in ({}, {"origin": "https://shop.example.com"}):
        response = browser.client.get(
            f"{poll_url}&_=1&limit=50", headers={**browser.headers, **headers}
        )
        assert (response.status_code, response.json()["messages"]) == (200, [])


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


def test_a_poll_counts_once_whichever_way_it_goes(
    browser: Browser, poll_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two have been asked already.
    monkeypatch.setattr(polls, "_POLLS", 5)

    found = [
        browser.get(poll_url).status_code,
        browser.get(f"{poll_url}&limit=x").status_code,
        browser.get(poll_url).status_code,
        browser.get(poll_url).status_code,
    ]

    assert found == [200, 400, 200, 429]


@pytest.mark.parametrize("stored", [b"many", b""])
def test_what_nobody_can_read_in_redis_is_an_error_as_on_the_whole_way(
    reader: ApiClient, unread_count_url: str, project: Project, warm: None, stored: bytes
) -> None:
    get_redis_connection("default").set(unread.cache_key(project.pk), stored, px=5_000)

    response = reader.get(unread_count_url)

    assert (response.status_code, response.json()["code"]) == (500, "error")


_FORKED = """
import django, os
django.setup()
from rest import leases
leases.run("return 1", [])
if os.fork() == 0:
    leases.run("return 1", [])
    os._exit(leases._own.connection.pid != os.getpid())
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_forked_process_asks_redis_over_a_connection_of_its_own(database: None) -> None:
    environment = {**service_environment(), "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", _FORKED],
        env=environment,
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )

    assert done.stdout == b"0\n"


def test_threads_that_have_ended_leave_no_connection_to_redis_behind() -> None:
    """They are as many as a web process has in some hours: it ends those that are idle."""
    redis = get_redis_connection("default")
    before = len(redis.client_list())

    for _ in range(150):
        with InBackground(leases.run, "return 1", []) as asked:
            assert asked.result() == 1

    # Those that end are seen a moment later.
    deadline = time.monotonic() + 20
    while len(redis.client_list()) > before + 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(redis.client_list()) <= before + 5


def test_a_ticket_that_takes_too_long_is_not_looked_up_once_more(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    url = f"{tickets_url}/{make_ticket()['id']}"
    assert reader.get(url).status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
    try:
        with (
            psycopg.connect(service_environment()["DATABASE_URL"]) as other,
            statements() as found,
        ):
            other.execute("LOCK TABLE conversations_ticket")
            response = reader.get(url)
    finally:
        connection.close()

    assert response.status_code == 503
    assert len(found) == 1


def test_behind_a_proxy_the_scheme_is_that_of_the_client(
    reader: ApiClient, unread_count_url: str, warm: None, settings: Any, no_routes: None
) -> None:
    settings.SECURE_HSTS_SECONDS = 60
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.0/8")]

    response = reader.client.get(
        unread_count_url,
        headers={**reader.headers, "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"},
    )

    assert (response.status_code, response.headers["Strict-Transport-Security"]) == (
        200,
        "max-age=60",
    )


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


def test_a_key_sees_no_count_of_another_project_that_is_in_redis(
    reader: ApiClient, warm: None, neighbour: Project, client_for: ClientFor
) -> None:
    url = f"{tickets_url_of(neighbour)}/unread_count"
    client_for(neighbour, "*").get(url)

    assert [reader.get(url).status_code for _ in range(2)] == [403] * 2


def test_a_poll_with_the_token_of_another_project_finds_nothing(
    browser: Browser, poll_url: str, neighbour: Project
) -> None:
    browser.headers["x-conversations-token"] = neighbour.public_token

    assert [browser.get(poll_url).status_code for _ in range(2)] == [404] * 2


def test_a_poll_is_refused_while_conversations_are_disabled(
    project: Project, browser: Browser, poll_url: str
) -> None:
    project.conversations_enabled = False
    project.save()

    assert [browser.get(poll_url).status_code for _ in range(2)] == [403] * 2


@pytest.mark.parametrize("path", ["unread_count", "1"])
def test_a_key_that_has_called_too_often_waits(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, settings: Any, path: str
) -> None:
    make_ticket()
    settings.RATE_LIMIT = parse_rates(["3/minute"])

    statuses = [reader.get(f"{tickets_url}/{path}").status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]
