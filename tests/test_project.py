"""The project itself: its settings, and what of it is in no answer."""

from typing import Any

import pytest

from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket

SETTINGS = {
    "name": "Café",
    "time_zone": "Europe/Berlin",
    "conversations_enabled": False,
    "reopen_on_reply": False,
    "widget_enabled": False,
    "widget_greeting_text": "Hi! 👋",
    "widget_color": "#1d4aff",
    "widget_placeholder_text": "Ask",
    "widget_require_email": True,
    "widget_collect_name": False,
    "widget_domains": ["example.com", "xn--bcher-kva.example", "localhost", "127.0.0.1"],
    "widget_restore_enabled": False,
}


@pytest.fixture
def url(project: Project) -> str:
    return f"/api/projects/{project.pk}"


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "project:write", "ticket:write")


def failures(response: Any) -> list[tuple[str, str | None]]:
    assert response.status_code == 400, response.content
    return [(error["code"], error["attr"]) for error in response.json()["errors"]]


def test_the_project_shows_its_settings(api: ApiClient, url: str, project: Project) -> None:
    response = api.get(url)

    assert response.status_code == 200
    assert response.json() == {
        "id": project.pk,
        "name": "Shop",
        "time_zone": "UTC",
        "conversations_enabled": True,
        "reopen_on_reply": True,
        "widget_enabled": True,
        "widget_greeting_text": "",
        "widget_color": "",
        "widget_placeholder_text": "",
        "widget_require_email": False,
        "widget_collect_name": True,
        "widget_domains": [],
        "widget_restore_enabled": True,
        "public_token": project.public_token,
    }


def test_no_answer_has_the_secret(api: ApiClient, url: str, project: Project) -> None:
    for response in (api.get(url), api.patch(url, {"name": "Shop 2"})):
        assert project.identity_secret not in response.content.decode()


@pytest.mark.parametrize("together", [True, False])
def test_every_setting_can_be_changed(
    api: ApiClient, url: str, project: Project, together: bool
) -> None:
    for body in [SETTINGS] if together else [{name: SETTINGS[name]} for name in SETTINGS]:
        response = api.patch(url, body)
        assert response.status_code == 200, response.content
        assert body.items() <= response.json().items()

    project.refresh_from_db()
    assert {name: getattr(project, name) for name in SETTINGS} == SETTINGS
    assert SETTINGS.items() <= api.get(url).json().items()


@pytest.mark.parametrize("body", [{}, None, {"name": "Shop"}])
def test_a_change_of_nothing_is_a_look(api: ApiClient, url: str, body: Any) -> None:
    before = api.get(url).json()

    assert api.patch(url, body).json() == before


def test_read_only_fields_are_ignored(api: ApiClient, url: str) -> None:
    before = api.get(url).json()

    assert api.patch(url, {"id": 1, "public_token": "cvp_mine"}).json() == before


def test_what_was_answered_may_be_sent_back_even_where_it_would_be_refused(
    api: ApiClient, url: str, project: Project
) -> None:
    Project.objects.filter(pk=project.pk).update(
        time_zone="Mars/Olympus", widget_domains=["Not a host"]
    )
    before = api.get(url).json()

    assert api.patch(url, {**before, "name": "Café"}).json() == {**before, "name": "Café"}


def test_domains_are_kept_once_in_the_order_given(api: ApiClient, url: str) -> None:
    response = api.patch(url, {"widget_domains": ["b.example", " a.example ", "b.example"]})

    assert response.json()["widget_domains"] == ["b.example", "a.example"]


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"name": ""}, ("blank", "name")),
        ({"name": "  "}, ("blank", "name")),
        ({"name": None}, ("null", "name")),
        ({"name": 7}, ("invalid_input", "name")),
        ({"name": "x" * 201}, ("max_length", "name")),
        ({"name": "a\x00"}, ("invalid_input", "name")),
        ({"time_zone": "Mars/Olympus"}, ("invalid_input", "time_zone")),
        ({"time_zone": "europe/berlin"}, ("invalid_input", "time_zone")),
        ({"time_zone": "../UTC"}, ("invalid_input", "time_zone")),
        ({"time_zone": "+01:00"}, ("invalid_input", "time_zone")),
        ({"time_zone": ""}, ("blank", "time_zone")),
        ({"time_zone": None}, ("null", "time_zone")),
        ({"conversations_enabled": 1}, ("invalid_input", "conversations_enabled")),
        ({"conversations_enabled": "false"}, ("invalid_input", "conversations_enabled")),
        ({"conversations_enabled": None}, ("null", "conversations_enabled")),
        ({"reopen_on_reply": "yes"}, ("invalid_input", "reopen_on_reply")),
        ({"widget_enabled": 0}, ("invalid_input", "widget_enabled")),
        ({"widget_require_email": []}, ("invalid_input", "widget_require_email")),
        ({"widget_collect_name": {}}, ("invalid_input", "widget_collect_name")),
        ({"widget_restore_enabled": "x"}, ("invalid_input", "widget_restore_enabled")),
        ({"widget_greeting_text": "x" * 1001}, ("max_length", "widget_greeting_text")),
        ({"widget_greeting_text": None}, ("null", "widget_greeting_text")),
        ({"widget_color": "x" * 33}, ("max_length", "widget_color")),
        ({"widget_placeholder_text": "x" * 201}, ("max_length", "widget_placeholder_text")),
        ({"widget_domains": None}, ("null", "widget_domains")),
        ({"widget_domains": "example.com"}, ("not_a_list", "widget_domains")),
        ({"widget_domains": [None]}, ("null", "widget_domains__0")),
        ({"widget_domains": [7]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": [""]}, ("blank", "widget_domains__0")),
        ({"widget_domains": ["a.example", "*"]}, ("invalid_input", "widget_domains__1")),
        ({"widget_domains": ["https://a.example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a.example/x"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a.example:80"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a.example."]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a..example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["-a.example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a_b.example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["A.example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["bücher.example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a b.example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a.example\nb"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["x" * 64 + ".example"]}, ("invalid_input", "widget_domains__0")),
        ({"widget_domains": ["a.example"] * 101}, ("max_length", "widget_domains")),
        ({"identity_secret": "mine"}, ("unknown_field", "identity_secret")),
        ({"last_ticket_number": 0}, ("unknown_field", "last_ticket_number")),
        ({"widget_colour": "#fff"}, ("unknown_field", "widget_colour")),
        ([], ("invalid_input", None)),
        ("x", ("invalid_input", None)),
    ],
)
def test_a_bad_setting_is_refused_and_nothing_changes(
    api: ApiClient, url: str, body: Any, failure: tuple[str, str | None]
) -> None:
    before = api.get(url).json()
    if isinstance(body, dict):
        body = {"widget_color": "red", **body}

    assert failures(api.patch(url, body)) == [failure]
    assert api.get(url).json() == before


def test_a_host_name_has_at_most_253_characters(api: ApiClient, url: str) -> None:
    longest = ".".join(["x" * 61, "y" * 63, "z" * 63, "w" * 63])
    assert len(longest) == 253

    assert api.patch(url, {"widget_domains": [longest]}).status_code == 200
    refused = failures(api.patch(url, {"widget_domains": ["x" + longest]}))
    assert refused == [("max_length", "widget_domains__0")]


def test_switching_conversations_off_empties_the_unread_count_at_once(
    api: ApiClient, url: str, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Hi")
    assert api.get(unread_count_url).json() == {"count": 1}

    api.patch(url, {"conversations_enabled": False})
    assert api.get(unread_count_url).json() == {"count": 0}

    api.patch(url, {"conversations_enabled": True})
    assert api.get(unread_count_url).json() == {"count": 1}


def test_a_change_writes_its_own_columns_alone(
    api: ApiClient, url: str, project: Project, make_ticket: MakeTicket, monkeypatch: Any
) -> None:
    save = Project.save

    def save_late(self: Project, *args: Any, **kwargs: Any) -> None:
        # As if a ticket had been numbered, and a name given, between reading and writing.
        Project.objects.filter(pk=self.pk).update(last_ticket_number=41, name="Newer")
        save(self, *args, **kwargs)

    monkeypatch.setattr(Project, "save", save_late)
    api.patch(url, {"widget_color": "red"})

    assert make_ticket()["ticket_number"] == 42
    assert api.get(url).json()["name"] == "Newer"


# --- Where -------------------------------------------------------------------


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("HEAD", None), ("PATCH", {})])
@pytest.mark.parametrize(
    "spelling",
    ["/api/projects/@current", "/api/projects/@current/", "/api/environments/@current"],
)
def test_current_and_environments_and_a_final_slash_are_other_spellings(
    api: ApiClient, project: Project, method: str, body: Any, spelling: str
) -> None:
    response = api.request(method, spelling, body)

    assert response.status_code == 200
    if method != "HEAD":
        assert response.json()["id"] == project.pk


def test_parameters_are_refused(api: ApiClient, url: str) -> None:
    assert failures(api.get(url, fields="name")) == [("unknown_parameter", "fields")]
