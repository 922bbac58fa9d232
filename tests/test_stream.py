"""The stream, from a process of its own: what it tells, to whom, and until when."""

import json
import signal
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import psutil
import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from conversations.events.models import Event
from projects.models import ApiKey, Membership, Project, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.events import events_of, settle
from tests.service import Service, running_stream
from tests.stream import Stream, Told, stream_url_of
from tests.threads import InBackground, at_once

KEEPALIVE = 0.2
CUSTOMER_MESSAGE = {"author_type": "customer", "content": "Hi"}
Listen = Callable[..., Stream]


@pytest.fixture(scope="session")
def stream_service(database: None) -> Iterator[Service]:
    with running_stream(STREAM_KEEPALIVE=str(KEEPALIVE)) as running:
        yield running


@pytest.fixture
def listen(stream_service: Service, project: Project, reader: ApiClient) -> Listen:
    """Opens the project's stream: `with listen() as stream`."""

    def listen(caller: ApiClient = reader, url: str = stream_url_of(project), **how: Any) -> Stream:
        return Stream(stream_service, url, caller, **how)

    return listen


# --- What it tells -----------------------------------------------------------


def test_it_tells_the_count_at_once_and_events_as_they_happen(
    listen: Listen, reader: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Before")
    settle()
    with listen() as stream:
        assert stream.status == 200
        assert stream.response.headers["Content-Type"] == "text/event-stream"
        assert stream.response.headers["X-Request-ID"]
        assert stream.response.headers["X-Content-Type-Options"] == "nosniff"
        assert stream.next() == _count(1)

        make_ticket(message="Hi")
        first = [stream.event(), stream.event()]

    assert [event["type"] for event in first] == ["ticket.created", "message.created"]
    assert first == events_of(reader, project)[2:]


def test_it_tells_the_count_whenever_it_changes(
    listen: Listen, reader: ApiClient, writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    url = f"{tickets_url}/{ticket['id']}"
    with listen() as stream:
        assert stream.count() == 0
        writer.post(f"{url}/messages", CUSTOMER_MESSAGE)
        assert stream.count() == 1
        # Reading is no event.
        reader.get(url)
        assert stream.count() == 0
        writer.post(f"{url}/mark_unread")
        assert stream.count() == 1
        writer.post(
            f"{tickets_url}/bulk_update_status", {"ids": [ticket["id"]], "status": "resolved"}
        )
        assert stream.count() == 0


def test_the_count_is_nothing_where_conversations_are_switched_off(
    listen: Listen, project: Project, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Hi")
    with listen() as stream:
        assert stream.count() == 1
        project.conversations_enabled = False
        project.save()
        assert stream.count() == 0


def test_a_comment_shows_that_it_lives(listen: Listen) -> None:
    with listen() as stream:
        told = stream.told()
        assert next(told).event == "unread_count"
        began = time.monotonic()
        assert [next(told).event for _ in range(4)] == [None] * 4

    assert time.monotonic() - began >= 2 * KEEPALIVE


def test_what_happens_next_door_is_not_told(
    listen: Listen, client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket
) -> None:
    with listen() as stream:
        url = f"/api/projects/{neighbour.pk}/conversations/tickets"
        client_for(neighbour, "*").post(url, {"message": "Psst"})
        ticket = make_ticket()

        assert stream.event()["ticket_id"] == ticket["id"]


def test_an_event_comes_when_the_transactions_beside_it_have_ended(
    listen: Listen, make_ticket: MakeTicket
) -> None:
    with listen() as stream:
        assert stream.count() == 0
        with transaction.atomic():
            Project.objects.create(name="Takes its time")
            with InBackground(lambda: make_ticket(message="Hi")) as writing:
                writing.result()
            # The count waits for nobody.
            assert stream.next() == _count(1)

        assert stream.event()["type"] == "ticket.created"


# --- Where it begins ---------------------------------------------------------


def test_it_goes_on_behind_the_last_event_id(
    listen: Listen, reader: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    for _ in range(130):
        make_ticket()
    kept = events_of(reader, project, limit=1000)
    with listen(last_event_id=kept[2]["id"]) as stream:
        assert stream.next() == _count(0)
        caught_up = [stream.event() for _ in kept[3:]]
        make_ticket()
        last = stream.event()

    assert caught_up == kept[3:]
    assert last == events_of(reader, project, limit=1000)[-1]


def test_who_comes_back_a_hundred_times_has_every_event_once(
    listen: Listen,
    reader: ApiClient,
    writer: ApiClient,
    project: Project,
    tickets_url: str,
    make_ticket: MakeTicket,
) -> None:
    tickets = [make_ticket() for _ in range(4)]
    last = events_of(reader, project)[-1]["id"]

    def change(ticket: Any) -> None:
        for number in range(50):
            changes = {"priority": ["low", "high"][number % 2]}
            assert writer.patch(f"{tickets_url}/{ticket['id']}", changes).status_code == 200

    def change_all() -> None:
        at_once(*[lambda ticket=ticket: change(ticket) for ticket in tickets])

    seen: list[str] = []
    comings = 0
    with InBackground(change_all) as changing:
        while len(seen) < 200:
            with listen(last_event_id=last) as stream:
                for _ in range(min(1 + comings % 3, 200 - len(seen))):
                    last = stream.event()["id"]
                    seen.append(last)
            comings += 1
        changing.result()

    assert comings >= 100
    assert seen == [event["id"] for event in events_of(reader, project, limit=1000)[4:]]


@pytest.mark.parametrize(
    ("last_event_id", "code"),
    [
        ("nonsense", "invalid_input"),
        ("", "invalid_input"),
        ("6d1c2a524a5b4f6a9d590b7d4c1f3e21", "invalid_input"),
        ("{6d1c2a52-4a5b-4f6a-9d59-0b7d4c1f3e21}", "invalid_input"),
        ("6d1c2a52-4a5b-4f6a-9d59-0b7d4c1f3e21", "does_not_exist"),
    ],
)
def test_an_id_that_nobody_has_is_refused(listen: Listen, last_event_id: str, code: str) -> None:
    with listen(last_event_id=last_event_id, **{"X-Request-ID": "mine"}) as stream:
        body = stream.json()

    assert (stream.status, body["type"], body["code"]) == (400, "validation_error", code)
    assert (body["attr"], body["request_id"]) == ("Last-Event-ID", "mine")
    assert stream.response.headers["X-Request-ID"] == "mine"


def test_an_id_of_another_project_is_one_that_nobody_has(
    listen: Listen, client_for: ClientFor, neighbour: Project
) -> None:
    url = f"/api/projects/{neighbour.pk}/conversations/tickets"
    client_for(neighbour, "*").post(url, {})

    with listen(last_event_id=str(Event.objects.get(project=neighbour).pk)) as stream:
        assert stream.status == 400


def test_an_id_that_is_no_longer_kept_is_gone(listen: Listen) -> None:
    # Of version 7, made in January 2020.
    with listen(last_event_id="016f5e66-e800-7000-8000-000000000000") as stream:
        assert (stream.status, stream.json()["code"]) == (410, "cursor_expired")


def test_it_follows_a_place_whose_event_is_no_longer_kept(
    listen: Listen, project: Project, make_ticket: MakeTicket
) -> None:
    with listen() as stream:
        make_ticket()
        stream.event()
        Event.objects.filter(project=project).delete()
        ticket = make_ticket()

        assert stream.event()["ticket_id"] == ticket["id"]


# --- Who may -----------------------------------------------------------------


def test_it_has_every_spelling_of_its_path(listen: Listen, project: Project) -> None:
    for whose in (f"projects/{project.pk}", "projects/@current", f"environments/{project.pk}"):
        for end in ("", "/"):
            with listen(url=f"/api/{whose}/conversations/stream{end}") as stream:
                assert (stream.status, stream.count()) == (200, 0)


def test_who_may_not_is_told_so_in_the_shape_of_the_api(
    listen: Listen, client_for: ClientFor, project: Project, neighbour: Project
) -> None:
    refused = [
        (ApiClient(), 401, "not_authenticated"),
        (ApiClient("cvk_nonsense"), 401, "authentication_failed"),
        (client_for(project, "person:read"), 403, "permission_denied"),
        (client_for(neighbour, "*"), 403, "permission_denied"),
    ]

    for caller, status, code in refused:
        with listen(caller) as stream:
            body = stream.json()
        assert (stream.status, body["type"], body["code"]) == (status, "authentication_error", code)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_only_read(listen: Listen, method: str) -> None:
    with listen(method=method) as stream:
        assert stream.status == 405
        assert stream.response.headers["Allow"] == "GET"


def test_an_unknown_parameter_is_refused(listen: Listen, project: Project) -> None:
    with listen(url=f"{stream_url_of(project)}?last_event_id=1") as stream:
        assert (stream.status, stream.json()["code"]) == (400, "unknown_parameter")


def test_no_page_of_another_origin_may_read_it(listen: Listen) -> None:
    with listen(Origin="https://elsewhere.example") as stream:
        assert stream.status == 200
        assert "Access-Control-Allow-Origin" not in stream.response.headers


def test_the_process_serves_nothing_else(listen: Listen, tickets_url: str) -> None:
    with listen(url=tickets_url) as stream:
        assert (stream.status, stream.json()["code"]) == (404, "not_found")


def test_the_web_server_says_that_it_is_the_wrong_process(
    reader: ApiClient, project: Project
) -> None:
    response = reader.get(stream_url_of(project))

    assert (response.status_code, response.json()["code"]) == (421, "misdirected_request")


# --- Until when --------------------------------------------------------------


def test_it_ends_soon_after_the_right_to_it(
    stream_service: Service, project: Project, client_for: ClientFor
) -> None:
    ends = _rights_that_end(project)
    streams = [
        Stream(stream_service, stream_url_of(project), caller, **headers)
        for caller, headers, _ in ends
    ]
    [control] = [Stream(stream_service, stream_url_of(project), client_for(project, "*"))]
    assert [stream.status for stream in streams] == [200] * len(ends)
    for _, _, end in ends:
        end()
    ended = time.monotonic()

    for stream in streams:
        with stream:
            stream.wait_for_the_end()

    assert time.monotonic() - ended < 15
    with control:
        Event.objects.filter(project=project).exists()
        assert next(control.told()).event == "unread_count"
        assert next(control.told()).event is None


def _rights_that_end(
    project: Project,
) -> list[tuple[ApiClient, dict[str, str], Callable[[], object]]]:
    """Callers with their headers, and what takes their right away."""
    revoked, its_secret = ApiKey.issue(project=project, label="revoked", scopes=["*"])
    narrowed, its_other_secret = ApiKey.issue(project=project, label="narrow", scopes=["*"])
    in_a_moment = timezone.now() + timedelta(seconds=2)
    _, short_lived = ApiKey.issue(
        project=project, label="expires", scopes=["*"], expires_at=in_a_moment
    )
    rotated, retired = ApiKey.issue(project=project, label="rotated", scopes=["*"])

    def narrow() -> None:
        narrowed.scopes = ["person:read"]
        narrowed.save()

    ends: list[tuple[ApiClient, dict[str, str], Callable[[], object]]] = [
        (ApiClient(its_secret), {}, revoked.revoke),
        (ApiClient(its_other_secret), {}, narrow),
        (ApiClient(short_lived), {}, lambda: None),
        (ApiClient(retired), {}, lambda: rotated.rotate(overlap=timedelta(0))),
    ]
    for take_away in (
        lambda user, browser: browser.logout(),
        lambda user, browser: Membership.objects.filter(user=user).delete(),
        lambda user, browser: User.objects.filter(pk=user.pk).update(is_active=False),
        lambda user, browser: User.objects.filter(pk=user.pk).update(password="changed"),
    ):
        user, browser = _agent(project)
        cookie = f"sessionid={browser.cookies['sessionid'].value}"
        end = lambda take_away=take_away, user=user, browser=browser: take_away(user, browser)  # noqa: E731  (with its own values, of each turn of the loop)
        ends.append((ApiClient(), {"Cookie": cookie}, end))
    return ends


def _agent(project: Project) -> tuple[User, Client]:
    user = User.objects.create_user(f"agent-{uuid.uuid4().hex}@example.com", "a long phrase")
    Membership.objects.create(project=project, user=user)
    browser = Client()
    browser.force_login(user)
    return user, browser


def test_who_reads_too_slowly_is_cut_off_and_goes_on_later(
    stream_service: Service,
    listen: Listen,
    reader: ApiClient,
    writer: ApiClient,
    project: Project,
    tickets_url: str,
    make_ticket: MakeTicket,
) -> None:
    ticket = make_ticket()
    last = events_of(reader, project)[-1]["id"]
    large = {"content": "Hi", "rich_content": {"text": "x" * 90_000}}
    slow = socket.socket()
    # Before it connects, as the window is agreed upon then.
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.settimeout(30)
    with closing(slow), listen() as quick:
        slow.connect(("127.0.0.1", stream_service.port))
        slow.sendall(
            f"GET {stream_url_of(project)} HTTP/1.1\r\nHost: localhost\r\n"
            f"X-Request-ID: slow-{project.pk}\r\n"
            f"Authorization: {reader.headers['authorization']}\r\n\r\n".encode()
        )
        assert slow.recv(15) == b"HTTP/1.1 200 OK"
        for number in range(90):
            posted = writer.post(f"{tickets_url}/{ticket['id']}/messages", large)
            assert posted.status_code == 201, number
            assert quick.event()["type"] == "message.created"
        # What had left the process still comes, and then no more.
        assert not _read_all(slow).endswith(b"0\r\n\r\n")

    assert "reads too slowly" in _log_of(stream_service, f"slow-{project.pk}")
    with listen(last_event_id=last) as again:
        assert [again.event()["type"] for _ in range(90)] == ["message.created"] * 90


def test_who_does_not_read_what_it_comes_back_for_keeps_little_of_it_in_memory(
    reader: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    make_ticket()
    [first] = Event.objects.filter(project=project)
    settle()
    large = {"text": "x" * 200_000}
    for _ in range(100):
        Event.objects.create(
            project=project,
            ticket_id=first.ticket_id,
            ticket_number=1,
            type=first.type,
            actor=first.actor,
            object=large,
        )
    settle()
    with running_stream() as service, ExitStack() as silent:
        process = psutil.Process(service.process.pid)
        with Stream(service, stream_url_of(project), reader) as stream:
            stream.count()
        before = process.memory_info().rss
        for _ in range(20):
            client = silent.enter_context(closing(socket.socket()))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", service.port))
            client.sendall(
                f"GET {stream_url_of(project)} HTTP/1.1\r\nHost: localhost\r\n"
                f"Last-Event-ID: {first.pk}\r\n"
                f"Authorization: {reader.headers['authorization']}\r\n\r\n".encode()
            )
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        most = before
        for _ in range(30):
            time.sleep(0.1)
            most = max(most, process.memory_info().rss)
        with Stream(service, stream_url_of(project), reader, last_event_id=str(first.pk)) as quick:
            assert [quick.event()["object"] for _ in range(100)] == [large] * 100

    assert (most - before) / 20 < 3 * 1024 * 1024


def test_a_caller_has_so_many_streams_and_no_more(
    project: Project, reader: ApiClient, client_for: ClientFor
) -> None:
    url = stream_url_of(project)
    with running_stream(STREAMS_PER_CALLER="2") as service:
        with Stream(service, url, reader) as first, Stream(service, url, reader) as second:
            assert (first.status, second.status) == (200, 200)
            with Stream(service, url, reader) as third:
                body = third.json()
            assert (third.status, body["type"], body["code"]) == (
                429,
                "throttled_error",
                "throttled",
            )
            assert third.response.headers["Retry-After"] == "30"
            with Stream(service, url, client_for(project, "*")) as of_another:
                assert of_another.status == 200
            # What was refused for something else has taken no room.
            with Stream(service, url, reader, last_event_id="nonsense") as wrong:
                assert wrong.status == 400
        deadline = time.monotonic() + 20
        while True:
            with Stream(service, url, reader) as again:
                if again.status == 200:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_both_secrets_of_a_key_share_its_streams(project: Project) -> None:
    api_key, old = ApiKey.issue(project=project, label="test", scopes=["*"])
    new, _ = api_key.rotate(overlap=timedelta(hours=1))
    url = stream_url_of(project)

    with (
        running_stream(STREAMS_PER_CALLER="1") as service,
        Stream(service, url, ApiClient(old)) as first,
        Stream(service, url, ApiClient(new)) as second,
    ):
        assert (first.status, second.status) == (200, 429)


def test_when_the_process_stops_its_streams_end(
    project: Project, reader: ApiClient, make_ticket: MakeTicket
) -> None:
    with running_stream() as service:
        with Stream(service, stream_url_of(project), reader) as stream:
            assert stream.count() == 0
            began = time.monotonic()
            service.process.send_signal(signal.SIGTERM)
            stream.wait_for_the_end()
        assert service.process.wait(30) == 0
        assert time.monotonic() - began < 5
        assert "Traceback" not in service.log.read_text()


# --- What fails --------------------------------------------------------------


def test_what_nobody_told_it_finds_by_itself(
    listen: Listen, make_ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rest.leases.publish_at_commit", lambda channel, message: None)
    with listen() as stream:
        assert stream.count() == 0
        make_ticket(message="Hi")
        assert stream.event()["type"] == "ticket.created"


def test_its_log_names_the_request_and_no_secret(
    stream_service: Service, listen: Listen, reader: ApiClient, project: Project
) -> None:
    with listen(**{"X-Request-ID": f"tour-{project.pk}"}) as stream:
        stream.count()
    lines = _log_of(stream_service, f"tour-{project.pk}", lines=2)

    assert f"GET {stream_url_of(project)} 200" in lines
    assert "its client went" in lines
    assert reader.headers["authorization"].split()[1] not in stream_service.log.read_text()


def _log_of(service: Service, request_id: str, lines: int = 2) -> str:
    """The lines of one request, once there are so many."""
    deadline = time.monotonic() + 20
    while True:
        log = [
            json.loads(line)["message"]
            for line in service.log.read_text().splitlines()
            if f'"{request_id}"' in line
        ]
        if len(log) >= lines:
            return "\n".join(log)
        assert time.monotonic() < deadline, log
        time.sleep(0.02)


def _read_all(raw: socket.socket) -> bytes:
    read = b""
    while piece := raw.recv(1 << 20):
        read += piece
    return read


def _count(number: int) -> Any:
    return Told("unread_count", {"count": number}, None)
