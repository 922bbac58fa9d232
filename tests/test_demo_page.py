"""The invented shop at /demo, without a browser; with one it is in tests/browser/."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from conversations.widget import posthog_js
from projects.models import Project


@pytest.fixture
def demo_project(project: Project, settings: Any) -> Project:
    settings.DEMO_PROJECT = project.pk
    return project


def test_without_a_demo_project_there_is_no_shop() -> None:
    assert Client().get("/demo").status_code == 404


def test_a_demo_project_that_is_gone_has_no_shop(demo_project: Project) -> None:
    demo_project.delete()

    assert Client().get("/demo").status_code == 404


def test_it_embeds_the_widget_with_the_public_token(
    demo_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posthog_js, "VERSION", "1.2.3")

    page = Client().get("/demo").content.decode()

    assert '<script src="/static/array.js"' in page
    assert f'data-token="{demo_project.public_token}"' in page
    assert "http://testserver/api/projects/@current/conversations/tickets/unread_count" in page


def test_without_posthog_js_it_says_how_to_get_it(
    demo_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posthog_js, "VERSION", None)

    page = Client().get("/demo").content.decode()

    assert "make widget" in page
    assert "<script" not in page


def test_its_policy_allows_this_host_and_a_nonce_used_once(demo_project: Project) -> None:
    client = Client()
    policies = [client.get("/demo")["Content-Security-Policy"] for _ in range(2)]

    assert "unsafe" not in policies[0]
    assert "http" not in policies[0]
    assert policies[0] != policies[1]


def test_it_has_nothing_inline_and_nothing_of_other_hosts() -> None:
    source = Path("conversations/templates/demo/shop.html").read_text()

    assert not re.findall(r"<style|style=|<script>|\son\w+=|//", source)
