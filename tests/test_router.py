"""The one port of `make run`, in front of a web server and a stream process."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.service import Service, running_router, running_service, running_stream
from tests.stream import Stream, stream_url_of

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def router(database: None) -> Iterator[Service]:
    behind = {"TRUSTED_PROXIES": "127.0.0.1"}
    with (
        running_service(**behind) as web,
        running_stream(**behind) as stream,
        running_router(web, stream) as router,
    ):
        yield router


def test_streams_and_all_else_have_one_port(
    router: Service, reader: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    with Stream(router, stream_url_of(project), reader) as stream:
        assert (stream.status, stream.count()) == (200, 0)
        make_ticket(message="Hi")
        assert stream.event()["type"] == "ticket.created"


def test_a_connection_may_ask_for_a_stream_after_something_else(
    router: Service, reader: ApiClient, project: Project, unread_count_url: str
) -> None:
    with closing(router.connect()) as client:
        for url in (unread_count_url, unread_count_url):
            client.request("GET", url, headers=reader.headers)
            assert json.load(client.getresponse()) == {"count": 0}
        client.request("GET", stream_url_of(project), headers=reader.headers)
        response = client.getresponse()

        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.readline() == b"event: unread_count\n"


def test_a_refused_stream_ends_the_connection(router: Service, project: Project) -> None:
    with Stream(router, stream_url_of(project), ApiClient()) as stream:
        assert stream.json()["code"] == "not_authenticated"
        assert stream.status == 401
        assert stream.response.headers["Connection"] == "close"


@pytest.mark.parametrize("kind", ["length", "chunks"])
def test_bodies_are_passed_on_in_pieces(
    router: Service, writer: ApiClient, project: Project, tickets_url: str, kind: str
) -> None:
    # A body that looks like a request for a stream is none.
    text = f"GET {stream_url_of(project)} HTTP/1.1\r\n\r\n" + "x" * 9_000
    body = json.dumps({"message": text}).encode()
    pieces = [body[:12], body[12:5000], body[5000:]]
    headers = {**writer.headers, **JSON}
    if kind == "length":
        headers["Content-Length"] = str(len(body))
    with closing(router.connect()) as client:
        for _ in range(2):
            client.request("POST", tickets_url, iter(pieces), headers)
            response = client.getresponse()
            assert response.status == 201
            assert json.load(response)["message_count"] == 1


def test_what_comes_byte_by_byte_is_understood(
    router: Service, reader: ApiClient, unread_count_url: str
) -> None:
    request = (
        f"GET {unread_count_url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: {reader.headers['authorization']}\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", router.port), timeout=30)) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request.encode():
            raw.sendall(bytes([byte]))
        answer = b"".join(iter(lambda: raw.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b'{"count":0}')


def test_the_servers_believe_the_router_and_not_its_clients(
    router: Service, reader: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket()
    make_ticket()
    headers = {**reader.headers, "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.1"}
    with closing(router.connect()) as client:
        client.request("GET", f"{tickets_url}?limit=1", headers=headers)
        page = json.load(client.getresponse())

    assert page["next"].startswith(f"http://127.0.0.1:{router.port}/")


def test_what_follows_a_chunked_body_is_no_request(
    router: Service, writer: ApiClient, tickets_url: str
) -> None:
    """It is passed on unseen, and could claim to come from anybody."""
    key = writer.headers["authorization"]
    first = (
        f"POST {tickets_url} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )
    forged = (
        f"GET {tickets_url}?limit=1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\n"
        "X-Forwarded-Proto: https\r\n\r\n"
    )

    answer = sent_raw(router, (first + forged).encode())

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 201")


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n"]
)
def test_a_head_with_bare_line_feeds_is_refused(router: Service, head: bytes) -> None:
    assert sent_raw(router, head) == b""


def sent_raw(router: Service, data: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=20) as raw:
        raw.sendall(data)
        return b"".join(iter(lambda: raw.recv(65536), b""))


def test_a_large_answer_waits_for_who_reads_slowly(
    router: Service, writer: ApiClient, reader: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    large = {"content": "Hi", "rich_content": {"text": "x" * 90_000}}
    for _ in range(40):
        assert writer.post(f"{tickets_url}/{ticket['id']}/messages", large).status_code == 201
    with closing(router.connect()) as client:
        client.request("GET", f"{tickets_url}/{ticket['id']}/messages", headers=reader.headers)
        response = client.getresponse()
        pieces = list(iter(lambda: response.read(1000), b""))

    assert len(json.loads(b"".join(pieces))["results"]) == 40
