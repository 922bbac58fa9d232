"""What no client library sends: each is a 4xx in the API's shape, or does what it says.

Bodies go to every operation of the schema that takes one; requests as bytes go to the real server.
What the server refuses by itself, before the application sees it, is a 4xx without a body.
"""

import gzip
import itertools
import json
import re
import socket
import sys
import unicodedata
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from conversations.models import Ticket
from projects.models import Project
from tests.api import SCHEMA_FILE, ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import failures
from tests.service import Service

MIB = 1024 * 1024
NOBODY = "01990a3b-1c2d-7a10-8e4f-000000000000"
EVERY_CATEGORY = {
    unicodedata.category(chr(code)): chr(code)
    for code in (*range(0xE000, sys.maxunicode, 97), *reversed(range(1, 0xD800)))
}


# --- Bodies, to everything that takes one ---


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    fields: tuple[str, ...]

    @property
    def is_of_the_widget(self) -> bool:
        return self.name.startswith("widget_")


def _taking_bodies() -> list[Operation]:
    document = yaml.safe_load(SCHEMA_FILE.read_text())

    def fields(operation: dict[str, Any]) -> tuple[str, ...]:
        body = operation.get("requestBody", {"content": {"application/json": {"schema": {}}}})
        name = body["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
        return tuple(document["components"]["schemas"].get(name, {}).get("properties", ()))

    return [
        Operation(operation["operationId"], method.upper(), path, fields(operation))
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("post", "put", "patch")
    ]


TAKING_BODIES = _taking_bodies()
BODIES: dict[str, tuple[bytes, int]] = {
    "ten thousand levels": (b"[" * 10_000 + b"]" * 10_000, 400),
    "a hundred thousand digits": (b'{"a": ' + b"9" * 100_000 + b"}", 400),
    "beyond 64 bits": (b'{"a": 9223372036854775808}', 400),
    "beyond doubles": (b'{"a": 1e999}', 400),
    "NaN": (b'{"a": NaN}', 400),
    "a name twice": (b'{"a": 1, "a": 2}', 400),
    "NUL": (rb'{"a": "\u0000"}', 400),
    "a lone surrogate": (rb'{"a": "\ud800"}', 400),
    "no UTF-8": (b'{"a": "\xff"}', 400),
    "gzip": (gzip.compress(b"{}"), 400),
    "a list": (b"[{}]", 400),
    "null": (b"null", 400),
    "cut off": (b'{"a": ', 400),
    "too large": (b'{"a": "' + b"x" * MIB + b'"}', 413),
    "many names": (json.dumps(dict.fromkeys(map(str, range(5_000)))).encode(), 400),
}


@pytest.fixture
def ask(project: Project, client_for: ClientFor, make_ticket: MakeTicket) -> Any:
    """Sends a body to an operation, whose path names what is there as far as it can."""
    client = client_for(project, "*")
    ticket = make_ticket(message="Hi")
    message = client.post(
        f"/api/projects/{project.pk}/conversations/tickets/1/messages", {"content": "Hello"}
    ).json()
    person = client.post(
        f"/api/projects/{project.pk}/persons", {"distinct_ids": [f"user_{project.pk}"]}
    ).json()
    place = {
        "project_id": str(project.pk),
        "id": "1",
        "ticket_id": ticket["id"],
        "message_id": message["id"],
        "person_id": person["id"],
    }

    def send(operation: Operation, body: bytes, **headers: Any) -> Any:
        path = re.sub(r"{(\w+)}", lambda found: place.get(found[1], NOBODY), operation.path)
        if operation.is_of_the_widget:
            headers["x-conversations-token"] = project.public_token
        return client.request(operation.method, path, body, **headers)

    return send


@pytest.mark.parametrize("operation", TAKING_BODIES, ids=lambda operation: operation.name)
def test_an_odd_body_is_refused_by_every_operation(ask: Any, operation: Operation) -> None:
    for name, (body, status) in BODIES.items():
        response = ask(operation, body)
        # The object that the path names may not be there, and is looked for first.
        assert response.status_code in (status, 404), (name, response.content)
    for field, text in itertools.product(operation.fields, (r"\u0000", r"\ud800")):
        response = ask(operation, b'{"%b": "%b"}' % (field.encode(), text.encode()))
        assert response.status_code in (400, 404), (field, response.content)
    packed = ask(operation, b'{"a": 1}', content_encoding="gzip")
    assert packed.status_code in (415, 404), packed.content


@pytest.mark.parametrize("encoding", ["GZIP", "br", "deflate, gzip", "identity, x"])
def test_a_body_that_says_it_is_packed_is_a_415(
    writer: ApiClient, tickets_url: str, encoding: str
) -> None:
    response = writer.request("POST", tickets_url, {}, content_encoding=encoding)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_a_body_may_say_that_it_is_not_packed(writer: ApiClient, tickets_url: str) -> None:
    response = writer.request("POST", tickets_url, {}, content_encoding="identity")

    assert response.status_code == 201


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", "none-such", '"'])
def test_json_is_utf_8_whatever_its_charset_says(
    writer: ApiClient, tickets_url: str, charset: str
) -> None:
    content_type = f"application/json; charset={charset}"

    read = writer.request(
        "POST", tickets_url, '{"escalation_reason": "é"}'.encode(), content_type=content_type
    )
    assert (read.status_code, read.json()["escalation_reason"]) == (201, "é")
    bad = '{"escalation_reason": "é"}'.encode("latin-1")
    assert writer.request("POST", tickets_url, bad, content_type=content_type).status_code == 400


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/vnd.api+json",
        "application/json-patch+json",
        "application",
        ";",
    ],
)
def test_another_media_type_is_a_415(
    writer: ApiClient, tickets_url: str, content_type: str
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'

    response = writer.request(
        "POST", tickets_url, part * 10_000 + b"--x--\r\n", content_type=content_type
    )

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


# --- Times ---

TIMES = [
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "2026-01-01T00:00:00+25:00",
    "2026-01-01T00:00:00-99:99",
    "2026-01-01T00:00:00+23:60",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T24:00:01Z",
    "2026-01-01T00:00:61Z",
    "2026-01-01T00:00:00[Europe/Berlin]",
    "٢٠٢٦-01-01T00:00:00Z",
    "2026-01-01T00:00:00Z" + "0" * 100_000,
    "now",
    "",
    " ",
]


@pytest.mark.parametrize("field", ["sla_due_at", "snoozed_until"])
def test_a_time_that_is_none_is_a_400(writer: ApiClient, tickets_url: str, field: str) -> None:
    for moment in TIMES:
        response = writer.post(tickets_url, {field: moment})

        assert response.status_code == 400, moment[:50]
        assert {attr for _, attr in failures(response)} == {field}


@pytest.mark.parametrize("parameter", ["date_from", "date_to", "created_from", "created_to"])
def test_a_bound_that_is_none_is_a_400(reader: ApiClient, tickets_url: str, parameter: str) -> None:
    for moment in TIMES:
        response = reader.get(tickets_url, **{parameter: moment[:5_000]})

        assert response.status_code == 400, moment[:50]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_the_first_and_the_last_moment_are_times(
    writer: ApiClient, tickets_url: str, moment: str
) -> None:
    created = writer.post(tickets_url, {"sla_due_at": moment})

    assert created.status_code == 201
    assert writer.get(f"{tickets_url}/1").json()["sla_due_at"][:19] == moment[:19]
    assert writer.get(tickets_url, date_from=moment).status_code == 200


# --- Every kind of character ---


def test_every_general_category_is_among_the_characters() -> None:
    # Cs, the surrogates, are no characters; `test_input` has them.
    assert len(EVERY_CATEGORY) == 29


@pytest.mark.parametrize("first", "CLMNPSZ")
def test_any_character_is_kept_and_searched_for(
    writer: ApiClient, tickets_url: str, first: str
) -> None:
    characters = (EVERY_CATEGORY[name] for name in sorted(EVERY_CATEGORY) if name[0] == first)
    text = f"a{'b'.join(characters)}b"

    created = writer.post(
        tickets_url,
        {
            "distinct_id": text,
            "message": text,
            "email_subject": text,
            "escalation_reason": text,
            "session_id": text,
            "tags": [text],
            "anonymous_traits": {"name": text, text: text},
            "session_context": {text: [text]},
        },
    )

    assert created.status_code == 201, created.content
    ticket = created.json()
    assert ticket["email_subject"] == ticket["escalation_reason"] == ticket["distinct_id"] == text
    assert ticket["anonymous_traits"] == {"name": text, text: text}
    for parameter in ("search", "distinct_ids", "tags", "emails", "channel_detail"):
        found = writer.get(tickets_url, **{parameter: json.dumps([text])})
        assert found.status_code == 200, (parameter, found.content)
    assert writer.get(tickets_url, search=text).json()["count"] == 1


# --- The request itself ---


@dataclass(frozen=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    @property
    def is_of_the_api(self) -> bool:
        return b"application/json" in self.head.lower() and b'"request_id"' in self.body


@dataclass(frozen=True)
class Wire:
    """Requests as bytes, each on a connection of its own."""

    service: Service
    path: bytes
    authorization: bytes

    def send(self, request: bytes) -> Answer:
        with closing(socket.create_connection(("127.0.0.1", self.service.port), 30)) as raw:
            answer = b""
            # A server may answer, and hang up, before it has read everything.
            with suppress(ConnectionResetError, BrokenPipeError):
                raw.sendall(request)
            with suppress(ConnectionResetError):
                while piece := raw.recv(65536):
                    answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        assert found, answer[:100]
        return Answer(int(found[1]), head, body)

    def request(
        self,
        headers: bytes = b"",
        body: bytes = b"",
        *,
        method: bytes = b"GET",
        target: bytes | None = None,
        version: bytes = b"HTTP/1.1",
        host: bytes = b"Host: 127.0.0.1\r\n",
    ) -> bytes:
        line = b"%b %b %b\r\n" % (method, self.path if target is None else target, version)
        fixed = host + self.authorization + b"Connection: close\r\n"
        return line + fixed + headers + b"\r\n" + body

    def post(self, headers: bytes, body: bytes) -> Answer:
        return self.send(
            self.request(b"Content-Type: application/json\r\n" + headers, body, method=b"POST")
        )


@pytest.fixture
def wire(service: Service, writer: ApiClient, tickets_url: str) -> Wire:
    authorization = f"Authorization: {writer.headers['authorization']}\r\n".encode()
    return Wire(service, tickets_url.encode(), authorization)


def many(line: bytes, times: int) -> bytes:
    return b"".join(line % number for number in range(times))


REFUSED_BY_THE_SERVER: dict[str, tuple[dict[str, Any], set[int]]] = {
    "a long path": ({"target": b"/api/" + b"x" * 70_000}, {414, 431}),
    "a long query": ({"target": b"/api/schema?a=" + b"x" * MIB}, {414, 431}),
    "a header of 1 MB": ({"headers": b"X-A: " + b"x" * 1_000_000 + b"\r\n"}, {431}),
    "a header of 150 KB": ({"headers": b"X-A: " + b"x" * 150_000 + b"\r\n"}, {431}),
    "very many headers": ({"headers": many(b"X-%d: a\r\n", 1000)}, {431}),
    "a megabyte of cookies": ({"headers": b"Cookie: " + many(b"c%d=v;", 100_000)}, {431}),
    "a header with NUL": ({"headers": b"X-A: a\x00b\r\n"}, {400}),
    "a folded header": ({"headers": b"X-A: a\r\n b\r\n"}, {400}),
    "a header's name with a space": ({"headers": b"X A: a\r\n"}, {400}),
    "a header without a colon": ({"headers": b"nothing\r\n"}, {400}),
    "bytes in the path": ({"target": b"/api/\xff"}, {400}),
    "bytes in the query": ({"target": b"/api/schema?a=\xff"}, {400}),
    "a space in the target": ({"target": b"/api/a b"}, {400}),
    "no target": ({"target": b""}, {400}),
    "another version": ({"version": b"HTTP/9.9"}, {400}),
    "a length below zero": ({"method": b"POST", "headers": b"Content-Length: -1\r\n"}, {400}),
    "a length with a sign": ({"method": b"POST", "headers": b"Content-Length: +2\r\n"}, {400}),
    "a length that is none": ({"method": b"POST", "headers": b"Content-Length: two\r\n"}, {400}),
    "an endless length": (
        {"method": b"POST", "headers": b"Content-Length: " + b"9" * 40 + b"\r\n"},
        {400},
    ),
    "two lengths": (
        {"method": b"POST", "headers": b"Content-Length: 2\r\nContent-Length: 3\r\n"},
        {400},
    ),
    "a coding that is not chunked": (
        {"method": b"POST", "headers": b"Transfer-Encoding: rubbish\r\n"},
        {400},
    ),
}


@pytest.mark.parametrize("name", REFUSED_BY_THE_SERVER)
def test_what_is_no_request_of_ours_is_refused_by_the_server(wire: Wire, name: str) -> None:
    parts, statuses = REFUSED_BY_THE_SERVER[name]

    assert wire.send(wire.request(**parts)).status in statuses


def test_what_is_no_http_at_all_is_refused(wire: Wire) -> None:
    assert wire.send(b"\x16\x03\x01\x02\x00\x01" + b"\xff" * 500 + b"\r\n\r\n").status == 400


REFUSED_BY_THE_API: dict[str, tuple[dict[str, Any], int]] = {
    "no host": ({"host": b""}, 400),
    "two hosts": ({"host": b"Host: 127.0.0.1\r\nHost: evil.example\r\n"}, 400),
    "an empty host": ({"host": b"Host: \r\n"}, 400),
    "a host of rubbish": ({"host": b"Host: \xff/..@:\r\n"}, 400),
    "no host in HTTP/1.0": ({"host": b"", "version": b"HTTP/1.0"}, 400),
    "a foreign host in HTTP/1.0": ({"host": b"Host: a.b\r\n", "version": b"HTTP/1.0"}, 400),
    "two keys": ({"headers": b"Authorization: Bearer x\r\n"}, 401),
    "a strange method": ({"method": b"F" * 1000}, 405),
    "TRACE": ({"method": b"TRACE"}, 405),
    "dots": ({"target": b"/api/../api/projects/@current"}, 404),
    "half an escape": ({"target": b"/api/%"}, 404),
    "an escape of no digits": ({"target": b"/api/%zz%u0041"}, 404),
    "an overlong escape": ({"target": b"/api/%c0%af"}, 404),
    "a semicolon": ({"target": b"/api/schema;x=1"}, 404),
}


@pytest.mark.parametrize("name", REFUSED_BY_THE_API)
def test_a_strange_request_is_refused_in_the_apis_shape(wire: Wire, name: str) -> None:
    parts, status = REFUSED_BY_THE_API[name]

    answer = wire.send(wire.request(**parts))

    assert (answer.status, answer.is_of_the_api) == (status, True), answer


@pytest.mark.parametrize(
    "query",
    [
        b"%00=1",
        b"%ff=1",
        b"%ed%a0%80=1",
        b"search=%ff",
        b"search=%00",
        b"search=a&search=b",
        b"search=" + b"x" * 50_000,
        b"=",
        b"&".join([b"status=open"] * 1001),
        b"&".join([b"a"] * 900),
        b"limit=%D9%A3",
        b"offset=1_000",
        b"cursor=" + b"%f0%9f%98%80" * 1000,
        b"tags=" + b"[" * 20_000,
        b"ids=" + b"," * 20_000,
        b"assignee=user:99999999999999999999",
    ],
    ids=lambda query: query[:20].decode(),
)
def test_a_strange_query_is_a_400_in_the_apis_shape(wire: Wire, query: bytes) -> None:
    answer = wire.send(wire.request(target=wire.path + b"?" + query))

    assert (answer.status, answer.is_of_the_api) == (400, True), answer


@pytest.mark.parametrize(
    "headers",
    [
        b"X-Request-ID: " + b"a" * 10_000,
        b"X-Request-ID: \xff",
        b"User-Agent: " + b"\xff" * 10_000,
        b"Accept: " + b"a/b;q=x," * 5_000,
        b"Accept-Language: " + b"a-b;q=1," * 5_000,
        b"Cookie: " + b"c=v; " * 10_000,
        b"Cookie: sessionid=\xff; csrftoken=%00;;==",
        b"If-None-Match: " + b'"a",' * 10_000,
        b"If-None-Match: \xff",
        b"Referer: " + b"x" * 50_000,
        b"Range: bytes=9-1",
        b"Expect: nothing",
        b"Upgrade: websocket",
        b"X-Forwarded-For: " + b"1.1.1.1," * 5_000,
        b"X-Forwarded-Host: evil.example",
    ],
    ids=lambda header: header[:24].decode(errors="replace"),
)
def test_a_strange_header_changes_nothing(wire: Wire, headers: bytes) -> None:
    answer = wire.send(wire.request(headers + b"\r\n"))

    assert answer.status == 200
    assert b"evil.example" not in answer.head + answer.body
    assert len(answer.head) < 2_000


@pytest.mark.parametrize("key", [b"a" * 256, b"\xff", b" ", b"a\tb"])
def test_an_idempotency_key_that_is_none_is_a_400(wire: Wire, key: bytes) -> None:
    answer = wire.post(b"Content-Length: 2\r\nIdempotency-Key: %b\r\n" % key, b"{}")

    assert (answer.status, answer.is_of_the_api) == (400, True)


@pytest.mark.parametrize("target", ["http://127.0.0.1{}", "http://evil.example{}", "{}#part"])
def test_a_target_with_more_than_a_path_is_the_same_path(wire: Wire, target: str) -> None:
    answer = wire.send(wire.request(target=target.format(wire.path.decode()).encode()))

    assert answer.status == 200
    assert b"evil.example" not in answer.head + answer.body


def test_http_1_0_is_answered(wire: Wire) -> None:
    answer = wire.send(wire.request(version=b"HTTP/1.0"))

    assert answer.status == 200
    assert json.loads(answer.body)["count"] == 0


def test_requests_in_a_pipeline_are_answered_in_their_order(wire: Wire) -> None:
    paths = [wire.path + b"?limit=1", wire.path + b"/1", wire.path + b"?limit=0"]
    first, second, third = (wire.request(target=path) for path in paths)
    alive = (request.replace(b"Connection: close\r\n", b"") for request in (first, second))

    answer = wire.send(b"".join(alive) + third)

    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", answer.head + answer.body)
    assert statuses == [b"200", b"404", b"400"]


def test_what_follows_a_body_is_no_part_of_it(wire: Wire, project: Project) -> None:
    answer = wire.post(b"Content-Length: 2\r\n", b'{}{"status": "resolved"}')

    assert answer.status == 201
    assert Ticket.objects.in_project(project.pk).get().status == "new"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (b"Content-Length: 10000000\r\n", b"x" * 10_000_000, 413),
        (b"Content-Length: 10000000\r\n", b"x" * (MIB + 1), 413),
        (b"Transfer-Encoding: chunked\r\n", b"989680\r\n" + b"x" * 10_000_000 + b"\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n", b"1\r\n{\r\n" * 70_000 + b"0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", b"2;" + b"x" * 100_000 + b"\r\n{}\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", b"FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n", 415),
        (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"{}", 415),
    ],
    ids=["length", "lying length", "chunk", "tiny chunks", "extension", "size", "coding", "gzip"],
)
def test_a_strange_body_on_the_wire_is_refused(
    wire: Wire, project: Project, headers: bytes, body: bytes, status: int
) -> None:
    answer = wire.post(headers, body)

    assert (answer.status, answer.is_of_the_api) == (status, True), answer.head
    assert not Ticket.objects.in_project(project.pk).exists()


def test_a_log_line_has_a_bound(wire: Wire, service: Service) -> None:
    wire.send(wire.request(target=b"/api/" + b"projects/" * 6_000, method=b"M" * 1000))

    lines = [line for line in service.log.read_text().splitlines() if "MMMM" in line]

    assert lines
    assert all(len(line) < 1_000 for line in lines)


# --- Bodies where there is no schema ---

FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [
        *((path, FORM, 413) for path in ("/login", "/admin/login/")),
        # Read as far as a body may go, where its parts have no end and no CSRF token yet.
        *((path, PARTS, 403) for path in ("/login", "/admin/login/")),
        *((path, FORM, 413) for path in ("/e/", "/i/v0/e/")),
        # Whatever is asked, there are no feature flags: nobody reads it.
        ("/flags/", "application/json", 200),
    ],
)
def test_a_large_body_is_no_burden_anywhere(
    service: Service, path: str, content_type: str, status: int
) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * (2 * MIB)
    headers = {"Content-Type": content_type, "Cookie": f"csrftoken={'x' * 32}"}
    with closing(service.connect()) as client:
        with suppress(BrokenPipeError, ConnectionResetError):
            client.request("POST", path, body, headers)
        assert client.getresponse().status == status
