"""No log line has a secret, a message, or an address: whoever reads logs need not know them."""

import json
import logging
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from conversations.models import Ticket
from projects.agents import set_password_url
from projects.models import ApiKey, Membership, Project, User
from tests.api import ApiClient
from tests.browser.people import eventually
from tests.conftest import MakeTicket
from tests.jobs import running_worker
from tests.service import Service, running_service, running_stream
from tests.stream import Stream, stream_url_of
from tests.webhooks import answering, running_receiver
from tests.widget import WIDGET, identity_hash

# Three processes of the service, once.
pytestmark = pytest.mark.xdist_group("logs")
PASSWORD = "correct horse battery"
TEXT = "a-text-of-a-customer"


@dataclass
class Logs:
    """What the processes of the service have written, and what must not be in it."""

    files: list[Path] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def read(self) -> str:
        return "".join(file.read_text() for file in self.files)


@pytest.fixture(scope="module")
def told(database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logs]:
    """The logs at DEBUG of everything that customers, agents and programs do."""
    mail = tmp_path_factory.mktemp("mail")
    environment = {
        "LOG_LEVEL": "DEBUG",
        "EMAIL_URL": f"file://{mail}",
        "WEBHOOK_ALLOW_PRIVATE": "true",
    }
    logs = Logs()
    with ExitStack() as running:
        web = running.enter_context(running_service(**environment))
        stream = running.enter_context(running_stream(**environment))
        worker = running.enter_context(running_worker(**environment))
        logs.files += [web.log, stream.log, worker.log]
        receiver = running.enter_context(running_receiver(answering(500)))
        logs.secrets |= act(web, stream, receiver, mail)
        # What is written last is in it as well.
        for process in (worker.process, stream.process, web.process):
            process.terminate()
            process.wait(60)
        yield logs


def act(web: Service, stream: Service, receiver: Any, mail: Path) -> dict[str, str]:
    """Everything that has a secret in it, done right and done wrong; returns the secrets."""
    project = Project.objects.create(name="Shop", widget_domains=["shop.example.com"])
    _, key = ApiKey.issue(project=project, label="test", scopes=["*"])
    email = f"ada-{uuid.uuid4().hex}@example.com"
    agent = User.objects.create_user(f"agent-{uuid.uuid4().hex}@example.com", PASSWORD)
    Membership.objects.create(project=project, user=agent)
    session_id, hashed = str(uuid.uuid4()), identity_hash(project, email)

    def api(method: str, path: str, body: Any = None, **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {key}", **headers}
        return call(web, method, f"/api/projects/{project.pk}{path}", body, **headers)

    def widget(method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Conversations-Token": project.public_token}
        headers["Origin"] = "https://shop.example.com"
        return call(web, method, f"{WIDGET}{path}", body, **headers)

    tickets = "/conversations/tickets"
    path = f"{receiver.url.rpartition('/')[0]}/a-path-of-a-webhook"
    secret = api("POST", "/webhooks", {"url": path})["secret"]
    made = api("POST", tickets, {"message": TEXT, "anonymous_traits": {"email": email}})
    api("POST", f"{tickets}/{made['id']}/reply", {"message": TEXT}, **{"Idempotency-Key": TEXT})
    api("GET", f"{tickets}?search={TEXT}&distinct_ids={email}")
    api("POST", "/persons", {"distinct_ids": [email], "properties": {"email": email}})
    # What is refused.
    api("GET", f"{tickets}?status={TEXT}")
    api("GET", f"{tickets}/{key}")
    api("POST", tickets, {TEXT: email})
    api("POST", tickets, b'{"message": "' + TEXT.encode())
    api("POST", "/persons", {"distinct_ids": [email], "properties": {"email": "x" * 70_000}})
    api("GET", f"{tickets}?api_key={key}", Authorization=f"Bearer {key[:-1]}")
    with Stream(stream, f"{stream_url_of(project)}?x={TEXT}", caller=ApiClient(key)) as refused:
        assert refused.status == 400
    with Stream(stream, stream_url_of(project), caller=ApiClient(key)) as listening:
        assert listening.count() == 1

    # The customer's side.
    said = {"message": TEXT, "distinct_id": email, "widget_session_id": session_id}
    sent = widget("POST", "/message", {**said, "traits": {"email": email}})
    proof = {"identity_distinct_id": email, "identity_hash": hashed}
    widget("POST", "/message", {"message": TEXT, "distinct_id": email, **proof})
    widget("GET", f"/messages/{sent['ticket_id']}?widget_session_id={session_id}")
    widget("GET", f"/messages/{sent['ticket_id']}?widget_session_id={session_id}&x={TEXT}")
    widget("GET", f"/tickets?{urllib.parse.urlencode(proof)}")
    asked = {"email": email, "request_url": f"https://shop.example.com/?{TEXT}"}
    widget("POST", "/restore/request", asked)
    call(web, "POST", "/e/", {"token": project.public_token, "batch": [claim(email)]})
    eventually(lambda: len(list(mail.iterdir())), 1)
    token = eventually_mailed(mail)
    new = str(uuid.uuid4())
    widget("POST", "/restore", {"restore_token": token, "widget_session_id": new})
    widget("POST", "/restore", {"restore_token": token, "widget_session_id": new})
    eventually(lambda: len(receiver.received) >= 4, True)

    # The agent's side.
    link = set_password_url(agent)
    call(web, "GET", urllib.parse.urlsplit(link).path)
    with urllib.request.urlopen(f"{web.url}/login", timeout=30) as response:
        page = response.read().decode()
        [cookie] = re.findall(r"csrftoken=(\w+)", response.headers["Set-Cookie"])
    [csrf] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    for password in (PASSWORD, f"not {PASSWORD}"):
        form = {"username": agent.email, "password": password, "csrfmiddlewaretoken": csrf}
        body = urllib.parse.urlencode(form).encode()
        call(web, "POST", "/login", body, Cookie=f"csrftoken={cookie}")

    return {
        "an API key": key,
        "an API key that is mistyped": key[:-1],
        "a message": TEXT,
        "a customer's address": email,
        "an agent's address": agent.email,
        "a password": PASSWORD,
        "a link to choose one": link.rpartition("/")[2],
        "a widget's session": session_id,
        "an identity hash": hashed,
        "an identity secret": project.identity_secret,
        "a link to old conversations": token,
        "a webhook's secret": secret,
        "a webhook's path": "a-path-of-a-webhook",
    }


def call(service: Service, method: str, path: str, body: Any = None, **headers: str) -> Any:
    """The answer, refusals included; anything but bytes is sent as JSON."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    if data is not None and path != "/login":
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(service.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = response.read().decode()
    except urllib.error.HTTPError as error:
        answer = error.read().decode()
    return json.loads(answer) if answer[:1] in ("{", "[") else answer


def claim(distinct_id: str) -> dict[str, Any]:
    properties = {"distinct_id": distinct_id, "$anon_distinct_id": f"anonymous-{distinct_id}"}
    return {"event": "$identify", "properties": properties, "$set": {"email": distinct_id}}


def eventually_mailed(folder: Path) -> str:
    """The token in the only mail there is."""

    def written() -> bool:
        return next(folder.iterdir()).read_bytes().endswith(b"-" * 79 + b"\n")

    eventually(written, True)
    body = message_from_bytes(next(folder.iterdir()).read_bytes()).get_payload(decode=True)
    assert isinstance(body, bytes)
    [token] = re.findall(r"ph_conv_restore=([^&\s]+)", body.decode())
    return str(token)


def test_the_logs_have_every_request(told: Logs) -> None:
    logs = told.read()

    for line in (
        r"POST /api/projects/\d+/conversations/tickets 201",
        r"POST /api/projects/\d+/conversations/tickets 400",
        r"GET /api/projects/\d+/conversations/stream 200",
        r"POST /api/conversations/v1/widget/restore 200",
        r"POST /login 302",
    ):
        assert re.search(line, logs), line


def test_the_logs_have_no_secret_no_message_and_no_address(told: Logs) -> None:
    logs = told.read()

    assert {what for what, secret in told.secrets.items() if secret in logs} == set()


@pytest.mark.parametrize("name", ["json", "text"])
def test_the_row_that_the_database_quotes_in_an_error_is_left_out(
    make_ticket: MakeTicket, name: str
) -> None:
    # As it looks where one error follows from another.
    ticket = make_ticket(escalation_reason="x\n\nDuring handling ada@example.com")
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        Ticket.objects.filter(pk=ticket["id"]).update(unread_team_count=-1)
    assert "ada@example.com" in str(raised.value)

    error = (raised.type, raised.value, raised.tb)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "Broken", (), error)
    record.request_id = "-"
    written = formatter(name).format(record)

    assert "violates check constraint" in written
    assert "Traceback" in written
    assert "ada@example.com" not in written


def formatter(name: str) -> logging.Formatter:
    """The one that LOG_FORMAT chooses."""
    formatters: Any = settings.LOGGING["formatters"]
    options = dict(formatters[name])
    make: Callable[..., logging.Formatter] = import_string(options.pop("()"))
    return make(**options)
