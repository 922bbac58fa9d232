"""What receivers get, and what becomes of it when they do not take it."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from standardwebhooks.webhooks import WebhookVerificationError

from conversations.events import verbs as events
from conversations.events.actors import SYSTEM
from conversations.events.models import EventType
from conversations.jobs import prune_events
from conversations.models import Delivery, Event, Ticket, Webhook
from conversations.tickets.verbs import update_ticket
from conversations.webhooks import sender, verbs
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.events import events_of
from tests.jobs import enqueue, run_jobs, running_worker
from tests.refusals import refusal
from tests.test_events import WRITES
from tests.test_jobs import wait_for
from tests.test_queries import statements
from tests.threads import InBackground, Pause, at_once, wait_until_blocked
from tests.webhooks import (
    Answer,
    Receiver,
    answering,
    answering_after,
    deliveries_of,
    let_it_be_time,
    let_it_have_failed_for,
    running_receiver,
    send,
    subscribe,
    webhooks_url_of,
)


@pytest.fixture(autouse=True)
def loopback_is_allowed(settings: Any) -> Iterator[None]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    yield
    # What one test leaves is not sent by the next.
    Webhook.objects.all().delete()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "*")


@pytest.fixture
def webhook(api: ApiClient, project: Project, receiver: Receiver) -> Any:
    return subscribe(api, project, receiver.url)


Only = Any


@pytest.fixture
def only(api: ApiClient, project: Project, webhook: Any) -> Only:
    """The webhook's only delivery, as the API shows it now."""

    def read() -> Any:
        (delivery,) = deliveries_of(api, project, webhook)
        return delivery

    return read


# --- What is sent ------------------------------------------------------------


def test_an_event_is_sent_as_the_specification_says(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    make_ticket(message="Grüße")

    send()

    found = events_of(api, project)
    got = [one.verified(webhook["secret"]) for one in receiver.received]
    assert sorted(got, key=lambda body: body["timestamp"]) == [
        {"type": event["type"], "timestamp": event["created_at"], "data": event} for event in found
    ]
    assert receiver.received[0].headers["content-type"] == "application/json"


def test_what_was_tampered_with_does_not_verify(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    make_ticket()
    send()
    (one,) = receiver.received
    forged = type(one)(one.path, one.headers, one.body.replace(b"ticket", b"packet"))

    with pytest.raises(WebhookVerificationError):
        forged.verified(webhook["secret"])


def test_the_webhook_id_is_the_deliverys(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    make_ticket()

    send()

    assert receiver.ids == [only()["id"]]
    assert receiver.ids[0][14] == "7"


def test_a_delivery_that_succeeded_says_how_it_went(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
) -> None:
    receiver.answer = answering(202, body=b"Thanks \xff\0")
    make_ticket()
    (event,) = events_of(api, project)

    send()

    delivery = only()
    assert delivery["event_id"] == event["id"]
    assert delivery["event_type"] == "ticket.created"
    assert (delivery["status"], delivery["attempts"]) == ("succeeded", 1)
    assert (delivery["response_status"], delivery["response_body"]) == (202, "Thanks \ufffd\ufffd")
    assert (delivery["error"], delivery["next_attempt_at"]) == (None, None)
    assert 0 <= delivery["duration_ms"] < 15_000


def test_only_the_wanted_types_are_sent(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver
) -> None:
    webhook = subscribe(api, project, receiver.url, event_types=["message.created"])
    make_ticket(message="Hi")

    send()

    assert [d["event_type"] for d in deliveries_of(api, project, webhook)] == ["message.created"]
    assert len(receiver.received) == 1


def test_each_webhook_gets_a_delivery_of_its_own(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    other = subscribe(api, project, receiver.url + "/other")
    make_ticket()

    send()

    assert len(set(receiver.ids)) == 2
    for one in receiver.received:
        one.verified(other["secret"] if one.path == "/hook/other" else webhook["secret"])


def test_the_neighbours_events_are_not_sent(
    client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket, receiver: Receiver
) -> None:
    subscribe(client_for(neighbour, "*"), neighbour, receiver.url)
    make_ticket()

    send()

    assert receiver.received == []


def test_a_disabled_webhook_is_told_nothing(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver
) -> None:
    webhook = subscribe(api, project, receiver.url, enabled=False)
    make_ticket()

    send()

    assert deliveries_of(api, project, webhook) == []


def test_what_waits_for_a_webhook_that_is_disabled_fails(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
) -> None:
    make_ticket()
    api.patch(f"{webhooks_url_of(project)}/{webhook['id']}", {"enabled": False})

    send()

    assert receiver.received == []
    assert (only()["status"], only()["error"]) == ("failed", "The webhook was disabled.")


def test_an_event_that_was_recorded_while_its_webhook_was_disabled_is_not_sent(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    make_ticket()
    Webhook.objects.filter(pk=webhook["id"]).update(enabled=False)

    send()

    assert receiver.received == []
    assert only()["status"] == "failed"


def test_what_waits_is_given_up_in_batches_and_a_request_waits_for_none(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verbs, "CLEAR_AT_ONCE", 4)
    tell(make_ticket(), 10)
    pending = Delivery.objects.filter(webhook=webhook["id"], status="pending")

    api.patch(f"{webhooks_url_of(project)}/{webhook['id']}", {"enabled": False})

    left = [pending.count()]
    while verbs.clear_away():
        left.append(pending.count())
    assert left == [11, 7, 3, 0]
    assert verbs.claim(10) == []


def test_a_deleted_webhook_goes_after_its_deliveries_in_batches(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    webhook: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verbs, "CLEAR_AT_ONCE", 4)
    tell(make_ticket(), 5)
    url = f"{webhooks_url_of(project)}/{webhook['id']}"
    of_it = Delivery.objects.filter(webhook=webhook["id"])

    assert api.delete(url).status_code == 204

    assert api.get(url).status_code == api.delete(url).status_code == 404
    assert api.get(webhooks_url_of(project)).json()["count"] == 0
    assert (verbs.claim(10), of_it.count()) == ([], 6)
    left = []
    while verbs.clear_away():
        left.append(of_it.count())
    assert left == [2, 0, 0]
    assert not Webhook.objects.filter(pk=webhook["id"]).exists()


def test_clearing_away_waits_for_nobody_who_has_locked_a_delivery(
    api: ApiClient, project: Project, make_ticket: MakeTicket, webhook: Any
) -> None:
    tell(make_ticket(), 2)
    api.delete(f"{webhooks_url_of(project)}/{webhook['id']}")
    of_it = Delivery.objects.filter(webhook=webhook["id"])

    with transaction.atomic():
        of_it.select_for_update()[:1].get()
        found = at_once(verbs.clear_away) + at_once(verbs.clear_away)

    assert found == [True, False]
    assert of_it.count() == 1


def test_a_webhook_that_is_enabled_again_loses_nothing_that_comes_after(
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who sends has found it disabled, and is overtaken by who enables it and records."""
    row = Webhook.objects.filter(pk=webhook["id"])
    make_ticket()
    row.update(enabled=False)
    claiming = Pause(verbs.claim)
    monkeypatch.setattr(verbs, "claim", claiming)

    with InBackground(send) as sending:
        claiming.wait_until_reached()
        row.update(enabled=True)
        claiming.go.set()
        sending.result()
    monkeypatch.undo()
    let_it_be_time(webhook)
    send()

    assert only()["status"] == "succeeded"


def test_a_change_that_is_rolled_back_is_not_sent(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    ticket = make_ticket()
    send()
    with transaction.atomic():
        row = Ticket.objects.select_for_update().get(pk=ticket["id"])
        update_ticket(ticket=row, actor=SYSTEM, priority="low")
        transaction.set_rollback(True)

    send()

    assert len(receiver.received) == 1


def test_a_webhook_can_be_deleted_while_a_ticket_changes(
    api: ApiClient, project: Project, make_ticket: MakeTicket, webhook: Any, tickets_url: str
) -> None:
    ticket = make_ticket()
    url = f"{webhooks_url_of(project)}/{webhook['id']}"

    def change() -> list[int]:
        return [
            api.patch(f"{tickets_url}/{ticket['id']}", {"escalation_reason": str(n)}).status_code
            for n in range(20)
        ]

    def delete() -> list[int]:
        time.sleep(0.05)
        return [api.delete(url).status_code]

    changed, deleted = at_once(change, delete)

    assert set(changed) == {200}
    assert deleted == [204]
    while verbs.clear_away():
        pass
    assert not Webhook.objects.filter(pk=webhook["id"]).exists()


# --- What it costs -----------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_webhooks_add_one_statement_to_a_write_however_many_there_are(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    tickets_url: str,
    name: str,
) -> None:
    def cost() -> int:
        ticket = make_ticket(status="resolved", message="Hi")
        with statements() as found:
            assert WRITES[name](api, tickets_url, ticket["id"]).status_code < 300
        return len(found)

    cost()
    without = cost()
    for _ in range(3):
        subscribe(api, project, "http://127.0.0.1:1/")

        assert cost() == without + 1


def test_a_bulk_change_has_a_delivery_for_each_event(
    api: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str, webhook: Any
) -> None:
    ids = [make_ticket()["id"] for _ in range(10)]

    api.post(f"{tickets_url}/bulk_update_status", {"ids": ids, "status": "open"})

    told = deliveries_of(api, project, webhook)
    assert (
        sorted(d["event_type"] for d in told) == ["ticket.created"] * 10 + ["ticket.updated"] * 10
    )


# --- Receivers that do not take it -------------------------------------------


def _says_nothing(handler: Any) -> None:
    time.sleep(3)


def _drips(handler: Any) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(60):
        handler.wfile.write(b".")
        handler.wfile.flush()
        time.sleep(0.05)


def _drips_headers(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for n in range(60):
        handler.wfile.write(f"X-{n}: y\r\n".encode())
        handler.wfile.flush()
        time.sleep(0.05)


def _closes_at_once(handler: Any) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def _closes_early(handler: Any) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"half")


def _is_no_http(handler: Any) -> None:
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")


SHORT = 1.0
FAILURES: dict[str, tuple[Answer, str, int | None]] = {
    "slow": (_says_nothing, "No whole answer within 1 seconds.", None),
    "dripping": (_drips, "No whole answer within 1 seconds.", None),
    "dripping headers": (_drips_headers, "No whole answer within 1 seconds.", None),
    "closing at once": (
        _closes_at_once,
        "The connection was closed before the answer was whole.",
        None,
    ),
    "closing early": (_closes_early, "The connection was closed before the answer was whole.", 200),
    "no HTTP": (_is_no_http, "The answer was not HTTP.", None),
    "an error": (answering(500, body=b"Oops"), "The receiver answered 500.", 500),
    "no": (answering(404), "The receiver answered 404.", 404),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_receiver_that_does_not_take_it_is_told_again_later(
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(sender, "TIMEOUT", SHORT)
    receiver.answer, error, status = FAILURES[name]
    make_ticket()
    began = time.monotonic()

    send()

    delivery = only()
    assert time.monotonic() - began < 3
    assert (delivery["status"], delivery["attempts"]) == ("pending", 1)
    assert (delivery["error"], delivery["response_status"]) == (error, status)
    pause = datetime.fromisoformat(delivery["next_attempt_at"]) - timezone.now()
    assert timedelta(seconds=1) < pause < timedelta(seconds=6)


def test_a_receiver_that_is_not_there_is_told_again_later(
    api: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    webhook = subscribe(api, project, "http://127.0.0.1:1/hook")
    make_ticket()

    send()

    (delivery,) = deliveries_of(api, project, webhook)
    assert delivery["error"] == "The connection was refused, or could not be made."
    assert (delivery["status"], delivery["attempts"]) == ("pending", 1)


def test_a_redirect_is_a_failure_and_not_followed(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    receiver.answer = answering(307, Location=receiver.url + "/elsewhere")
    make_ticket()

    send()

    assert [one.path for one in receiver.received] == ["/hook"]
    assert only()["error"] == "The receiver answered 307."


def test_no_more_than_a_kilobyte_of_a_huge_answer_is_kept(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    written = []

    def floods(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(2000):
            written.append(handler.wfile.write(b"x" * 65536))

    receiver.answer = floods
    make_ticket()

    send()

    assert only()["status"] == "succeeded"
    assert only()["response_body"] == "x" * 1024
    assert sum(written) < 64 * 1024 * 1024


def test_no_proxy_of_the_environment_is_used(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    make_ticket()

    send()

    assert len(receiver.received) == 1


def test_an_error_and_then_success(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    receiver.answer = answering(500, 200)
    make_ticket()
    send()
    assert len(receiver.received) == 1

    let_it_be_time(webhook)
    send()

    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)
    assert second.verified(webhook["secret"])
    assert (only()["status"], only()["attempts"]) == ("succeeded", 2)


def test_the_schedule_is_that_of_the_specification(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    receiver.answer = answering(500)
    make_ticket()
    pauses = []
    while only()["status"] == "pending":
        let_it_be_time(webhook)
        send()
        if at := only()["next_attempt_at"]:
            pauses.append((datetime.fromisoformat(at) - timezone.now()).total_seconds())

    hour = 3600
    wanted = [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour]
    assert only()["status"] == "failed"
    assert len(receiver.received) == only()["attempts"] == 10
    assert len(set(receiver.ids)) == 1
    for pause, seconds in zip(pauses, wanted, strict=True):
        assert 0.9 * seconds - 2 < pause <= 1.1 * seconds


def test_the_pauses_differ() -> None:
    assert len({verbs.pause_after(1, None) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("0", 5),
        ("99999999999999999999", 24 * 3600),
        ("soon", 5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 5),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", 5),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 24 * 3600),
    ],
)
def test_a_receiver_says_when_to_come_again_within_bounds(
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
    header: str,
    seconds: int,
) -> None:
    receiver.answer = answering(503, Retry_After=header)
    make_ticket()

    send()

    pause = datetime.fromisoformat(only()["next_attempt_at"]) - timezone.now()
    assert 0.8 * seconds - 2 < pause.total_seconds() <= 1.1 * seconds


def test_a_receiver_may_name_the_time_to_come_again(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    receiver.answer = answering(503, Retry_After=format_datetime(then, usegmt=True))
    make_ticket()

    send()

    at = datetime.fromisoformat(only()["next_attempt_at"])
    assert abs(at - then) < timedelta(seconds=2)


def test_an_attempt_that_breaks_off_in_any_way_has_failed_and_shows_no_secret(
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(secrets: list[str], **rest: Any) -> str:
        raise ArithmeticError(secrets)

    monkeypatch.setattr(sender, "signature", fail)
    make_ticket()

    send()

    assert (only()["status"], only()["attempts"]) == ("pending", 1)
    assert only()["error"] == "The attempt broke off."
    assert only()["id"] in caplog.text
    assert webhook["secret"] not in caplog.text


# --- Receivers that want no more ---------------------------------------------


def test_a_receiver_that_is_gone_is_told_no_more_and_the_webhook_says_so(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
) -> None:
    receiver.answer = answering(410)
    make_ticket(message="Hi")
    make_ticket()

    send()
    send()

    shown = api.get(f"{webhooks_url_of(project)}/{webhook['id']}").json()
    assert shown["enabled"] is False
    assert "410" in shown["disabled_reason"]
    assert shown["disabled_at"] is not None
    assert {d["status"] for d in deliveries_of(api, project, webhook)} == {"failed"}
    assert len(receiver.received) <= verbs.AT_ONCE


def test_a_webhook_that_fails_for_five_days_is_disabled_and_says_so(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    url = f"{webhooks_url_of(project)}/{webhook['id']}"
    receiver.answer = answering(500)
    make_ticket()
    let_it_have_failed_for(webhook, timedelta(days=4, hours=23))
    send()
    assert api.get(url).json()["enabled"] is True

    let_it_have_failed_for(webhook, timedelta(days=5))
    let_it_be_time(webhook)
    send()

    shown = api.get(url).json()
    assert shown["enabled"] is False
    assert shown["disabled_reason"] == (
        "No attempt succeeded for five days. The last one: The receiver answered 500."
    )


@pytest.mark.parametrize(
    ("pause", "enabled"), [(timedelta(days=2, minutes=1), True), (timedelta(hours=27), False)]
)
def test_failures_with_long_quiet_between_are_not_five_days_of_failing(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    pause: timedelta,
    enabled: bool,
) -> None:
    receiver.answer = answering(500)
    make_ticket()
    let_it_have_failed_for(webhook, timedelta(days=6))
    Webhook.objects.filter(pk=webhook["id"]).update(failed_at=timezone.now() - pause)

    send()

    assert api.get(f"{webhooks_url_of(project)}/{webhook['id']}").json()["enabled"] is enabled


def test_another_url_begins_the_five_days_anew(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    url = f"{webhooks_url_of(project)}/{webhook['id']}"
    receiver.answer = answering(500)
    make_ticket()
    let_it_have_failed_for(webhook, timedelta(days=6))
    api.patch(url, {"url": receiver.url + "/other"})

    send()

    assert api.get(url).json()["enabled"] is True


def test_one_success_begins_the_five_days_anew(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    make_ticket()
    let_it_have_failed_for(webhook, timedelta(days=6))
    send()
    receiver.answer = answering(500)
    make_ticket()

    send()

    assert api.get(f"{webhooks_url_of(project)}/{webhook['id']}").json()["enabled"] is True


def test_enabling_a_webhook_again_clears_why_it_was_disabled(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    url = f"{webhooks_url_of(project)}/{webhook['id']}"
    receiver.answer = answering(410)
    make_ticket()
    send()
    receiver.answer = answering(204)

    shown = api.patch(url, {"enabled": True}).json()
    make_ticket()
    send()

    assert (shown["enabled"], shown["disabled_at"], shown["disabled_reason"]) == (True, None, None)
    newest = deliveries_of(api, project, webhook)[0]
    assert newest["status"] == "succeeded"


# --- Nobody waits for somebody else's receiver -------------------------------


def has_got(receiver: Receiver, count: int) -> bool:
    return len(receiver.received) == count


def tell(ticket: Any, count: int) -> None:
    """So many events of a ticket, each with its deliveries."""
    row = Ticket.objects.get(pk=ticket["id"])
    events.record(
        [events.of_ticket(EventType.TICKET_UPDATED, row, actor=SYSTEM) for _ in range(count)]
    )


def test_a_slow_receiver_with_a_thousand_deliveries_delays_nobody_elses(
    project: Project, client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket
) -> None:
    let_go = threading.Event()
    with running_receiver(lambda _: let_go.wait(30)) as slow, running_receiver() as quick:
        subscribe(client_for(project, "*"), project, slow.url)
        api = client_for(neighbour, "*")
        subscribe(api, neighbour, quick.url)
        tell(make_ticket(), 1000)
        with running_worker(WORKER_THREADS="1", WEBHOOK_ALLOW_PRIVATE="true") as worker:
            wait_for(lambda: slow.under_way == verbs.AT_ONCE, worker)
            tickets = f"/api/projects/{neighbour.pk}/conversations/tickets"
            took = []
            for number in range(1, 11):
                began = time.monotonic()
                api.post(tickets, {})
                wait_for(partial(has_got, quick, number), worker)
                took.append(time.monotonic() - began)
            assert slow.most_at_once == verbs.AT_ONCE
            let_go.set()
        # Told of each at once, not when it looked by itself a second later.
        assert sorted(took)[5] < 0.8, took


def test_two_workers_keep_one_limit_together(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    tell(make_ticket(), 30)

    claimed = at_once(*[lambda: verbs.claim(100)] * 4)

    assert sum(map(len, claimed)) == verbs.AT_ONCE


def test_a_webhook_that_fails_has_one_attempt_under_way(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    let_it_have_failed_for(webhook, timedelta(minutes=1))
    for _ in range(3):
        make_ticket()

    assert len(verbs.claim(100)) == verbs.AT_ONCE_WHEN_FAILING
    assert verbs.claim(100) == []


def test_many_slow_receivers_are_waited_for_at_the_same_time(
    api: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    with running_receiver(answering_after(1)) as slow:
        for _ in range(20):
            subscribe(api, project, slow.url)
        make_ticket()
        began = time.monotonic()

        send()

        assert time.monotonic() - began < 5
        assert slow.most_at_once >= 10


def test_those_that_have_few_under_way_come_first(
    api: ApiClient, project: Project, make_ticket: MakeTicket
) -> None:
    busy, idle = (subscribe(api, project, "http://127.0.0.1:1/") for _ in range(2))
    for _ in range(3):
        make_ticket()

    claimed = verbs.claim(2)

    assert {str(delivery.webhook_id) for delivery in claimed} == {busy["id"], idle["id"]}


def test_they_are_claimed_in_the_order_of_events(
    api: ApiClient, project: Project, make_ticket: MakeTicket, webhook: Any
) -> None:
    for _ in range(4):
        make_ticket()

    assert [delivery.event.ticket_number for delivery in verbs.claim(10)] == [1, 2, 3, 4]


def test_claiming_reads_no_more_the_more_waits(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    tell(make_ticket(), 5000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE conversations_delivery")
    with statements() as found:
        assert len(verbs.claim(100)) == verbs.AT_ONCE
    (sql,) = [sql for sql in found if "RECURSIVE" in sql]

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Seq Scan on conversations_delivery" not in plan, plan
    assert "Sort Key: conversations_delivery" not in plan, plan


# --- Nothing is lost ---------------------------------------------------------


def test_what_a_dead_worker_had_claimed_is_sent_by_another(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    make_ticket()
    let_go = threading.Event()
    receiver.answer = lambda _: let_go.wait(30)
    with running_worker(WEBHOOK_ALLOW_PRIVATE="true") as worker:
        wait_for(lambda: receiver.under_way == 1, worker)
        worker.kill()
    let_go.set()
    receiver.answer = answering(204)
    send()
    assert len(receiver.received) == 1

    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.filter(webhook=webhook["id"]).update(claimed_until=past, next_attempt_at=past)
    send()

    assert len(receiver.received) == 2
    assert only()["status"] == "succeeded"


def test_a_claim_outlives_every_attempt() -> None:
    assert verbs.CLAIM.total_seconds() >= 2 * sender.TIMEOUT


def test_a_worker_that_is_stopped_finishes_its_attempts(
    make_ticket: MakeTicket, receiver: Receiver, webhook: Any, only: Only
) -> None:
    make_ticket()
    receiver.answer = answering_after(1)

    with running_worker(WEBHOOK_ALLOW_PRIVATE="true") as worker:
        wait_for(lambda: receiver.under_way == 1, worker)
        worker.process.terminate()
        assert worker.process.wait(20) == 0

    assert only()["status"] == "succeeded"


def test_what_is_written_late_of_an_attempt_that_was_repeated_does_not_count(
    make_ticket: MakeTicket, webhook: Any, only: Only
) -> None:
    make_ticket()
    (claimed,) = verbs.claim(10)
    outcome = verbs.Outcome(timedelta(seconds=1), 500, error="The receiver answered 500.")
    verbs.finish(delivery_id=claimed.pk, attempts=0, outcome=outcome)

    verbs.finish(delivery_id=claimed.pk, attempts=0, outcome=outcome)

    assert only()["attempts"] == 1


def test_a_success_counts_although_the_webhook_was_disabled_meanwhile(
    api: ApiClient, project: Project, make_ticket: MakeTicket, webhook: Any, only: Only
) -> None:
    make_ticket()
    (claimed,) = verbs.claim(10)
    api.patch(f"{webhooks_url_of(project)}/{webhook['id']}", {"enabled": False})

    verbs.finish(
        delivery_id=claimed.pk, attempts=0, outcome=verbs.Outcome(timedelta(seconds=1), 204)
    )

    assert (only()["status"], only()["error"]) == ("succeeded", None)


# --- Replay ------------------------------------------------------------------


def replay(api: ApiClient, project: Project, webhook: Any, delivery: Any) -> Any:
    url = f"{webhooks_url_of(project)}/{webhook['id']}/deliveries/{delivery['id']}/replay"
    return api.post(url)


@pytest.mark.parametrize("status", [204, 500])
def test_a_delivery_is_replayed_with_the_same_id(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
    status: int,
) -> None:
    receiver.answer = answering(status)
    make_ticket()
    send()
    if status == 500:
        Delivery.objects.filter(pk=only()["id"]).update(status="failed", tries=10)
    receiver.answer = answering(500)

    response = replay(api, project, webhook, only())
    send()

    assert (response.status_code, response.json()["status"]) == (200, "pending")
    assert receiver.ids == [only()["id"]] * 2
    # The schedule begins anew.
    assert (only()["status"], only()["attempts"]) == ("pending", 2)


def test_replaying_one_that_waits_brings_it_forward(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
) -> None:
    receiver.answer = answering(503, 204, Retry_After="3600")
    make_ticket()
    send()

    replay(api, project, webhook, only())
    send()

    assert (only()["status"], only()["attempts"]) == ("succeeded", 2)


def test_nothing_is_replayed_to_a_disabled_webhook(
    api: ApiClient, project: Project, make_ticket: MakeTicket, webhook: Any, only: Only
) -> None:
    make_ticket()
    api.patch(f"{webhooks_url_of(project)}/{webhook['id']}", {"enabled": False})

    assert refusal(replay(api, project, webhook, only())) == (409, "conflict", None)


@pytest.mark.parametrize("name", ["01990a3c-6f3e-7c52-9d1b-4b8f6f0f2a11", "nonsense", "%00"])
def test_a_delivery_that_is_not_there_is_not_replayed(
    api: ApiClient, project: Project, webhook: Any, name: str
) -> None:
    assert refusal(replay(api, project, webhook, {"id": name}))[0] == 404


# --- Lists -------------------------------------------------------------------


def test_deliveries_are_listed_newest_first_and_by_status(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    receiver.answer = answering(204, 500)
    make_ticket()
    send()
    make_ticket()
    send()

    listed = deliveries_of(api, project, webhook)

    assert [d["status"] for d in listed] == ["pending", "succeeded"]
    assert deliveries_of(api, project, webhook, status="succeeded") == listed[1:]
    assert deliveries_of(api, project, webhook, status="failed") == []


def test_a_status_that_means_nothing_is_refused(
    api: ApiClient, project: Project, webhook: Any
) -> None:
    url = f"{webhooks_url_of(project)}/{webhook['id']}/deliveries"

    assert refusal(api.get(url, status="lost")) == (400, "invalid_choice", "status")


def test_a_list_costs_the_same_however_long_it_is(
    api: ApiClient, project: Project, make_ticket: MakeTicket, webhook: Any
) -> None:
    for _ in range(5):
        make_ticket()
    deliveries_of(api, project, webhook)

    with statements() as found:
        deliveries_of(api, project, webhook)

    # The webhook; its deliveries with their events and count.
    assert len(found) == 2


# --- What is kept, and what is not -------------------------------------------


def test_finished_deliveries_go_with_their_events_and_others_keep_theirs(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    receiver.answer = answering(204, 500)
    for _ in range(2):
        make_ticket()
        send()
    Event.objects.filter(project=project).update(created_at=timezone.now() - timedelta(days=91))

    enqueue(prune_events)
    run_jobs()

    (kept,) = deliveries_of(api, project, webhook)
    assert kept["status"] == "pending"
    # It is there for its delivery alone: the feed shows nothing that old.
    assert [str(event.pk) for event in Event.objects.filter(project=project)] == [kept["event_id"]]
    assert events_of(api, project) == []


def test_erasing_a_person_blanks_what_is_sent_later(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    person = api.post(
        f"/api/projects/{project.pk}/persons", {"distinct_ids": ["u1"], "properties": {}}
    ).json()
    make_ticket(distinct_id="u1", message="I am Ada")

    api.delete(f"/api/projects/{project.pk}/persons/{person['id']}")
    send()

    assert len(receiver.received) == 3
    bodies = [one.verified(webhook["secret"]) for one in receiver.received]
    assert {body["data"]["object"] is None for body in bodies} == {True}
    assert "Ada" not in str(bodies)


def test_erasing_a_person_blanks_what_receivers_answered(
    api: ApiClient, project: Project, make_ticket: MakeTicket, receiver: Receiver, webhook: Any
) -> None:
    receiver.answer = answering(200, body=b"Hello Ada")
    person = api.post(
        f"/api/projects/{project.pk}/persons", {"distinct_ids": ["u1"], "properties": {}}
    ).json()
    make_ticket(distinct_id="u1")
    send()
    assert "Ada" in str(deliveries_of(api, project, webhook))

    api.delete(f"/api/projects/{project.pk}/persons/{person['id']}")
    send()

    assert "Ada" not in str(deliveries_of(api, project, webhook))


def test_erasing_a_person_drops_what_was_told_of_such_an_answer(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
) -> None:
    receiver.answer = answering(200, body=b"Hello Ada")
    persons = f"/api/projects/{project.pk}/persons"
    person = api.post(persons, {"distinct_ids": ["u1"]}).json()
    make_ticket(distinct_id="u1")
    send()
    url = f"{webhooks_url_of(project)}/{webhook['id']}/deliveries/{only()['id']}/replay"
    assert b"Ada" in api.request("POST", url, idempotency_key="one").content

    api.delete(f"{persons}/{person['id']}")

    again = api.request("POST", url, idempotency_key="one")
    assert (again.status_code, again.json()["response_body"]) == (200, "")


def test_erasing_a_person_blanks_what_receivers_answered_to_what_showed_them(
    api: ApiClient,
    project: Project,
    make_ticket: MakeTicket,
    receiver: Receiver,
    webhook: Any,
    only: Only,
) -> None:
    """By an address that is another one now, so that only the event leads to them."""
    receiver.answer = answering(200, body=b"Hello Ada")
    persons = f"/api/projects/{project.pk}/persons"
    ada = {"distinct_ids": ["u1"], "properties": {"email": "ada@example.com"}}
    person = f"{persons}/{api.post(persons, ada).json()['id']}"
    make_ticket(email_from="ada@example.com")
    send()
    url = f"{webhooks_url_of(project)}/{webhook['id']}/deliveries/{only()['id']}/replay"
    assert b"Ada" in api.request("POST", url, idempotency_key="one").content
    api.patch(person, {"properties": {"email": "lovelace@example.com"}})

    api.delete(person)

    assert only()["response_body"] == ""
    assert b"Ada" not in api.request("POST", url, idempotency_key="one").content


GREETING = verbs.Outcome(timedelta(seconds=1), 200, body="Hello Ada")


def test_erasing_a_person_blanks_an_answer_that_is_being_written(
    api: ApiClient, project: Project, make_ticket: MakeTicket, webhook: Any
) -> None:
    person = api.post(
        f"/api/projects/{project.pk}/persons", {"distinct_ids": ["u1"], "properties": {}}
    ).json()
    make_ticket(distinct_id="u1")
    (claimed,) = verbs.claim(1)

    with transaction.atomic():
        verbs.finish(delivery_id=claimed.pk, attempts=0, outcome=GREETING)
        erasing = InBackground(api.delete, f"/api/projects/{project.pk}/persons/{person['id']}")
        wait_until_blocked()
    with erasing:
        assert erasing.result().status_code == 204

    assert "Ada" not in str(deliveries_of(api, project, webhook))


def test_an_answer_that_comes_while_a_person_is_erased_is_not_kept(
    project: Project, make_ticket: MakeTicket, webhook: Any, only: Only
) -> None:
    ticket = make_ticket()
    (claimed,) = verbs.claim(1)

    def finish() -> None:
        verbs.finish(delivery_id=claimed.pk, attempts=0, outcome=GREETING)

    with transaction.atomic():
        events.blank(project_id=project.pk, ticket_ids=[ticket["id"]])
        finishing = InBackground(finish)
        wait_until_blocked()
    with finishing:
        finishing.result()

    assert (only()["status"], only()["response_body"]) == ("succeeded", "")
