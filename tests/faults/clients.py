"""Clients that write and read over HTTP while something fails, and note what they see."""

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from conversations.events.models import Event
from conversations.models import Message, Ticket
from projects.models import ApiKey, Project
from tests.conftest import tickets_url_of
from tests.recount import recount
from tests.service import Service

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 30.0
KINDS = {"write", "message", "list", "unread", "cached"}
# A response that takes longer is none: nobody waits for so long.
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """`what` is its status, with the code of an error; monotonic seconds."""

    kind: str
    began: float
    ended: float
    what: str

    @property
    def is_good(self) -> bool:
        return self.what[0] == "2"

    @property
    def took(self) -> float:
        return self.ended - self.began


@dataclass
class Caller:
    """Requests of one key."""

    service: Service
    key: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[str, Any]:
        """What was answered, and its JSON."""
        sent = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.service.port, timeout=ANSWER_SECONDS
        )
        with closing(connection):
            connection.request(method, path, json.dumps(body) if body else None, sent)
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status != 503 or int(response.headers["Retry-After"]) > 0
        code = f" `{answer['code']}`" if response.status >= 400 else ""
        return f"{response.status}{code}", answer


def caller_for(service: Service, project: Project, rate: str = "1000000/minute") -> Caller:
    _, secret = ApiKey.issue(project=project, label="test", scopes=["*"], rate_limits=[rate])
    return Caller(service, secret)


@dataclass
class Clients:
    """Those of a project where much happens, and of one where nothing does, whose unread count
    is cached."""

    service: Service
    busy: Project
    quiet: Project
    answers: list[Answer] = field(default_factory=list)
    # What went wrong in a client itself, such as an answer that is none.
    broken: list[str] = field(default_factory=list)
    # Texts of customers' messages: those that were sent, and those that were taken.
    attempted: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.url = tickets_url_of(self.busy)
        self.caller = caller_for(self.service, self.busy)
        self.quiet_caller = caller_for(self.service, self.quiet)
        assert self.caller.ask("POST", self.url, {"distinct_id": "ada"})[0] == "201"

    @contextmanager
    def running(self) -> Iterator[None]:
        kinds: list[Callable[[], None]] = [
            self.open_a_ticket,
            self.write_a_message,
            self.list_tickets,
            self.count,
            self.count_where_nothing_happens,
        ]
        threads = [threading.Thread(target=self._repeat, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            self.wait_until_well(since=time.monotonic())
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(2 * ANSWER_SECONDS)

    def _repeat(self, kind: Callable[[], None]) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            try:
                kind()
            except Exception as error:
                self.broken.append(f"{kind.__name__}: {error!r}")

    def wait_until_each_is_answered(self, *, since: float) -> None:
        """Waits until every kind of request has been asked and answered, well or not."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not {a.kind for a in self.answers[:] if a.began > since} >= KINDS:
            assert time.monotonic() < deadline, self.broken[-5:]
            time.sleep(0.02)

    def wait_until_well(self, *, since: float) -> float:
        """Waits until every kind of request was answered well; seconds from `since` to then."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            latest = {answer.kind: answer for answer in self.answers[:]}
            after = [a for a in latest.values() if a.is_good and a.began > since]
            if {answer.kind for answer in after} >= KINDS:
                bad = [a.ended for a in self.answers[:] if not a.is_good and a.ended > since]
                return max([since, *bad]) - since
            assert time.monotonic() < deadline, (latest, self.broken[-5:])
            time.sleep(0.02)

    # --- What they do ---

    def open_a_ticket(self) -> None:
        """As a careful client does: again, with the same key, until it has an answer."""
        text = uuid.uuid4().hex
        self.attempted.add(text)
        while not self._stop.is_set():
            status, _ = self._note(
                "write", self.caller, "POST", self.url, {"message": text}, Idempotency_Key=text
            )
            if status == "201":
                self.acknowledged.add(text)
                return
            # Its twin may still run, where nobody has told the server that it is given up.
            assert status[:3] in ("503", "409"), status
            time.sleep(PAUSE_SECONDS)

    def write_a_message(self) -> None:
        text = uuid.uuid4().hex
        self.attempted.add(text)
        body = {"author_type": "customer", "content": text}
        status, _ = self._note("message", self.caller, "POST", f"{self.url}/1/messages", body)
        if status == "201":
            self.acknowledged.add(text)

    def list_tickets(self) -> None:
        self._note("list", self.caller, "GET", f"{self.url}?limit=3")

    def count(self) -> None:
        """Never older than what was answered before, never more than what was sent."""
        at_least = len(self.acknowledged)
        status, answer = self._note("unread", self.caller, "GET", f"{self.url}/unread_count")
        if status == "200" and not at_least <= answer["count"] <= len(self.attempted):
            self.broken.append(f"unread: {at_least} <= {answer} <= {len(self.attempted)}")

    def count_where_nothing_happens(self) -> None:
        path = f"{tickets_url_of(self.quiet)}/unread_count"
        status, answer = self._note("cached", self.quiet_caller, "GET", path)
        assert (status, answer) == ("200", {"count": 0}), (status, answer)

    def _note(
        self, kind: str, caller: Caller, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[str, Any]:
        began = time.monotonic()
        status, answer = caller.ask(method, path, body, **headers)
        self.answers.append(Answer(kind, began, time.monotonic(), status))
        return status, answer

    # --- What came of it ---

    def check_that_all_is_there_once(self) -> None:
        """What was answered is there, nothing is there twice, and all counts are right."""
        messages = Message.objects.filter(ticket__project=self.busy)
        stored = Counter(messages.values_list("content", flat=True))
        assert self.acknowledged - stored.keys() == set()
        assert [text for text, times in stored.items() if times > 1] == []
        assert stored.keys() - self.attempted == set()
        numbers = Ticket.objects.filter(project=self.busy).values_list("ticket_number", flat=True)
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        events = Event.objects.filter(project=self.busy)
        assert events.filter(type="message.created").count() == len(stored)
        assert events.filter(type="ticket.created").count() == len(numbers)
        _, answer = self.caller.ask("GET", f"{self.url}/unread_count")
        assert answer == {"count": len(stored)} == {"count": recount(self.busy)}
