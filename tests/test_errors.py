"""The one shape of errors, for every row of the contract's table, and which fault comes first."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from config.embedded import Server
from conversations.models import Ticket
from projects.models import Project
from projects.views import ProjectEndpoint
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import refusal
from tests.routes import with_routes


def error(response: Any) -> tuple[int, str, str]:
    """Status, type and code, of an answer that has exactly the keys it should."""
    assert response.headers["Content-Type"] == "application/json"
    body = response.json()
    keys = {"type", "code", "detail", "attr", "request_id"}
    validation = body["type"] == "validation_error"
    assert body.keys() == (keys | {"errors"} if validation else keys)
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["detail"]
    return response.status_code, body["type"], body["code"]


# --- What the caller did wrong ---


def test_a_wrong_field_is_a_validation_error(writer: ApiClient, tickets_url: str) -> None:
    response = writer.post(tickets_url, {"status": "opne"})

    assert error(response) == (400, "validation_error", "invalid_choice")
    assert response.json()["errors"] == [
        {"code": "invalid_choice", "detail": '"opne" is not a valid choice.', "attr": "status"}
    ]


def test_a_wrong_parameter_is_a_validation_error(reader: ApiClient, tickets_url: str) -> None:
    response = reader.get(tickets_url, status="opne")

    assert error(response) == (400, "validation_error", "invalid_choice")


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"{'a': 1}", b"{} {}", b"[1,]", b"\xff"])
def test_a_body_that_is_not_json_is_a_parse_error(
    writer: ApiClient, tickets_url: str, body: bytes
) -> None:
    response = writer.post(tickets_url, body)

    assert error(response) == (400, "invalid_request", "parse_error")
    assert response.json()["attr"] is None


def test_an_object_that_is_not_there_is_not_found(reader: ApiClient, tickets_url: str) -> None:
    assert error(reader.get(f"{tickets_url}/1")) == (404, "invalid_request", "not_found")


@pytest.mark.parametrize("key", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_an_unknown_path_is_not_found_by_anybody(writer: ApiClient, method: str, key: bool) -> None:
    response = (writer if key else ApiClient()).request(method, "/api/projects/1/nothing")

    assert error(response) == (404, "invalid_request", "not_found")


@pytest.mark.parametrize(
    ("method", "below", "allowed"),
    [
        ("DELETE", "", {"GET", "HEAD", "POST"}),
        ("PATCH", "", {"GET", "HEAD", "POST"}),
        ("POST", "/1", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("POST", "/unread_count", {"GET", "HEAD"}),
        ("GET", "/1/mark_unread", {"POST"}),
        ("HEAD", "/1/reply", {"POST"}),
        ("DELETE", "/1/messages", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "", {"GET", "HEAD", "POST"}),
        ("TRACE", "", {"GET", "HEAD", "POST"}),
        ("BREW", "", {"GET", "HEAD", "POST"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    writer: ApiClient, tickets_url: str, method: str, below: str, allowed: set[str]
) -> None:
    response = writer.request(method, tickets_url + below)

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == allowed
    if method != "HEAD":
        assert error(response) == (405, "invalid_request", "method_not_allowed")


@pytest.mark.parametrize("url", ["/api/schema", "/api/docs", "/api/redoc"])
def test_a_wrong_method_of_the_documentation_has_the_same_shape(url: str) -> None:
    response = ApiClient().client.post(url)

    assert error(response) == (405, "invalid_request", "method_not_allowed")
    assert "GET" in response.headers["Allow"]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json", "*/*x", ""],
)
def test_a_wrong_media_type_is_refused(
    writer: ApiClient, tickets_url: str, content_type: str
) -> None:
    response = writer.request("POST", tickets_url, b"{}", content_type=content_type)

    assert error(response) == (415, "invalid_request", "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;v=1"]
)
def test_parameters_and_case_of_the_media_type_do_not_matter(
    writer: ApiClient, tickets_url: str, content_type: str
) -> None:
    response = writer.request("POST", tickets_url, b"{}", content_type=content_type)

    assert response.status_code == 201


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", ""])
def test_every_answer_is_json_whatever_accept_says(
    writer: ApiClient, tickets_url: str, accept: str
) -> None:
    good = writer.request("GET", tickets_url, accept=accept)
    bad = writer.request("GET", f"{tickets_url}/1", accept=accept)

    assert (good.status_code, good.headers["Content-Type"]) == (200, "application/json")
    assert error(bad) == (404, "invalid_request", "not_found")


def test_a_body_over_one_mebibyte_is_too_large(writer: ApiClient, tickets_url: str) -> None:
    response = writer.post(tickets_url, b" " * (1024 * 1024 + 1))

    assert error(response) == (413, "invalid_request", "request_too_large")


def test_no_credentials_and_too_few_rights_are_authentication_errors(
    client_for: ClientFor, project: Project, tickets_url: str
) -> None:
    kind = "authentication_error"

    assert error(ApiClient().get(tickets_url)) == (401, kind, "not_authenticated")
    assert error(ApiClient("x").get(tickets_url)) == (401, kind, "authentication_failed")
    assert error(client_for(project).get(tickets_url)) == (403, kind, "permission_denied")


# --- What we did wrong ---


class Broken(ProjectEndpoint):
    required_scopes = {"list": "ticket:read", "create": "ticket:write"}

    def list(self, request: Request) -> Response:
        raise RuntimeError("a secret of the service")

    def create(self, request: Request) -> Response:
        Ticket.objects.create(project_id=self.project_id, ticket_number=1, distinct_id="half done")
        raise RuntimeError("a secret of the service")


def plain(request: HttpRequest) -> HttpResponse:
    raise {"bad": SuspiciousOperation, "forbidden": PermissionDenied}.get(
        request.GET.get("how", ""), RuntimeError
    )("a secret of the service")


@pytest.fixture
def broken(settings: Any) -> None:
    settings.ROOT_URLCONF = with_routes(
        path(
            "api/projects/<str:project_id>/broken",
            Broken.as_view({"get": "list", "post": "create"}),
        ),
        path("api/plain", plain),
    )


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("url", "debug"),
    [
        ("/api/projects/@current/broken", False),
        ("/api/projects/@current/broken", True),
        ("/api/plain", False),
    ],
)
def test_a_fault_of_ours_is_json_that_tells_nothing(
    reader: ApiClient, settings: Any, url: str, debug: bool
) -> None:
    settings.DEBUG = debug

    response = reader.request("GET", url, accept="text/html")

    assert error(response) == (500, "server_error", "error")
    assert b"secret" not in response.content


@pytest.mark.usefixtures("broken")
def test_a_fault_of_ours_is_logged_with_its_traceback(
    reader: ApiClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        reader.get("/api/projects/@current/broken")

    assert "RuntimeError: a secret of the service" in caplog.text


@pytest.mark.usefixtures("broken")
def test_a_fault_of_ours_undoes_what_the_request_had_done(
    writer: ApiClient, project: Project
) -> None:
    response = writer.post("/api/projects/@current/broken", {})

    assert error(response) == (500, "server_error", "error")
    assert not Ticket.objects.in_project(project.pk).exists()


@pytest.mark.usefixtures("broken")
def test_what_the_framework_refuses_has_the_same_shape(reader: ApiClient) -> None:
    assert error(reader.get("/api/plain", how="bad")) == (400, "invalid_request", "parse_error")
    assert error(reader.get("/api/plain", how="forbidden")) == (
        403,
        "authentication_error",
        "permission_denied",
    )


# --- What the database could not do ---


@pytest.fixture
def postgres_gone(postgres_server: Server) -> Iterator[Server]:
    yield postgres_server
    # What is left of the connection is of a server that is no more.
    connection.close()


def test_without_its_database_the_service_is_unavailable_and_says_when_to_come_back(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, postgres_gone: Server
) -> None:
    make_ticket()
    postgres_gone.stop()

    for response in (
        writer.get(tickets_url),
        writer.get(f"{tickets_url}/1"),
        writer.post(tickets_url, {}),
        writer.patch(f"{tickets_url}/1", {"status": "open"}),
        writer.delete(f"{tickets_url}/1"),
        ApiClient(**writer.headers).get(tickets_url),
    ):
        assert error(response) == (503, "server_error", "unavailable")
        assert int(response.headers["Retry-After"]) > 0


def test_a_key_that_is_not_in_the_cache_can_not_be_checked_without_the_database(
    client_for: ClientFor, project: Project, tickets_url: str, postgres_gone: Server
) -> None:
    client = client_for(project, "ticket:read")
    postgres_gone.kill()

    assert error(client.get(tickets_url)) == (503, "server_error", "unavailable")


def test_a_cached_unread_count_is_served_without_the_database(
    reader: ApiClient, unread_count_url: str, postgres_gone: Server
) -> None:
    reader.get(unread_count_url)
    postgres_gone.stop()

    assert reader.get(unread_count_url).json() == {"count": 0}


@pytest.fixture
def elsewhere() -> Iterator[psycopg.Connection]:
    """Somebody else's transaction; this test's own connection waits for nobody for long."""
    parameters = connection.get_connection_params()
    parameters.pop("cursor_factory", None)
    with psycopg.connect(**{**parameters, "context": None}) as other:
        yield other
        other.rollback()
    with connection.cursor() as cursor:
        cursor.execute("RESET statement_timeout")
        cursor.execute("RESET lock_timeout")


def impatient(setting: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET {setting} = '50ms'")


@pytest.mark.parametrize("below", ["", "/1", "/unread_count", "/1/messages"])
def test_a_read_that_takes_too_long_is_a_timeout(
    reader: ApiClient,
    make_ticket: MakeTicket,
    tickets_url: str,
    elsewhere: psycopg.Connection,
    below: str,
) -> None:
    make_ticket()
    reader.get(f"{tickets_url}/1")
    elsewhere.execute("LOCK TABLE conversations_ticket IN ACCESS EXCLUSIVE MODE")
    impatient("statement_timeout")

    response = reader.get(tickets_url + below)

    assert error(response) == (503, "server_error", "timeout")
    assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "/1", None),
        ("PATCH", "/1", {"status": "open"}),
        ("DELETE", "/1", None),
        ("POST", "/1/mark_unread", None),
        ("POST", "/1/reply", {"message": "Hello"}),
    ],
)
def test_a_ticket_that_somebody_else_holds_is_a_timeout_and_nothing_changes(
    writer: ApiClient,
    make_ticket: MakeTicket,
    tickets_url: str,
    elsewhere: psycopg.Connection,
    setting: str,
    method: str,
    below: str,
    body: Any,
) -> None:
    ticket = make_ticket(message="Hi")
    elsewhere.execute("SELECT 1 FROM conversations_ticket WHERE id = %s FOR UPDATE", [ticket["id"]])
    impatient(setting)

    response = writer.request(method, tickets_url + below, body)
    elsewhere.rollback()

    assert error(response) == (503, "server_error", "timeout")
    assert writer.get(tickets_url).json()["results"] == [ticket]


def test_a_create_that_waits_too_long_for_its_number_is_a_timeout(
    writer: ApiClient, project: Project, tickets_url: str, elsewhere: psycopg.Connection
) -> None:
    elsewhere.execute("SELECT 1 FROM projects_project WHERE id = %s FOR UPDATE", [project.pk])
    impatient("lock_timeout")

    response = writer.post(tickets_url, {"message": "Hi"})
    elsewhere.rollback()

    assert error(response) == (503, "server_error", "timeout")
    assert writer.get(tickets_url).json()["count"] == 0


# --- Which fault comes first ---


def test_of_several_faults_the_first_in_the_contracts_order_is_answered(
    client_for: ClientFor, project: Project, neighbour: Project, make_ticket: MakeTicket
) -> None:
    """Each line mends what the line before was refused for, and leaves all later faults."""
    make_ticket()
    wrong_key, no_scope, good = ApiClient("x"), client_for(project), client_for(project, "*")
    foreign = f"/api/projects/{neighbour.pk}/conversations/tickets"
    own = f"/api/projects/{project.pk}/conversations/tickets"
    bad_json, bad_value, plain_text = b"{", json.dumps({"status": 5}).encode(), "text/plain"

    def send(client: ApiClient, method: str, url: str, body: bytes, media: str) -> tuple[int, str]:
        response = client.request(method, url, body, content_type=media)
        return response.status_code, response.json()["code"]

    mended = [
        send(wrong_key, "POST", f"{foreign}/9", bad_json, plain_text),
        send(no_scope, "PATCH", f"{foreign}/9", bad_json, plain_text),
        send(no_scope, "PATCH", f"{own}/9", bad_json, plain_text),
        send(good, "POST", f"{own}/9", bad_json, plain_text),
        send(good, "PATCH", f"{own}/9", bad_json, plain_text),
        send(good, "PATCH", f"{own}/1", bad_json, plain_text),
        send(good, "PATCH", f"{own}/1", bad_json, "application/json"),
        send(good, "PATCH", f"{own}/1", bad_value, "application/json"),
    ]

    assert mended == [
        (401, "authentication_failed"),
        (403, "permission_denied"),
        (403, "permission_denied"),
        (405, "method_not_allowed"),
        (404, "not_found"),
        (415, "unsupported_media_type"),
        (400, "parse_error"),
        (400, "invalid_choice"),
    ]
    assert good.patch(f"{own}/1", {}).status_code == 200


def test_the_project_is_refused_before_a_wrong_method(
    writer: ApiClient, neighbour: Project
) -> None:
    response = writer.delete(f"/api/projects/{neighbour.pk}/conversations/tickets")

    assert refusal(response) == (403, "permission_denied", None)


def test_an_object_that_is_not_there_comes_before_a_wrong_parameter(
    reader: ApiClient, tickets_url: str
) -> None:
    assert refusal(reader.get(f"{tickets_url}/1", mark_read="x")) == (404, "not_found", None)


def test_an_object_that_is_not_there_comes_before_a_body_that_is_too_large(
    writer: ApiClient, tickets_url: str
) -> None:
    response = writer.patch(f"{tickets_url}/1", b" " * (1024 * 1024 + 1))

    assert refusal(response) == (404, "not_found", None)
