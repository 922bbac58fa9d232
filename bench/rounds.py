"""How it is measured: in short rounds, reference and service in turn.

Both stand next to each other in time, so that whatever else the machine does falls on both, and
the ratio of one round says more than two figures from different minutes.
"""

import http.client
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import psutil
import redis

from bench import load
from bench.load import Answers, Generator, Job, LoadError
from bench.stack import Web


@dataclass(frozen=True)
class Target:
    """Requests to one web server, sent in turn, and how to tell a right answer.

    Every answer is held to the status; `is_right` looks at the body of the first one, before
    anything is measured. With `before`, which is done before each, they are sent one by one.
    With `each_is_cached` each has been sent once before a round. `read` makes of the answer's
    bytes what `is_right` looks at.
    """

    web: Web
    requests: Sequence[bytes]
    is_right: Callable[[Any], bool]
    status: int = 200
    before: Callable[[], None] | None = None
    each_is_cached: bool = False
    read: Callable[[bytes], Any] = json.loads


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: float


@dataclass(frozen=True)
class Round:
    """One round against one target; CPU in seconds for one request, by what has used it.

    `trips` are Redis's reads from its connections for one request.
    """

    answers: Answers
    cpu: dict[str, float]
    trips: float


@dataclass
class Side:
    """A target and its rounds."""

    target: Target
    rounds: list[Round] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(measured.answers.per_second for measured in self.rounds)

    def cpu(self, user: str) -> float:
        return statistics.median(measured.cpu[user] for measured in self.rounds)

    @property
    def whole_cpu(self) -> float:
        """Of the web server, PostgreSQL and Redis together."""
        return statistics.median(sum(measured.cpu.values()) for measured in self.rounds)

    @property
    def trips(self) -> float:
        return statistics.median(measured.trips for measured in self.rounds)

    def seconds(self, percent: int = 50) -> float:
        """So long or shorter took so many answers in a hundred."""
        return percentile(
            sorted(one for measured in self.rounds for one in measured.answers.latencies), percent
        )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The least value that `percent` in a hundred do not exceed, of values in ascending order."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass(frozen=True)
class Trace:
    """What one request asks of PostgreSQL, and how long that takes.

    BEGIN, COMMIT, and the look whether the connection still works do not count.
    """

    statements: int
    seconds: float


@dataclass
class Pair:
    """What is measured side by side; `failure` is what has ended it."""

    service: Side
    reference: Side | None
    connections: int
    failure: str | None = None
    trace: Trace | None = None

    @property
    def asked(self) -> Trace:
        assert self.trace is not None
        return self.trace

    @property
    def sides(self) -> list[Side]:
        return [self.service] if self.reference is None else [self.reference, self.service]

    @property
    def speeds(self) -> list[float]:
        """Requests per second of the service as a part of the reference's, by round."""
        assert self.reference is not None
        rounds = zip(self.service.rounds, self.reference.rounds, strict=True)
        return [ours.answers.per_second / theirs.answers.per_second for ours, theirs in rounds]


@dataclass(frozen=True)
class Bench:
    """`generator` is the load; `stores` are the processes whose CPU counts beside the web's."""

    plan: Plan
    generator: Generator
    stores: dict[str, int]
    cache: redis.Redis

    def measure(self, pairs: Sequence[Pair], tick: Callable[[], None]) -> None:
        """All rounds of all pairs, after one of each that only warms up; `tick` after each."""
        for number in range(self.plan.rounds + 1):
            for pair in pairs:
                if pair.failure is None:
                    try:
                        self._one_round(pair, number)
                    except (LoadError, OSError) as error:
                        pair.failure = str(error)
                tick()

    def _one_round(self, pair: Pair, number: int) -> None:
        if number == 0:
            for side in pair.sides:
                check(side.target)
                if side.target.each_is_cached:
                    for each in side.target.requests:
                        fetch(side.target.web, each)
        # Who comes second may find a hotter processor, so they take turns.
        for side in pair.sides if number % 2 else reversed(pair.sides):
            measured = self.run(side.target, pair.connections)
            if number > 0:
                side.rounds.append(measured)

    def run(self, target: Target, connections: int) -> Round:
        """One round against a target; raises LoadError on the first wrong answer."""
        job = Job(
            port=target.web.port,
            requests=target.requests,
            status=target.status,
            connections=connections,
            seconds=self.plan.seconds,
        )
        pids = {"web": target.web.pid, **self.stores}
        before = cpu_seconds(pids)
        reads = self._reads()
        answers = _one_by_one(target, job) if target.before else self.generator.send(job)
        # The question itself is one.
        trips = (self._reads() - reads - 1) / len(answers)
        cpu = {
            name: (seconds - before[name]) / len(answers)
            for name, seconds in cpu_seconds(pids).items()
        }
        return Round(answers, cpu, trips)

    def _reads(self) -> int:
        return int(self.cache.info("stats")["total_reads_processed"])


def _one_by_one(target: Target, job: Job) -> Answers:
    assert target.before is not None
    answers, following = Answers(), cycle(job.requests)
    deadline = time.monotonic() + job.seconds
    while time.monotonic() < deadline:
        target.before()
        one = Job(job.port, [next(following)], job.status, connections=1, seconds=0)
        answers.latencies += load.send(one).latencies
    answers.per_second = len(answers) / sum(answers.latencies)
    return answers


def check(target: Target) -> None:
    """Sends the first request and looks at the answer; raises LoadError when it is wrong."""
    status, content = fetch(target.web, target.requests[0])
    if status != target.status or not target.is_right(target.read(content)):
        beginning = content[:1000].decode(errors="replace")
        line = target.requests[0].partition(b"\r\n")[0].decode()
        raise LoadError(f"{line} has the wrong answer: {status} {beginning}")


def fetch(web: Web, request: bytes) -> tuple[int, bytes]:
    """One answer to one request."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    try:
        connection.request(
            method, path, body=body, headers=dict(line.split(": ", 1) for line in fields)
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def cpu_seconds(roots: dict[str, int]) -> dict[str, float]:
    """CPU that processes and their children have used, those that have ended included."""
    used: dict[int, float] = {}
    children: dict[int, list[int]] = defaultdict(list)
    # One look at all, since each that asks for a process's children is such a look.
    for process in psutil.process_iter(["ppid", "cpu_times"]):
        times = process.info["cpu_times"]
        children[process.info["ppid"]].append(process.pid)
        if times is not None:
            own, ended = times.user + times.system, times.children_user + times.children_system
            used[process.pid] = own + ended

    def total(pid: int) -> float:
        return used.get(pid, 0.0) + sum(map(total, children[pid]))

    return {name: total(pid) for name, pid in roots.items()}
