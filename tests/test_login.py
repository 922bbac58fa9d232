"""How agents log in, and what their session may do on the API."""

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from projects.agents import set_password_url
from projects.models import Membership, Project, User
from tests.api import ApiClient, check_against_schema
from tests.conftest import MakeTicket, tickets_url_of

PASSWORD = "a long enough phrase"


@pytest.fixture
def agent(project: Project) -> User:
    user = User.objects.create_user(f"agent-{uuid.uuid4().hex}@example.com", PASSWORD)
    Membership.objects.create(project=project, user=user)
    return user


@pytest.fixture
def browser() -> Client:
    """As in production: without the CSRF token nothing is written."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def agents_browser(browser: Client, agent: User) -> Client:
    log_in(browser, agent.email)
    return browser


def submit(browser: Client, url: str, **fields: str) -> Any:
    """Opens the page and sends its form, as a browser would."""
    page = browser.get(url, follow=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())
    assert token, page.content
    path = page.redirect_chain[-1][0] if page.redirect_chain else url
    return browser.post(path, {"csrfmiddlewaretoken": token[1], **fields})


def log_in(browser: Client, email: str, password: str = PASSWORD, **fields: str) -> Any:
    return submit(browser, "/login", username=email, password=password, **fields)


# --- Logging in and out ------------------------------------------------------


def test_an_agent_logs_in_and_comes_to_the_first_page(browser: Client, agent: User) -> None:
    response = log_in(browser, agent.email)

    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert f"You are logged in as {agent.email}" in browser.get("/").content.decode()


def test_upper_and_lower_case_in_the_address_make_no_difference(
    browser: Client, agent: User
) -> None:
    assert log_in(browser, agent.email.upper()).status_code == 302


def test_a_failed_log_in_does_not_tell_whether_the_address_exists(agent: User) -> None:
    closed = User.objects.create_user(f"{uuid.uuid4().hex}@example.com", PASSWORD, is_active=False)

    answers = [
        log_in(Client(enforce_csrf_checks=True), email, password)
        for email, password in (
            (agent.email, "wrong"),
            ("nobody@example.com", "wrong"),
            (closed.email, PASSWORD),
        )
    ]

    for answer in answers:
        assert answer.status_code == 200
        page = answer.content.decode()
        assert (
            '<p class="error" role="alert">The email address or the password is wrong.</p>' in page
        )
        assert PASSWORD not in page


@pytest.mark.parametrize("fields", [{}, {"username": "x"}, {"username": "a\x00", "password": "b"}])
def test_an_incomplete_form_is_shown_again(browser: Client, fields: dict[str, str]) -> None:
    assert submit(browser, "/login", **fields).status_code == 200


def test_log_in_without_the_csrf_token_is_refused(browser: Client, agent: User) -> None:
    response = browser.post("/login", {"username": agent.email, "password": PASSWORD})

    assert response.status_code == 403


def test_log_in_leads_on_to_a_page_of_this_host(browser: Client, agent: User) -> None:
    response = log_in(browser, agent.email, next="/admin/?q=1")

    assert response.headers["Location"] == "/admin/?q=1"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http://[",
        "/login",
        "/login?next=/login",
    ],
)
def test_log_in_leads_nowhere_else(browser: Client, agent: User, target: str) -> None:
    assert log_in(browser, agent.email, next=target).headers["Location"] == "/"
    assert browser.get("/login", {"next": target}).headers["Location"] == "/"


def test_who_is_logged_in_needs_no_form(agents_browser: Client) -> None:
    response = agents_browser.get("/login?next=/api/docs")

    assert (response.status_code, response.headers["Location"]) == (302, "/api/docs")


def test_another_agent_can_log_in_on_top(agents_browser: Client, project: Project) -> None:
    other = User.objects.create_user(f"{uuid.uuid4().hex}@example.com", PASSWORD)
    token = agents_browser.cookies["csrftoken"].value

    agents_browser.post(
        "/login", {"csrfmiddlewaretoken": token, "username": other.email, "password": PASSWORD}
    )

    assert other.email in agents_browser.get("/").content.decode()


def test_logging_out_ends_the_session(agents_browser: Client, project: Project) -> None:
    session = agents_browser.cookies["sessionid"].value
    response = _log_out(agents_browser)

    assert (response.status_code, response.headers["Location"]) == (302, "/login")
    # The old cookie, in somebody else's hands.
    agents_browser.cookies["sessionid"] = session
    assert agents_browser.get(tickets_url_of(project)).status_code == 401


def _log_out(browser: Client) -> Any:
    token = browser.cookies["csrftoken"].value
    return browser.post("/logout", {"csrfmiddlewaretoken": token})


def test_a_link_can_not_log_anybody_out(agents_browser: Client, agent: User) -> None:
    assert agents_browser.get("/logout").status_code == 405
    assert agents_browser.post("/logout").status_code == 403
    assert agent.email in agents_browser.get("/").content.decode()


def test_the_session_cookie_stays_with_the_browser_and_its_site(agents_browser: Client) -> None:
    cookie = agents_browser.cookies["sessionid"]

    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


# --- The pages ---------------------------------------------------------------


def test_the_first_page_says_what_is_where(browser: Client) -> None:
    page = browser.get("/").content.decode()

    for link in ("/api/docs", "/api/redoc", "/api/schema", "/admin/", "/login"):
        assert f'href="{link}"' in page


def test_the_first_page_names_an_agents_projects(agents_browser: Client, project: Project) -> None:
    page = agents_browser.get("/").content.decode()

    assert f"/api/projects/{project.pk}" in page
    assert 'action="/logout"' in page


@pytest.mark.parametrize("url", ["/", "/login", "/set-password/x/y", "/admin/login/"])
def test_pages_load_nothing_from_other_hosts(browser: Client, url: str) -> None:
    page = browser.get(url).content.decode()

    loaded = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert loaded
    assert all(re.match(r"(/(?!/)|#|data:,)", target) for target in loaded), loaded


def test_the_style_sheet_is_served(browser: Client) -> None:
    response: Any = browser.get("/static/projects/page.css")
    style = b"".join(response.streaming_content)
    response.close()

    assert response.status_code == 200
    assert b"font" in style
    assert response.headers["Content-Type"].startswith("text/css")


def test_every_input_has_a_label(browser: Client) -> None:
    page = browser.get("/login").content.decode()

    assert 'lang="en"' in page
    visible = re.findall(r'<input type="(?:text|email|password)"[^>]*id="(\w+)"', page)
    assert len(visible) == 2
    assert all(f'<label for="{name}">' in page for name in visible)


def test_the_admin_sites_address_may_lack_its_slash(browser: Client) -> None:
    assert browser.get("/admin").headers["Location"] == "/admin/"


# --- Choosing a password -----------------------------------------------------


@pytest.fixture
def invited(project: Project) -> User:
    """An agent who has no password yet."""
    user = User.objects.create_user(f"agent-{uuid.uuid4().hex}@example.com")
    Membership.objects.create(project=project, user=user)
    return user


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def choose(browser: Client, url: str, password: str, repeated: str | None = None) -> Any:
    return submit(browser, url, new_password1=password, new_password2=repeated or password)


def test_the_link_lets_an_agent_choose_a_password_and_logs_them_in(
    browser: Client, invited: User
) -> None:
    response = choose(browser, path_of(set_password_url(invited)), PASSWORD)

    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert invited.email in browser.get("/").content.decode()
    assert log_in(Client(enforce_csrf_checks=True), invited.email).status_code == 302


def test_the_link_works_once(browser: Client, invited: User) -> None:
    url = path_of(set_password_url(invited))
    choose(browser, url, PASSWORD)

    page = Client().get(url).content.decode()

    assert "This link does not work" in page
    assert "<form" not in page


def test_the_page_to_choose_a_password_does_not_have_the_token_in_its_address(
    browser: Client, invited: User
) -> None:
    url = path_of(set_password_url(invited))

    response = browser.get(url)

    assert response.headers["Location"].endswith("/set-password")
    assert url.rsplit("/", 1)[1] not in response.headers["Location"]


@pytest.mark.parametrize(("password", "repeated"), [("short", None), (PASSWORD, "something else")])
def test_a_password_that_can_not_be_is_refused(
    browser: Client, invited: User, password: str, repeated: str | None
) -> None:
    response = choose(browser, path_of(set_password_url(invited)), password, repeated)

    assert response.status_code == 200
    assert 'role="alert"' in response.content.decode()
    invited.refresh_from_db()
    assert not invited.has_usable_password()


@pytest.mark.parametrize("name", ["x", "MQ", "____", "AA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_an_invented_link_does_not_work(browser: Client, name: str) -> None:
    response = browser.get(f"/set-password/{name}/abc-def")

    assert response.status_code == 200
    assert "This link does not work" in response.content.decode()


def test_the_link_of_a_closed_account_does_not_work(browser: Client, invited: User) -> None:
    url = path_of(set_password_url(invited))
    User.objects.filter(pk=invited.pk).update(is_active=False)

    assert "This link does not work" in browser.get(url).content.decode()


# --- The session on the API --------------------------------------------------


def call(browser: Client, method: str, url: str, body: Any = None, **headers: str) -> Any:
    response = browser.generic(
        method,
        url,
        b"" if body is None else body,
        "application/json" if body else "",
        headers=headers,
    )
    check_against_schema(method, url, response)
    return response


def test_an_agent_reads_without_scopes(
    agents_browser: Client, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()

    response = call(agents_browser, "GET", tickets_url)

    assert [found["id"] for found in response.json()["results"]] == [ticket["id"]]


def test_an_agent_writes_with_the_csrf_token(agents_browser: Client, tickets_url: str) -> None:
    token = agents_browser.cookies["csrftoken"].value

    response = call(
        agents_browser, "POST", tickets_url, b'{"message": "Hi"}', **{"x-csrftoken": token}
    )

    assert response.status_code == 201


@pytest.mark.parametrize("headers", [{}, {"x-csrftoken": "x" * 32}])
def test_an_agent_can_not_write_without_the_csrf_token(
    agents_browser: Client, tickets_url: str, reader: ApiClient, headers: dict[str, str]
) -> None:
    response = call(agents_browser, "POST", tickets_url, b"{}", **headers)

    assert response.status_code == 403
    assert (response.json()["type"], response.json()["code"]) == (
        *("authentication_error", "permission_denied"),
    )
    assert reader.get(tickets_url).json()["count"] == 0


def test_an_agents_only_project_is_the_current_one(
    agents_browser: Client, make_ticket: MakeTicket
) -> None:
    make_ticket()

    response = call(agents_browser, "GET", "/api/projects/@current/conversations/tickets")

    assert response.json()["count"] == 1


def test_with_two_projects_none_is_the_current_one(
    agents_browser: Client, agent: User, neighbour: Project
) -> None:
    Membership.objects.create(project=neighbour, user=agent)

    response = call(agents_browser, "GET", "/api/projects/@current/conversations/tickets")

    assert response.status_code == 403
    assert call(agents_browser, "GET", tickets_url_of(neighbour)).status_code == 200


@pytest.mark.parametrize("named", ["0", "9" * 18, "9" * 30, "x", "-1"])
def test_an_unknown_project_is_refused_like_a_foreign_one(
    agents_browser: Client, neighbour: Project, named: str
) -> None:
    foreign = call(agents_browser, "GET", tickets_url_of(neighbour))
    unknown = call(agents_browser, "GET", f"/api/projects/{named}/conversations/tickets")

    assert foreign.status_code == unknown.status_code == 403
    same = {"request_id": None}
    assert foreign.json() | same == unknown.json() | same


def test_a_superuser_who_is_no_member_is_refused(project: Project, browser: Client) -> None:
    root = User.objects.create_superuser(f"{uuid.uuid4().hex}@example.com", PASSWORD)
    log_in(browser, root.email)

    assert call(browser, "GET", tickets_url_of(project)).status_code == 403


def test_a_member_who_is_removed_is_refused_from_the_next_request_on(
    agents_browser: Client, agent: User, tickets_url: str
) -> None:
    assert call(agents_browser, "GET", tickets_url).status_code == 200

    Membership.objects.filter(user=agent).delete()

    assert call(agents_browser, "GET", tickets_url).status_code == 403


def test_a_closed_account_is_nobody_from_the_next_request_on(
    agents_browser: Client, agent: User, tickets_url: str
) -> None:
    User.objects.filter(pk=agent.pk).update(is_active=False)

    assert call(agents_browser, "GET", tickets_url).status_code == 401


def test_a_key_in_the_header_wins_over_the_session(
    agents_browser: Client, tickets_url: str
) -> None:
    response = call(agents_browser, "GET", tickets_url, authorization="Bearer cvk_wrong")

    assert response.status_code == 401
