"""The races that make a cached count lie, each forced to happen, on real connections."""

import threading
from typing import Any

import pytest
from django.db import transaction

from conversations import unread
from conversations.events.actors import SYSTEM
from conversations.messages.verbs import post_message
from conversations.models import Ticket
from conversations.tickets import verbs
from projects.models import Project
from rest import leases
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.recount import recount
from tests.threads import InBackground, Pause, at_once, wait_until_blocked

CUSTOMER_MESSAGE = {"author_type": "customer", "content": "Hi"}


def test_a_reader_during_the_transaction_can_not_refill_the_old_number(
    reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    """Fails when `forget` runs before the commit."""
    ticket = make_ticket()
    with transaction.atomic():
        _post(ticket)
        with InBackground(reader.get, unread_count_url) as other_connection:
            assert other_connection.result().json() == {"count": 0}

    assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_slow_reader_can_not_store_its_old_number(
    reader: ApiClient,
    writer: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when a number is stored without a valid lease."""
    ticket = make_ticket()
    slow = Pause(unread.recount)
    monkeypatch.setattr(unread, "recount", slow)
    with InBackground(reader.get, unread_count_url) as slow_reader:
        slow.wait_until_reached()
        monkeypatch.undo()
        writer.post(f"{tickets_url}/{ticket['id']}/messages", CUSTOMER_MESSAGE)
        slow.go.set()
        assert slow_reader.result().json() == {"count": 0}

    assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_slow_reader_can_not_store_over_a_newer_number(
    reader: ApiClient,
    writer: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticket = make_ticket()
    slow = Pause(unread.recount)
    monkeypatch.setattr(unread, "recount", slow)
    with InBackground(reader.get, unread_count_url) as slow_reader:
        slow.wait_until_reached()
        monkeypatch.undo()
        writer.post(f"{tickets_url}/{ticket['id']}/messages", CUSTOMER_MESSAGE)
        assert reader.get(unread_count_url).json() == {"count": 1}
        slow.go.set()
        slow_reader.result()

    assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_rolled_back_write_leaves_the_number_alone(
    reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    with transaction.atomic():
        _post(ticket)
        transaction.set_rollback(True)

    assert reader.get(unread_count_url).json() == {"count": 0}


def test_readers_who_miss_together_ask_the_database_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counting(project_id: int) -> int:
        asked.append(project_id)
        return Ticket.objects.in_project(project_id).unread_total()

    monkeypatch.setattr(unread, "recount", counting)
    # A slow machine must not run out of the patience that a waiter has.
    monkeypatch.setattr(unread, "_PATIENCE_SECONDS", 10.0)

    numbers = at_once(*[lambda: unread.count(project.pk)] * 64)

    assert numbers == [0] * 64
    assert len(asked) == 1


def test_a_lease_that_nobody_redeems_holds_a_reader_up_only_briefly(
    reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(message="Hi")
    abandoned = leases.read_or_lease(
        unread.cache_key(Ticket.objects.get(pk=ticket["id"]).project_id)
    )
    assert isinstance(abandoned, leases.Lease)
    assert abandoned.is_mine

    assert reader.get(unread_count_url).json() == {"count": 1}


# --- Reading a ticket --------------------------------------------------------


def test_a_message_that_commits_before_the_mark_is_in_the_answer_that_clears_it(
    reader: ApiClient,
    writer: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the answer does not show stays unread."""
    url = f"{tickets_url}/{make_ticket(message='One')['id']}"
    late = Pause(verbs.mark_read, before=True)
    monkeypatch.setattr(verbs, "mark_read", late)
    with InBackground(reader.get, url) as slow_reader:
        late.wait_until_reached()
        writer.post(f"{url}/messages", CUSTOMER_MESSAGE)
        late.go.set()
        answer = slow_reader.result().json()

    unread_now = reader.get(unread_count_url).json()["count"]
    assert answer["message_count"] + unread_now == 2
    assert answer["unread_team_count"] == 0


def test_a_message_after_the_answer_stays_unread_however_many_read(
    reader: ApiClient,
    writer: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two readers saw one message; between them another one arrives. Subtracting what
    each has seen would end at zero."""
    url = f"{tickets_url}/{make_ticket(message='One')['id']}"
    late = Pause(verbs.mark_read, before=True)
    monkeypatch.setattr(verbs, "mark_read", late)
    with InBackground(reader.get, url) as slow_reader:
        late.wait_until_reached()
        monkeypatch.undo()
        first = reader.get(url).json()
        late.go.set()
        second = slow_reader.result().json()
    writer.post(f"{url}/messages", CUSTOMER_MESSAGE)

    assert [first["message_count"], second["message_count"]] == [1, 1]
    assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_reader_waits_for_a_message_that_is_being_written_and_shows_it(
    reader: ApiClient, tickets_url: str, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    """Fails when position, count and answer come from more than one statement."""
    ticket = make_ticket(message="One")
    with transaction.atomic():
        _post(ticket)
        reading = InBackground(reader.get, f"{tickets_url}/{ticket['id']}")
        wait_until_blocked()
    with reading:
        answer = reading.result().json()

    assert (answer["message_count"], answer["unread_team_count"]) == (2, 0)
    assert reader.get(unread_count_url).json() == {"count": 0}


# --- Many at once ------------------------------------------------------------


def test_under_many_threads_a_count_includes_every_answered_write(
    project: Project, client_for: ClientFor, tickets_url: str, unread_count_url: str
) -> None:
    """Each count lies between the writes answered before it was asked for and those begun
    before it was answered."""
    ledger = _Ledger()

    def work() -> list[tuple[int, int, int]]:
        api = client_for(project, "ticket:write")
        ticket = api.post(tickets_url).json()
        seen = []
        for _ in range(12):
            with ledger.writing():
                api.post(f"{tickets_url}/{ticket['id']}/messages", CUSTOMER_MESSAGE)
            at_least = ledger.answered
            count = api.get(unread_count_url).json()["count"]
            seen.append((at_least, count, ledger.begun))
        return seen

    seen = [entry for thread in at_once(*[work] * 8) for entry in thread]

    assert [entry for entry in seen if not entry[0] <= entry[1] <= entry[2]] == []


def test_under_many_threads_that_do_everything_it_ends_at_the_recount(
    project: Project, client_for: ClientFor, tickets_url: str, unread_count_url: str
) -> None:
    api = client_for(project, "ticket:write")
    tickets = [api.post(tickets_url, {"message": "Hi"}).json()["id"] for _ in range(3)]

    def work(number: int) -> None:
        own = client_for(project, "ticket:write")
        for step in range(10):
            url = f"{tickets_url}/{tickets[(number + step) % len(tickets)]}"
            own.post(f"{url}/messages", CUSTOMER_MESSAGE)
            own.get(unread_count_url)
            own.get(url)
            own.patch(url, {"status": ["resolved", "open", "pending"][(number * step) % 3]})
            own.post(f"{url}/mark_unread") if step % 4 == 0 else own.get(unread_count_url)

    at_once(*[lambda number=number: work(number) for number in range(6)])

    assert api.get(unread_count_url).json() == {"count": recount(project)}


class _Ledger:
    """How many writes were begun, and how many answered."""

    def __init__(self) -> None:
        self.begun = self.answered = 0
        self.lock = threading.Lock()

    def writing(self) -> "_Ledger":
        return self

    def __enter__(self) -> None:
        with self.lock:
            self.begun += 1

    def __exit__(self, *exc: object) -> None:
        with self.lock:
            self.answered += 1


def _post(ticket: Any) -> None:
    row = Ticket.objects.select_for_update().get(pk=ticket["id"])
    post_message(ticket=row, actor=SYSTEM, author_type="customer", content="Hi")
