"""What clients see while PostgreSQL or Redis fail, and that nothing is lost and all is well after.

Real clients ask the real web server. docs/reliability.md says for operators what is seen here.
"""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import psutil
import psycopg
import pytest
from django.db import connection
from django_redis import get_redis_connection
from redis import Redis

from config.embedded import Server
from conversations import unread
from conversations.models import Ticket
from projects.models import Project
from tests.conftest import tickets_url_of
from tests.faults import document
from tests.faults.clients import PATIENCE_SECONDS, Answer, Caller, Clients, caller_for
from tests.faults.proxy import Proxy, running_proxy
from tests.service import Service, _database_url, running_service
from tests.threads import at_once

# One service for all of them, and so one worker of the tests.
pytestmark = pytest.mark.xdist_group("faults")

STATEMENT_SECONDS = 1
# So much longer than they should a busy machine may take.
BUSY_SECONDS = 4.0
# A fault of the servers is nothing else to a client; a 409: its first try still runs.
REGULAR = {"200", "201", "503 `unavailable`", "503 `timeout`", "409 `conflict`"}


@dataclass(frozen=True)
class Network:
    """The web server behind proxies, in one process that may be killed."""

    service: Service
    redis: Proxy
    postgres: Proxy


@pytest.fixture(scope="module")
def web(database: None) -> Iterator[Service]:
    """For the faults of PostgreSQL, where cached counts are promised: a busy machine may keep
    Redis waiting for longer than REDIS_TIMEOUT usually is."""
    with running_service(STATEMENT_TIMEOUT=str(STATEMENT_SECONDS), REDIS_TIMEOUT="2") as running:
        yield running


@pytest.fixture(scope="module")
def web_as_usual(database: None) -> Iterator[Service]:
    """For the faults of Redis."""
    with running_service() as running:
        yield running


@pytest.fixture(scope="module")
def network(database: None) -> Iterator[Network]:
    with ExitStack() as stack:
        proxies = {}
        addresses = {"DATABASE_URL": _database_url(), "REDIS_URL": os.environ["REDIS_URL"]}
        for variable, url in addresses.items():
            port = int(url.rpartition(":")[2].partition("/")[0])
            proxy = proxies[variable] = stack.enter_context(running_proxy(port))
            addresses[variable] = url.replace(f":{port}/", f":{proxy.port}/")
        environment = {**addresses, "WEB_WORKERS": "1", "WEB_THREADS": "8", "REDIS_TIMEOUT": "1"}
        service = stack.enter_context(running_service(**environment))
        yield Network(service, proxies["REDIS_URL"], proxies["DATABASE_URL"])


@dataclass(frozen=True)
class Servers:
    """What may fail."""

    postgres: Server
    redis: Server
    network: Callable[[], Network]
    web: Callable[[], Service]
    web_as_usual: Callable[[], Service]

    def service_for(self, fault: "Fault") -> Service:
        if fault.behind_proxies:
            return self.network().service
        return self.web_as_usual() if fault.limited else self.web()


@pytest.fixture
def servers(
    postgres_server: Server, redis_server: Server, request: pytest.FixtureRequest
) -> Iterator[Servers]:
    # Each is started when the first test needs it.
    services = [
        functools.partial(request.getfixturevalue, name)
        for name in ("network", "web", "web_as_usual")
    ]
    yield Servers(postgres_server, redis_server, *services)
    # What is left of the connection may be of a server that is no more.
    connection.close()


# --- The faults --------------------------------------------------------------


@contextmanager
def redis_is_killed(servers: Servers, busy: Project) -> Iterator[None]:
    servers.redis.kill()
    yield
    servers.redis.start()


@contextmanager
def redis_is_paused(servers: Servers, busy: Project) -> Iterator[None]:
    servers.redis.pause()
    yield
    servers.redis.resume()


@contextmanager
def redis_is_full(servers: Servers, busy: Project) -> Iterator[None]:
    with Redis.from_url(servers.redis.url) as redis:
        redis.config_set("maxmemory", 1)
        yield
        redis.config_set("maxmemory", 0)


def redis_is_slow(seconds: float) -> Callable[[Servers, Project], AbstractContextManager[None]]:
    @contextmanager
    def happen(servers: Servers, busy: Project) -> Iterator[None]:
        proxy = servers.network().redis
        proxy.delay = seconds
        yield
        proxy.delay = 0

    return happen


@contextmanager
def postgres_is_killed(servers: Servers, busy: Project) -> Iterator[None]:
    servers.postgres.kill()
    yield
    servers.postgres.start()


@contextmanager
def postgres_is_stopped(servers: Servers, busy: Project) -> Iterator[None]:
    servers.postgres.stop()
    yield
    servers.postgres.start()


@contextmanager
def postgres_is_paused(servers: Servers, busy: Project) -> Iterator[None]:
    servers.postgres.pause()
    yield
    servers.postgres.resume()


@contextmanager
def postgres_refuses(servers: Servers, busy: Project) -> Iterator[None]:
    name = connection.settings_dict["NAME"]
    maintenance = servers.postgres.url.rpartition("/")[0] + "/postgres"
    with psycopg.connect(maintenance, autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            yield
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@contextmanager
def a_ticket_is_locked(servers: Servers, busy: Project) -> Iterator[None]:
    with psycopg.connect(_database_url()) as other:
        other.execute(
            "SELECT id FROM conversations_ticket WHERE project_id = %s AND ticket_number = 1"
            " FOR UPDATE",
            [busy.pk],
        )
        yield
        other.rollback()


@contextmanager
def a_table_is_locked(servers: Servers, busy: Project) -> Iterator[None]:
    with psycopg.connect(_database_url()) as other:
        other.execute("LOCK TABLE conversations_ticket IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@contextmanager
def writes_take_for_ever(servers: Servers, busy: Project) -> Iterator[None]:
    with psycopg.connect(_database_url(), autocommit=True) as other:
        other.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
        )
        other.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON conversations_message"
            " FOR EACH ROW EXECUTE FUNCTION slow()"
        )
        try:
            yield
        finally:
            other.execute("DROP FUNCTION slow CASCADE")


@dataclass(frozen=True)
class Fault:
    name: str
    happen: Callable[[Servers, Project], AbstractContextManager[None]]
    # What holds, for the operator; everything else of the row is measured.
    holds: str
    # No answer takes longer, on a machine that has nothing else to do.
    longest: float
    # At least so long; longer than any answer may take.
    lasts: float = 1.5
    recovers_within: float = 1.0
    # Whether nobody who asks after it sees anything of it.
    ends_at_once: bool = True
    behind_proxies: bool = False
    # Of a key that may call once a minute: what two calls of it are answered.
    limited: tuple[str, ...] = ()


LET_THROUGH, KEPT = ("200", "200"), ("200", "429 `throttled`")
FAULTS = [
    Fault(
        "Redis is killed, and starts again empty",
        redis_is_killed,
        "Counts come from PostgreSQL, and are right. Rate limits let everything through.",
        longest=0.5,
        limited=LET_THROUGH,
    ),
    Fault(
        "Redis hangs (SIGSTOP)",
        redis_is_paused,
        "The same. Each process asks Redis again once a second, and every write tells it what"
        " to forget: each costs `REDIS_TIMEOUT`.",
        longest=1.5,
        limited=LET_THROUGH,
    ),
    Fault(
        "Redis is full (`maxmemory`, `noeviction`)",
        redis_is_full,
        "Counts come from PostgreSQL, and are right: a full Redis still forgets. Rate limits"
        " let everything through that was not counted before.",
        longest=0.5,
        limited=LET_THROUGH,
    ),
    Fault(
        "Redis takes 0.1 s, within `REDIS_TIMEOUT`",
        redis_is_slow(0.1),
        "All works, and takes 0.1 s longer for each time that Redis is asked. Rate limits are"
        " kept.",
        longest=1.5,
        behind_proxies=True,
        limited=KEPT,
    ),
    Fault(
        "Redis takes 2 s, beyond `REDIS_TIMEOUT`",
        redis_is_slow(2.0),
        "As if it hung.",
        longest=4.0,
        lasts=3.0,
        recovers_within=2.0,
        behind_proxies=True,
        limited=LET_THROUGH,
    ),
    Fault(
        "PostgreSQL is killed, and starts again",
        postgres_is_killed,
        "Nothing that was answered is lost, nothing is done twice. Streams and workers go on"
        " by themselves.",
        longest=0.5,
    ),
    Fault(
        "PostgreSQL is shut down, and starts again",
        postgres_is_stopped,
        "The same.",
        longest=0.5,
    ),
    Fault(
        "PostgreSQL refuses connections",
        postgres_refuses,
        "The same.",
        longest=0.5,
    ),
    Fault(
        "PostgreSQL hangs (SIGSTOP)",
        postgres_is_paused,
        "A statement under way ends after `STATEMENT_TIMEOUT` and 3 s, a new request after 3 s,"
        " others of the process at once. A commit that was under way may be done when"
        " PostgreSQL goes on.",
        longest=STATEMENT_SECONDS + 3.5,
        lasts=7.0,
        ends_at_once=False,
    ),
    Fault(
        "Somebody holds the lock of one ticket",
        a_ticket_is_locked,
        "Writes to that ticket wait, and nothing of them is done after `STATEMENT_TIMEOUT`;"
        " all others go on.",
        longest=STATEMENT_SECONDS + 0.5,
        lasts=2.5,
    ),
    Fault(
        "Somebody locks the table of tickets",
        a_table_is_locked,
        "Whoever needs it waits, and nothing is done after `STATEMENT_TIMEOUT`.",
        longest=STATEMENT_SECONDS + 0.5,
        lasts=2.5,
    ),
    Fault(
        "A statement of a write takes too long",
        writes_take_for_ever,
        "It is ended after `STATEMENT_TIMEOUT`, and nothing of its request is done.",
        longest=STATEMENT_SECONDS + 0.5,
        lasts=2.5,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_clients_see_what_the_document_says_and_nothing_is_lost(
    fault: Fault, servers: Servers, project: Project, neighbour: Project
) -> None:
    service = servers.service_for(fault)
    clients = Clients(service, busy=project, quiet=neighbour)
    once_a_minute = caller_for(service, neighbour, "1/minute")
    connection.close()

    with clients.running():
        before = time.monotonic()
        with fault.happen(servers, project):
            began = time.monotonic()
            ready = readiness(service)
            limited = tuple(count(once_a_minute, neighbour)[0] for _ in fault.limited)
            time.sleep(max(0, began + fault.lasts - time.monotonic()))
            clients.wait_until_each_is_answered(since=began)
            ended = time.monotonic()
        over = time.monotonic()
        if not fault.ends_at_once:
            # One process may be well while another, which met it last, still pauses.
            time.sleep(1.5)
        unused = wait_until_redis_is_used(neighbour) if fault.limited else 0.0
        recovered = max(clients.wait_until_well(since=over), unused)

    answers = [answer for answer in clients.answers if answer.ended > before]
    seen = [answer for answer in answers if began < answer.began < ended]
    during = [answer for answer in seen if answer.ended < ended]
    assert clients.broken == []
    clients.check_that_all_is_there_once()
    assert {answer.what for answer in answers} <= REGULAR
    assert {a.what for a in of(during, "unread")} <= {"200", *whats(of(during, "list"))}
    assert limited == fault.limited
    # Nobody waits until it is over. (A busy machine may answer after the end of a short one.)
    if fault.lasts > BUSY_SECONDS:
        assert [a for a in answers if a.began < began + 0.2 and a.ended > ended] == []
    late = [answer.what for answer in answers if answer.began > over and not answer.is_good]
    assert late == [] or not fault.ends_at_once
    longest = max(answer.took for answer in answers)
    assert longest < fault.longest + BUSY_SECONDS
    assert recovered < fault.recovers_within + BUSY_SECONDS
    document.hold(
        document.Row(
            fault.name,
            cached=alike(of(during, "cached")),
            reads=alike(of(during, "list")),
            writes=alike(of(during, "write", "message")),
            ready=ready,
            reads_took=times(of(seen, "list", "unread")),
            writes_took=times(of(seen, "write", "message")),
            recovered=document.in_words(recovered),
            holds=fault.holds,
        )
    )


def count(caller: Caller, project: Project) -> tuple[str, Any]:
    return caller.ask("GET", f"{tickets_url_of(project)}/unread_count")


def readiness(service: Service) -> str:
    with closing(service.connect()) as client:
        client.request("GET", "/readyz")
        response = client.getresponse()
        cache = json.loads(response.read())["cache"]
    return f"{response.status}" if cache == "ok" else f"{response.status}, cache down"


def wait_until_redis_is_used(project: Project) -> float:
    """Seconds until the project's count, for which its clients go on to ask, is cached anew."""
    began = time.monotonic()
    key, redis = unread.cache_key(project.pk), get_redis_connection("default")
    redis.delete(key)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not redis.exists(key):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return time.monotonic() - began


def of(answers: list[Answer], *kinds: str) -> list[Answer]:
    return [answer for answer in answers if answer.kind in kinds]


def whats(answers: list[Answer]) -> set[str]:
    return {answer.what for answer in answers}


def alike(answers: list[Answer]) -> str:
    return " or ".join(sorted(whats(answers)))


def times(answers: list[Answer]) -> str:
    """Median and maximum."""
    took = sorted(answer.took for answer in answers)
    return f"{document.in_words(took[len(took) // 2])}, {document.in_words(took[-1])}"


def test_a_restart_of_postgresql_that_nobody_met_is_noticed_by_nobody(
    servers: Servers, project: Project
) -> None:
    caller = caller_for(servers.web(), project)
    # As many as reach the threads of both processes, which keep their connections.
    ask = [lambda: caller.ask("GET", tickets_url_of(project))[0]] * 8
    assert set(at_once(*ask)) == {"200"}
    connection.close()
    servers.postgres.kill()
    servers.postgres.start()

    assert set(at_once(*ask)) == {"200"}


# --- A write whose answer is lost --------------------------------------------

BEFORE = "The connection to PostgreSQL breaks before a commit"
AFTER = "The connection to PostgreSQL breaks after a commit"
KILLED = "A web process is killed between commit and answer"


@pytest.mark.parametrize(
    ("fault", "is_done", "holds"),
    [
        (BEFORE, False, "Nothing of the write is done; it can be repeated."),
        (
            AFTER,
            True,
            "The write is done, and counted at once, although the answer is a 503. Repeated with"
            " its `Idempotency-Key` it is not done again; without, it would be.",
        ),
    ],
)
def test_a_write_whose_connection_breaks_is_repeated_and_done_once(
    servers: Servers, project: Project, fault: str, is_done: bool, holds: str
) -> None:
    network = servers.network()
    caller = caller_for(network.service, project)
    assert count(caller, project) == ("200", {"count": 0})
    if is_done:
        network.postgres.at_commit = lambda: None
    else:
        network.postgres.before_commit = lambda: None

    answer = post_once(caller, project)

    assert Ticket.objects.filter(project=project).count() == is_done
    # Nobody has to repeat it for that.
    assert count(caller, project) == ("200", {"count": int(is_done)})
    over = time.monotonic()
    assert repeat_until_answered(caller, project) == "201"
    recovered = time.monotonic() - over
    assert Ticket.objects.filter(project=project).count() == 1
    assert count(caller, project) == ("200", {"count": 1})
    assert answer.took < 0.5 + BUSY_SECONDS
    document.hold(
        document.Row(
            fault,
            cached="-",
            reads="-",
            writes=answer.what,
            ready="-",
            reads_took="-",
            writes_took=document.in_words(answer.took),
            recovered=document.in_words(recovered),
            holds=holds,
        )
    )


def test_a_process_killed_between_commit_and_answer_has_opened_one_ticket(
    servers: Servers, project: Project
) -> None:
    network = servers.network()
    caller = caller_for(network.service, project)
    assert count(caller, project) == ("200", {"count": 0})
    processes = psutil.Process(network.service.process.pid).children(recursive=True)

    def kill() -> None:
        for process in processes:
            process.kill()

    network.postgres.at_commit = kill
    with pytest.raises((ConnectionError, HTTPException)):
        post_once(caller, project)
    over = time.monotonic()
    assert Ticket.objects.filter(project=project).count() == 1
    # It was killed before it could forget the old count.
    assert get_redis_connection("default").get(unread.cache_key(project.pk)) == b"0"

    assert repeat_until_answered(caller, project) == "201"

    recovered = time.monotonic() - over
    assert count(caller, project) == ("200", {"count": 1})
    assert Ticket.objects.filter(project=project).count() == 1
    document.hold(
        document.Row(
            KILLED,
            cached="-",
            reads="-",
            writes="no answer",
            ready="-",
            reads_took="-",
            writes_took="-",
            recovered=document.in_words(recovered),
            holds="A new process takes its place. Repeated with its `Idempotency-Key` the write is"
            " not done again, and counted; until then the count may lack it, for up to 30 s.",
        )
    )


def post_once(caller: Caller, project: Project) -> Answer:
    began = time.monotonic()
    body = {"message": "Hi"}
    status, _ = caller.ask("POST", tickets_url_of(project), body, Idempotency_Key="one")
    return Answer("write", began, time.monotonic(), status)


def repeat_until_answered(caller: Caller, project: Project) -> str:
    """As a client does for whom a 409 means that the first try still runs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with suppress(ConnectionError, HTTPException):
            if (what := post_once(caller, project).what)[:3] not in ("409", "503"):
                return what
        time.sleep(0.05)
    raise AssertionError("It is not answered.")
