"""The configuration that posthog-js asks for when it starts."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor

ORIGIN = "https://shop.example.com"


@pytest.fixture
def page() -> Client:
    """A page of a customer's, of another origin."""
    return Client(raise_request_exception=False, headers={"origin": ORIGIN})


def config_url(project: Project) -> str:
    return f"/array/{project.public_token}/config"


def in_script(response: Any) -> Any:
    """What the script says, by the token that it says it for."""
    text = response.content.decode()
    found = re.fullmatch(
        r"\(window\._POSTHOG_REMOTE_CONFIG = window\._POSTHOG_REMOTE_CONFIG \|\| \{\}\)"
        r"\[(\".*?\")\] = (.*);\n",
        text,
    )
    assert found is not None, text
    return {json.loads(found[1]): json.loads(found[2])}


def test_a_new_project_has_the_widget_with_the_texts_of_the_client(
    page: Client, project: Project
) -> None:
    response = page.get(config_url(project))

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.json() == {
        "hasFeatureFlags": False,
        "supportedCompression": ["gzip", "gzip-js"],
        "conversations": {
            "enabled": True,
            "widgetEnabled": True,
            "token": project.public_token,
            "greetingText": None,
            "color": None,
            "placeholderText": None,
            "requireEmail": False,
            "collectName": True,
            "domains": [],
        },
    }


def test_every_setting_of_the_widget_is_in_it(
    page: Client, project: Project, client_for: ClientFor
) -> None:
    settings = {
        "widget_enabled": False,
        "widget_greeting_text": "Hi! 👋",
        "widget_color": "#1d4aff",
        "widget_placeholder_text": "Ask",
        "widget_require_email": True,
        "widget_collect_name": False,
        "widget_domains": ["shop.example.com", "localhost"],
    }
    api = client_for(project, "project:write")
    assert api.patch(f"/api/projects/{project.pk}", settings).status_code == 200

    assert page.get(config_url(project)).json()["conversations"] == {
        "enabled": True,
        "widgetEnabled": False,
        "token": project.public_token,
        "greetingText": "Hi! 👋",
        "color": "#1d4aff",
        "placeholderText": "Ask",
        "requireEmail": True,
        "collectName": False,
        "domains": ["shop.example.com", "localhost"],
    }


def test_without_conversations_the_client_is_told_so(page: Client, project: Project) -> None:
    project.conversations_enabled = False
    project.save()

    assert page.get(config_url(project)).json()["conversations"] is False


def test_a_changed_setting_is_in_the_next_answer(
    page: Client, project: Project, client_for: ClientFor
) -> None:
    api = client_for(project, "project:write")
    for text in ("Hello", "Goodbye"):
        api.patch(f"/api/projects/{project.pk}", {"widget_greeting_text": text})
        for url in (config_url(project), f"{config_url(project)}.js"):
            response = page.get(url)
            assert text in response.content.decode()
            # And what a browser keeps of it is not older than a minute.
            assert response.headers["Cache-Control"] == "public, max-age=30"


def test_a_project_that_is_deleted_has_no_configuration(page: Client, project: Project) -> None:
    assert page.get(config_url(project)).status_code == 200
    url = config_url(project)

    project.delete()

    assert page.get(url).status_code == 404


def test_the_script_says_the_same_as_the_json(page: Client, project: Project) -> None:
    config = page.get(config_url(project)).json()
    response = page.get(f"{config_url(project)}.js")

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert in_script(response) == {project.public_token: {"config": config, "siteApps": []}}


def test_no_text_breaks_out_of_the_script(page: Client, project: Project) -> None:
    text = "</script><!-- ]]> & \u2028\u2029 \"'`${x}\\ \x1b"
    project.widget_greeting_text = text
    project.save()

    response = page.get(f"{config_url(project)}.js")

    script = response.content.decode()
    assert not {"<", ">", "&", "\u2028", "\u2029", "\x1b"} & set(script)
    entry = in_script(response)[project.public_token]
    assert entry["config"]["conversations"]["greetingText"] == text


def test_no_answer_has_the_secret(page: Client, project: Project) -> None:
    for url in (config_url(project), f"{config_url(project)}.js"):
        assert project.identity_secret not in page.get(url).content.decode()


@pytest.mark.parametrize("token", ["cvp_nobody", "x" * 65, "caf%C3%A9", "%00", "cvp_%22]"])
@pytest.mark.parametrize("name", ["config", "config.js"])
def test_a_token_that_nobody_has_is_not_found(page: Client, token: str, name: str) -> None:
    response = page.get(f"/array/{token}/{name}")

    assert response.status_code == 404
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Cache-Control" not in response.headers
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/array", "/array/", "/array/x", "/array/x/array.js"])
def test_what_is_not_there_is_not_found_as_json(page: Client, path: str) -> None:
    response = page.get(path)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_can_only_be_read(page: Client, project: Project, method: str) -> None:
    response = page.generic(method, config_url(project))

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"
    assert response.json()["code"] == "method_not_allowed"


def test_a_head_request_has_no_body(page: Client, project: Project) -> None:
    response = page.head(config_url(project))

    assert (response.status_code, response.content) == (200, b"")


def test_an_api_key_means_nothing_here(project: Project) -> None:
    response = ApiClient("cvk_nonsense").get(config_url(project))

    assert response.status_code == 200


def test_what_is_cached_costs_no_sql(
    page: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    # The project.
    with django_assert_num_queries(1):
        page.get(config_url(project))
    with django_assert_num_queries(0):
        page.get(config_url(project))
        page.get(f"{config_url(project)}.js")
