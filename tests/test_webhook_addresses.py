"""Where a webhook may lead: to the public internet, by the address that is connected to."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conversations.models import Webhook
from conversations.webhooks import resolver, sender
from conversations.webhooks.addresses import BadUrl, check_url, is_public
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.threads import InBackground
from tests.webhooks import Receiver, answering, deliveries_of, running_receiver, send, subscribe

PUBLIC = [
    "1.1.1.1",
    "93.184.215.14",
    "2606:4700:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "192.0.0.192",
    "192.0.0.8",
    "172.16.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "example.com",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_any_other_is_not(address: str) -> None:
    assert not is_public(address)


# --- The connection ----------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It listens on loopback, which no webhook may reach here."""
    with running_receiver() as running:
        yield running
    Webhook.objects.all().delete()


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "*")


# Given the answers in turn; what is asked comes into the list that it returns.
Resolve = Callable[..., list[str]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """A name server of ours: each time it is asked it answers with the next list."""
    asked: list[str] = []
    answers: list[list[str]] = []

    def look_up(host: str, port: int, family: Any) -> Any:
        asked.append(host)
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port),
            )
            for address in found
        ]

    def answer_with(*lists: list[str]) -> list[str]:
        answers[:] = lists
        monkeypatch.setattr(resolver, "look_up", look_up)
        return asked

    return answer_with


def outcome_of(api: ApiClient, project: Project, make_ticket: MakeTicket, url: str) -> Any:
    """How the first attempt to send something there went; past the check of the URL."""
    webhook = subscribe(api, project, "https://example.com/")
    Webhook.objects.filter(pk=webhook["id"]).update(url=url)
    make_ticket()
    send()
    (delivery,) = deliveries_of(api, project, webhook)
    return delivery["error"]


NOT_ALLOWED = "The host has no public address."
LOOPBACK = [
    "127.0.0.1",
    "0.0.0.0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "localhost",
    "LOCALHOST",
    "127.0.0.1.",
    "①②⑦.⓪.⓪.①",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_no_way_of_writing_loopback_reaches_it(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, host: str
) -> None:
    url = receiver.url.replace("127.0.0.1", host)

    error = outcome_of(api, project, make_ticket, url)

    assert error in (
        NOT_ALLOWED,
        "The URL can not be connected to.",
        "The host was not found.",
    )
    assert receiver.received == []


def test_an_address_in_the_url_is_checked_as_a_name_would_be(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver
) -> None:
    assert outcome_of(api, project, make_ticket, receiver.url) == NOT_ALLOWED


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["1.1.1.1", "127.0.0.1"]]
)
def test_a_name_that_leads_to_loopback_is_refused(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    resolve: Resolve,
    found: list[str],
) -> None:
    resolve(found)

    error = outcome_of(
        api, project, make_ticket, receiver.url.replace("127.0.0.1", "hooks.example.com")
    )

    assert error == NOT_ALLOWED
    assert receiver.received == []


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    resolve: Resolve,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: a public address for who checks, and loopback for who connects."""
    asked = resolve(["93.184.215.14"], ["127.0.0.1"])
    opened = []

    def refuse(address: Any) -> socket.socket:
        opened.append(address[4][0])
        raise ConnectionRefusedError

    monkeypatch.setattr(sender, "open_socket", refuse)

    outcome_of(api, project, make_ticket, receiver.url.replace("127.0.0.1", "hooks.example.com"))

    assert asked == ["hooks.example.com"]
    assert opened == ["93.184.215.14"]


def test_a_name_that_leads_elsewhere_the_next_time_is_checked_the_next_time(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    resolve: Resolve,
    settings: Any,
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    asked = resolve(["127.0.0.1"])
    webhook = subscribe(api, project, receiver.url.replace("127.0.0.1", "hooks.example.com"))
    make_ticket()
    send()
    assert len(receiver.received) == 1

    settings.WEBHOOK_ALLOW_PRIVATE = False
    make_ticket()
    send()

    assert len(asked) == 2
    assert len(receiver.received) == 1
    assert deliveries_of(api, project, webhook)[0]["error"] == NOT_ALLOWED


def test_the_host_of_the_url_is_asked_for_by_name(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    resolve: Resolve,
    settings: Any,
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    resolve(["127.0.0.1"])

    outcome_of(api, project, make_ticket, receiver.url.replace("127.0.0.1", "hooks.example.com"))

    (one,) = receiver.received
    assert one.headers["host"].startswith("hooks.example.com:")


def test_a_redirect_to_loopback_leads_nowhere(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, settings: Any
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True

    def answer(handler: Any) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    receiver.answer = answer

    assert outcome_of(api, project, make_ticket, receiver.url) == "The receiver answered 302."
    assert len(receiver.received) == 1


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Name servers that say nothing of hosts under .test, until they are let go."""
    let_go = threading.Event()

    def look_up(host: str, port: int, family: Any) -> Any:
        if host.endswith(".test"):
            let_go.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(resolver, "look_up", look_up)
    yield let_go
    let_go.set()


def test_name_servers_that_do_not_answer_keep_no_other_project_waiting(
    project: Project,
    client_for: ClientFor,
    neighbour: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    silent: threading.Event,
    settings: Any,
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    Webhook.objects.bulk_create(
        Webhook(project=project, url=f"http://{number}.test/") for number in range(100)
    )
    make_ticket()
    other = client_for(neighbour, "*")
    url = receiver.url.replace("127.0.0.1", "hooks.example.com")
    subscribe(other, neighbour, url)
    other.post(f"/api/projects/{neighbour.pk}/conversations/tickets", {})
    told = threading.Event()

    def answer(handler: Any) -> None:
        told.set()
        answering(204)(handler)

    receiver.answer = answer

    with InBackground(send):
        in_time = told.wait(4)
        silent.set()

    assert in_time


def test_a_name_that_is_not_found_in_time_is_a_failure(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    silent: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resolver, "LOOK_UP_SECONDS", 0.1)

    error = outcome_of(api, project, make_ticket, "http://hooks.test/")

    assert error == "The name servers of the host do not answer."
    assert not silent.is_set()


# --- The URL -----------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/hook?project=1&x=%20",
        "https://münchen.example/haken",
        "https://[2606:4700:4700::1111]/",
        "https://1.1.1.1/hook",
        f"https://example.com/{'x' * 1980}",
    ],
)
def test_a_url_of_the_public_internet_is_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "//example.com/hook",
        "/hook",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///hook",
        "https://user:password@example.com",
        "https://user@example.com",
        "https://@example.com",
        "https://example.com#top",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:port/",
        "https://exa mple.com",
        "https://example.com/\n",
        "https://example.com\\@evil.example",
        "https://[::1",
        "https://a..b/",
        f"https://{'a' * 64}.example/",
        f"https://example.com/{'x' * 1981}",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_a_url_that_can_not_be_a_webhooks_is_refused(url: str) -> None:
    with pytest.raises(BadUrl):
        check_url(url)


def test_a_private_address_is_taken_where_the_setting_says_so(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True

    check_url("http://10.0.0.1:8080/hook")
