"""Kills everything again and again while tickets change, and counts what was lost.

Worker and web server are killed, Redis is killed, PostgreSQL is restarted or killed, at random,
while clients make a thousand tickets and change them over the API. In the end every event of
the record must have reached a webhook's receiver at least once, and every change that was
answered must be in the record. It stops by itself.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
from standardwebhooks import Webhook

from bench import stack
from config import embedded, run
from config.run import say

CLIENTS = 4
# From the first answer after a death to the next death.
PAUSES = (0.2, 2.0)
# So that deaths find messages under way.
RECEIVER_SECONDS = 0.03
# A delivery whose worker died is due again after half a minute.
SETTLE_TIMEOUT = 150.0
TICKETS_TIMEOUT = 180.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of killing: %(default)s")
    parser.add_argument("--tickets", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the deaths")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with contextlib.ExitStack() as started:
            return soak(started, options)
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130
    except (stack.BenchError, run.RunError, embedded.EmbeddedError) as error:
        say(f"\n{error}")
        return 1


def _stop(*args: Any) -> None:
    raise KeyboardInterrupt


def soak(started: contextlib.ExitStack, options: argparse.Namespace) -> int:
    folder = started.enter_context(stack.private_folder())
    os.environ["WEBHOOK_ALLOW_PRIVATE"] = "true"
    postgres, cache = stack.start_servers(started, folder)
    stack.migrate()
    os.environ["PORT"] = str(embedded.free_port())
    web = Child("config.serve", folder / "web.log")
    worker = Child("config.work", folder / "worker.log")
    for child in (web, worker):
        started.callback(child.kill)
        child.start()
    api = Api(int(os.environ["PORT"]), _new_key())
    api.wait_until_it_answers()
    receiver = started.enter_context(running_receiver())
    hook = api.ask("POST", "webhooks", {"url": receiver.url})
    assert hook is not None
    receiver.secret = hook["secret"]

    work = Work(api, options.tickets)
    threads = [threading.Thread(target=work.run, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        with run.step(f"{options.tickets} tickets"):
            work.wait_for_tickets()
        say(f"Killing for {options.seconds:.0f} s (--seed {options.seed}) ...")
        deaths = kill_at_random(
            options.seconds,
            random.Random(options.seed),  # noqa: S311  (deaths, not secrets)
            {
                "worker killed": (worker.kill, worker.start),
                "web server killed": (web.kill, web.start),
                "Redis killed": (cache.kill, cache.start),
                "PostgreSQL restarted": (postgres.stop, postgres.start),
                "PostgreSQL killed": (postgres.kill, postgres.start),
            },
            api,
        )
    finally:
        work.stop.set()
        for thread in threads:
            thread.join()
    say("Waiting until all is delivered ...")
    api.wait_until_it_answers()
    waited = wait_until_delivered(postgres.url)
    return report(api, postgres.url, work, receiver, deaths, waited)


def kill_at_random(
    seconds: float,
    choose: random.Random,
    ways: dict[str, tuple[Callable[[], None], Callable[[], None]]],
    api: "Api",
) -> Counter[str]:
    """Ends one and starts it again, and another, each way about as often; how often each."""
    deaths: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(choose.uniform(*PAUSES))
        rarest = min(deaths[way] for way in ways)
        way = choose.choice([way for way in ways if deaths[way] == rarest])
        end, start = ways[way]
        end()
        start()
        deaths[way] += 1
        # Nothing is lost by who has nothing to do. The worker may still be starting.
        api.wait_until_it_answers()
    return deaths


def wait_until_delivered(database_url: str) -> float:
    began = time.monotonic()
    with psycopg.connect(database_url, autocommit=True) as connection:
        while time.monotonic() - began < SETTLE_TIMEOUT:
            row = connection.execute(
                "SELECT count(*) FROM conversations_delivery WHERE status = 'pending'"
            ).fetchone()
            if row == (0,):
                break
            time.sleep(0.5)
    return time.monotonic() - began


def report(
    api: "Api",
    database_url: str,
    work: "Work",
    receiver: "Receiver",
    deaths: Counter[str],
    waited: float,
) -> int:
    """Says what was found; 1 if anything is missing."""
    events = list(api.events())
    recorded = Counter(event["id"] for event in events)
    told = _told(events)
    received = receiver.events
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*), sum(attempts), count(*) FILTER (WHERE status <> 'succeeded'),"
            " (SELECT count(*) FROM conversations_ticket),"
            " (SELECT count(*) FROM conversations_message) FROM conversations_delivery"
        ).fetchone()
    assert row is not None
    deliveries, attempts, unfinished, tickets, messages = row
    types = Counter(event["type"] for event in events)
    wrong = {
        "events that no receiver got": len(recorded.keys() - received.keys()),
        "events received that are not in the record": len(received.keys() - recorded.keys()),
        "events that the feed shows twice": sum(recorded.values()) - len(recorded),
        "answered changes that are not in the record": len(work.answered - told),
        "deliveries that did not succeed": unfinished,
        "tickets without an event, or the reverse": abs(tickets - types["ticket.created"]),
        "messages without an event, or the reverse": abs(messages - types["message.created"]),
        "messages that did not verify": receiver.unverified,
    }
    say("")
    for name, count in {
        **deaths,
        "requests answered": work.requests["answered"],
        "requests that failed, or whose answer was lost": work.requests["failed"],
        "tickets": tickets,
        "answered changes": len(work.answered),
        "events": len(recorded),
        "deliveries": deliveries,
        "attempts received": sum(received.values()),
        "attempts whose end was written down": attempts,
        "received more than once": sum(1 for count in received.values() if count > 1),
    }.items():
        say(f"{name:<48} {count:>8}")
    say(f"{'seconds until all was delivered':<48} {waited:>8.1f}\n")
    for name, count in wrong.items():
        say(f"{name:<48} {count:>8}{'   <-- WRONG' if count else ''}")
    return 1 if any(wrong.values()) else 0


def _told(events: Sequence[Any]) -> set[str]:
    """What was changed, as `Work` names it, according to the record."""
    told = set()
    for event in events:
        match event["type"]:
            case "ticket.created":
                told.add(event["ticket_id"])
            case "ticket.updated":
                told.update(after for _, after in event["changes"].values())
            case "message.created":
                told.add(event["object"]["content"])
    return told


# What runs


class Child:
    """A process of the service, in a session of its own so that all of it can be killed."""

    def __init__(self, module: str, log: Path) -> None:
        self.command = [sys.executable, "-m", module]
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                cwd=embedded.CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._leash = embedded.leash(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._leash:
            embedded.unleash(self._leash)
        self._process = self._leash = None


def _new_key() -> str:
    project = json.loads(run.manage("create_project", "Soak", "--json", environment=_environment()))
    arguments = ["--project", str(project["id"]), "--label", "soak", "--scopes", "*", "--json"]
    arguments += ["--rate-limit", stack.UNLIMITED]
    key = json.loads(run.manage("create_api_key", *arguments, environment=_environment()))
    return str(key["key"])


def _environment() -> dict[str, str]:
    return dict(os.environ)


@dataclass
class Api:
    """Requests that may fail in every way."""

    port: int
    key: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What was answered with 2xx; else None: nobody knows whether it was done."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, f"/api/projects/@current/{path}", data, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return json.loads(content) if 200 <= response.status < 300 else None

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + stack.READY_TIMEOUT
        while self.ask("GET", "conversations/tickets?limit=1") is None:
            if time.monotonic() > deadline:
                raise stack.BenchError("The service does not answer.")
            time.sleep(0.1)

    def events(self) -> Iterator[Any]:
        """All of the record, as a reader who goes on and on gets it."""
        after = ""
        while True:
            page = self.ask("GET", f"conversations/events?limit=1000{after}")
            if page is None:
                raise stack.BenchError("The events can not be read.")
            if not page["results"]:
                return
            yield from page["results"]
            after = f"&after={page['next_after']}"


@dataclass
class Work:
    """Makes tickets, and then changes them, until told to stop.

    `answered` names what was done for certain: a ticket's id, or a text that only this
    change has.
    """

    api: Api
    wanted: int
    tickets: list[str] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    requests: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)

    def wait_for_tickets(self) -> None:
        deadline = time.monotonic() + TICKETS_TIMEOUT
        while len(self.tickets) < self.wanted:
            if time.monotonic() > deadline:
                raise stack.BenchError(f"Only {len(self.tickets)} tickets could be made.")
            time.sleep(0.1)

    def run(self, number: int) -> None:
        choose = random.Random(number)  # noqa: S311  (no secrets)
        while not self.stop.is_set():
            text = uuid.uuid4().hex
            if len(self.tickets) < self.wanted:
                answer = self.api.ask("POST", "conversations/tickets", {})
                if answer is not None:
                    self.tickets.append(answer["id"])
                    self.answered.add(answer["id"])
            else:
                path = f"conversations/tickets/{choose.choice(self.tickets)}"
                if choose.random() < 0.5:
                    answer = self.api.ask("PATCH", path, {"escalation_reason": text})
                else:
                    answer = self.api.ask("POST", f"{path}/reply", {"message": text})
                if answer is not None:
                    self.answered.add(text)
            self.requests["failed" if answer is None else "answered"] += 1
            if answer is None:
                time.sleep(0.05)


@dataclass
class Receiver:
    """Takes all, and counts how often each event came."""

    url: str
    secret: str = ""
    events: Counter[str] = field(default_factory=Counter)
    unverified: int = 0


@contextlib.contextmanager
def running_receiver() -> Iterator[Receiver]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(RECEIVER_SECONDS)
            try:
                headers = dict(self.headers.items())
                event = Webhook(receiver.secret).verify(body, headers)["data"]["id"]
            except Exception:
                receiver.unverified += 1
            else:
                with lock:
                    receiver.events[event] += 1
            # It may have died meanwhile.
            with contextlib.suppress(OSError):
                self.send_response(204)
                self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    sys.exit(main(sys.argv[1:]))
