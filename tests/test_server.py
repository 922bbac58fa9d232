"""What only the real web server shows: bytes on the wire, signals, log lines."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from conversations.models import Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.service import Service, running_service, service_environment
from tests.threads import InBackground, wait_until_blocked

DOCKERFILE = Path(__file__).parent.parent / "Dockerfile"


def test_the_web_server_does_without_aiohttp() -> None:
    # It would take a tenth of the time in which the server starts.
    program = "import config.wsgi, config.urls, sys; sys.exit('aiohttp' in sys.modules)"

    subprocess.run([sys.executable, "-c", program], env=service_environment(), check=True)


def test_a_chunked_body_is_read(service: Service, writer: ApiClient, tickets_url: str) -> None:
    chunks = iter([b'{"message": "It comes ', b'in pieces."}'])

    status, body = _request(service, "POST", tickets_url, chunks, writer.headers)

    assert status == 201, body
    assert body["last_message_text"] == "It comes in pieces."


def test_a_chunked_body_that_is_too_large_is_refused(
    service: Service, writer: ApiClient, tickets_url: str
) -> None:
    chunks = iter([b'{"message": "' + b"x" * 1024 * 1024, b'"}'])

    status, body = _request(service, "POST", tickets_url, chunks, writer.headers)

    assert (status, body["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 100\r\n\r\n{}",
        b"Content-Length: 100\r\n\r\n",
    ],
)
def test_a_body_that_is_cut_off_changes_nothing(
    service: Service, writer: ApiClient, tickets_url: str, body: bytes
) -> None:
    with closing(socket.create_connection(("127.0.0.1", service.port), timeout=30)) as raw:
        raw.sendall(
            f"POST {tickets_url} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Authorization: {writer.headers['authorization']}\r\n"
            "Content-Type: application/json\r\n".encode()
            + body
        )
        raw.shutdown(socket.SHUT_WR)
        answer = _read_all(raw)

    # A server may also hang up on who has hung up.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert writer.get(tickets_url).json()["count"] == 0


def test_a_client_that_stops_sending_holds_no_lock(
    service: Service, writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    url = f"{tickets_url}/{make_ticket(message='Hi')['id']}"
    with closing(socket.create_connection(("127.0.0.1", service.port), timeout=30)) as raw:
        raw.sendall(
            f"PATCH {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
            f"Authorization: {writer.headers['authorization']}\r\n"
            "Content-Type: application/json\r\n\r\n{".encode()
        )
        started = time.monotonic()
        for _ in range(20):
            assert (
                _request(service, "PATCH", url, b'{"ai_resolved": true}', writer.headers)[0] == 200
            )

    # Whoever waits for a lock waits as long as a statement may take, which is 15 seconds.
    assert time.monotonic() - started < 10


def test_ten_megabytes_are_refused(service: Service, writer: ApiClient, tickets_url: str) -> None:
    body = b'{"message": "' + b"x" * 10_000_000 + b'"}'

    status, answer = _request(service, "POST", tickets_url, body, writer.headers)

    assert (status, answer["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("path", ["%00", "%FF%FE", "%ED%A0%80", "a" * 4000, "%2e%2e", "1%0A"])
def test_a_strange_path_is_a_404(
    service: Service, writer: ApiClient, tickets_url: str, path: str
) -> None:
    status, body = _request(service, "GET", f"{tickets_url}/{path}", None, writer.headers)

    assert (status, body["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "query", ["distinct_ids=%00", "status=%FF", "cursor=%ED%A0%80", "limit=%D9%A3"]
)
def test_a_strange_query_is_a_400(
    service: Service, writer: ApiClient, tickets_url: str, query: str
) -> None:
    status, body = _request(service, "GET", f"{tickets_url}?{query}", None, writer.headers)

    assert (status, body["attr"]) == (400, query.split("=")[0])


def test_a_header_that_is_not_ascii_is_no_key(service: Service, tickets_url: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", service.port), timeout=30)) as raw:
        raw.sendall(
            f"GET {tickets_url} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".encode()
            + b"Authorization: Bearer \xff\xfe\r\n\r\n"
        )
        answer = _read_all(raw)

    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))


def test_head_has_the_headers_and_no_body(
    service: Service, reader: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    url = f"{tickets_url}/{make_ticket(message='Hi')['id']}"
    with closing(service.connect()) as client:
        client.request("HEAD", url, headers=reader.headers)
        response = client.getresponse()

        assert (response.status, response.read()) == (200, b"")
        # The connection is in step: the next answer is the next request's.
        client.request("GET", url, headers=reader.headers)
        assert json.loads(client.getresponse().read())["unread_team_count"] == 0


def test_a_foreign_host_is_refused_before_it_gets_into_a_link(
    service: Service, reader: ApiClient, tickets_url: str
) -> None:
    headers = {**reader.headers, "Host": "evil.example"}

    status, body = _request(service, "GET", tickets_url, None, headers)

    assert (status, body["type"]) == (400, "invalid_request")


def test_a_health_check_needs_no_name_of_the_service() -> None:
    """The image's own check, as it stands in the Dockerfile."""
    check = re.search(r'"(import os.*)"\]', DOCKERFILE.read_text())
    assert check
    program = check[1].replace('\\"', '"')
    with running_service(ALLOWED_HOSTS="support.example.com") as service:
        environment = {**os.environ, "PORT": str(service.port)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=30)

    assert done.returncode == 0


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_health_check_is_only_read(service: Service, path: str) -> None:
    with closing(service.connect()) as client:
        client.request("POST", path)
        assert client.getresponse().status == 405


def test_a_path_can_not_forge_a_log_line(service: Service) -> None:
    with closing(service.connect()) as client:
        client.request("GET", "/api/x%0aforged%1b[31m")
        client.getresponse().read()

    assert "GET /api/... 404" in service.log.read_text()
    assert "forged" not in service.log.read_text()


def test_a_request_in_flight_is_finished_when_the_server_stops(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    url = f"{tickets_url}/{ticket['id']}"
    with running_service() as service:
        with transaction.atomic():
            Ticket.objects.select_for_update().get(pk=ticket["id"])
            in_flight = InBackground(
                _request, service, "PATCH", url, b'{"priority": "high"}', writer.headers
            )
            wait_until_blocked()
            service.process.send_signal(signal.SIGTERM)
            _wait_until_refused(service)
        with in_flight:
            status, body = in_flight.result()

    assert (status, body["priority"]) == (200, "high")


def test_log_lines_name_the_request_and_no_secret(
    service: Service, writer: ApiClient, project: Project, tickets_url: str
) -> None:
    key = writer.headers["authorization"].split()[1]
    body = {"message": "My PIN is swordfish", "email_from": "jane@example.com"}
    headers = {**writer.headers, "X-Request-ID": f"tour-{project.pk}"}
    _request(service, "POST", tickets_url, json.dumps(body).encode(), headers)
    _request(service, "GET", f"{tickets_url}?distinct_ids=jane@example.com", None, headers)
    _request(service, "GET", f"/api/projects/{key}/conversations/tickets", None, headers)

    log = service.log.read_text()

    lines = [json.loads(line) for line in log.splitlines() if f"tour-{project.pk}" in line]
    assert [line["message"] for line in lines][:2] == [
        f"POST {tickets_url} 201",
        f"GET {tickets_url} 200",
    ]
    assert not [secret for secret in (key, "swordfish", "jane@example.com") if secret in log]


def _request(
    service: Service, method: str, path: str, body: Any, headers: dict[str, str]
) -> tuple[int, Any]:
    """The answer's status and JSON. An iterator as the body is sent in chunks."""
    with closing(service.connect()) as client:
        headers = {"Content-Type": "application/json", **headers}
        # The server may answer, and close, without having read it all.
        with suppress(BrokenPipeError, ConnectionResetError):
            client.request(method, path, body=body, headers=headers)
        response = client.getresponse()
        return response.status, json.loads(response.read())


def _read_all(raw: socket.socket) -> bytes:
    answer = b""
    while piece := raw.recv(65536):
        answer += piece
    return answer


def _wait_until_refused(service: Service) -> None:
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", service.port), timeout=1).close()
        except OSError:
            return
        time.sleep(0.01)
    raise AssertionError("The server goes on accepting.")
