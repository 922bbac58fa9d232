"""What browsers are told about the pages: their policy, and https for good."""

from typing import Any

import pytest
from django.test import Client

from projects.models import Project

PAGES = ["/", "/login", "/admin/login/", "/nothing/here", "/set-password/x/y"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_may_load_from_this_host_alone_and_stand_in_no_frame(page: str) -> None:
    policy = Client().get(page).headers["Content-Security-Policy"]

    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == "'self'"
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert directives["form-action"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("page", ["/login", "/demo", "/api/docs", "/api/redoc"])
def test_a_proxy_may_set_the_policy_instead(settings: Any, project: Project, page: str) -> None:
    settings.CONTENT_SECURITY_POLICY = False
    settings.DEMO_PROJECT = project.pk

    response = Client().get(page)

    assert response.status_code == 200
    assert "Content-Security-Policy" not in response.headers


def test_https_for_good_is_said_over_https_once_it_is_set(settings: Any) -> None:
    assert "Strict-Transport-Security" not in Client().get("/login", secure=True).headers

    settings.SECURE_HSTS_SECONDS = 31536000
    client = Client()
    answers = [client.get("/login", secure=True), client.get("/api/projects/1", secure=True)]

    told = {answer.headers["Strict-Transport-Security"] for answer in answers}
    assert told == {"max-age=31536000"}
    assert "Strict-Transport-Security" not in client.get("/login").headers
