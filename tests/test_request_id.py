"""X-Request-ID: on every answer, in error bodies, in every line of the log."""

import logging
import re
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.routes import with_routes

GOOD = ["a", "A-z_09", "x" * 128, "0192f0c1-2b3c-7d4e-8f50-617283940a1b"]
BAD = [
    "",
    "x" * 129,
    "a b",
    "a.b",
    "a\tb",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "<script>",
    "a:",
]


@pytest.mark.parametrize("given", GOOD)
def test_a_well_formed_id_is_taken(reader: ApiClient, tickets_url: str, given: str) -> None:
    response = reader.request("GET", tickets_url, x_request_id=given)

    assert response.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", BAD)
def test_any_other_is_replaced(reader: ApiClient, tickets_url: str, given: str) -> None:
    response = reader.request("GET", tickets_url, x_request_id=given)

    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_requests_without_an_id_get_different_ones(reader: ApiClient, tickets_url: str) -> None:
    ids = {reader.get(tickets_url).headers["X-Request-ID"] for _ in range(3)}

    assert len(ids) == 3


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/api/projects/@current/conversations/tickets/999"),
        ("PUT", "/api/projects/@current/conversations/tickets"),
        ("GET", "/api/projects/@current/conversations/tickets?limit=0"),
        ("GET", "/api/nothing"),
        ("GET", "/api/projects/0/conversations/tickets"),
    ],
)
def test_an_error_body_names_its_request(reader: ApiClient, method: str, url: str) -> None:
    response = reader.request(method, url, x_request_id="trace-me")

    assert response.status_code >= 400
    assert response.json()["request_id"] == response.headers["X-Request-ID"] == "trace-me"


@pytest.mark.parametrize("url", ["/livez", "/readyz", "/nothing", "/api/docs", "/admin/login/"])
def test_answers_beside_the_api_have_one_as_well(url: str) -> None:
    response = ApiClient().client.get(url, headers={"X-Request-ID": "trace-me"})

    assert response.headers["X-Request-ID"] == "trace-me"


def test_every_line_logged_during_a_request_has_its_id(
    reader: ApiClient, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        logging.getLogger("somewhere").warning("during")
        return HttpResponse()

    settings.ROOT_URLCONF = with_routes(path("logs", view))
    stderr = logging.getLogger().handlers[0]
    caplog.handler.addFilter(stderr.filters[0])

    reader.client.get("/logs", headers={"X-Request-ID": "trace-me"})

    during = [record for record in caplog.records if record.name in ("somewhere", "access")]
    assert {getattr(record, "request_id", None) for record in during} == {"trace-me"}
    assert len(during) == 2


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/api/projects/2/persons/ada@private.example", "/api/projects/2/persons/..."),
        ("/api/projects/2/persons/Ada%20L%C3%B8v/merge", "/api/projects/2/persons/.../merge"),
        ("/api/projects/2/persons/cvk%255F0123456789", "/api/projects/2/persons/..."),
        (
            "/api/projects/2/webhooks/whsec_secret/deliveries",
            "/api/projects/2/webhooks/.../deliveries",
        ),
        ("/api/cvk_0123/x%0Ay", "/api/.../..."),
        (
            "/api/environments/@current/conversations/views/aB3dE5fG",
            "/api/projects/@current/conversations/views/...",
        ),
        (
            f"/api/projects/2/conversations/tickets/{GOOD[3]}",
            f"/api/projects/2/conversations/tickets/{GOOD[3]}",
        ),
        (
            "/api/projects/2/conversations/tickets/unread_count",
            "/api/projects/2/conversations/tickets/unread_count",
        ),
    ],
)
def test_of_a_path_the_log_has_words_of_routes_and_ids(
    reader: ApiClient, caplog: pytest.LogCaptureFixture, path: str, logged: str
) -> None:
    with caplog.at_level(logging.INFO):
        reader.get(path)

    [line] = [record.getMessage() for record in caplog.records if record.name == "access"]
    assert line.split()[1] == logged


def test_each_request_is_logged_once_without_its_query(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    make_ticket()
    caplog.clear()

    with caplog.at_level(logging.INFO):
        reader.get(f"{tickets_url}/", distinct_ids="ann@example.org")
        reader.get(f"{tickets_url}/999")

    assert [record.getMessage() for record in caplog.records if record.name == "access"] == [
        f"GET {tickets_url} 200",
        f"GET {tickets_url}/999 404",
    ]
    assert "ann@example.org" not in caplog.text
