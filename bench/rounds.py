"""How it is measured: in short rounds, reference and service in turn.

Both stand next to each other in time, so that whatever else the machine does falls on both, and
the ratio of one round says more than two figures from different minutes.
"""

import http.client
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from bench.load import Answers, Generator, Job, LoadError
from bench.rows import Target


@dataclass(frozen=True)
class Plan:
    rounds: int
    seconds: float
    connections: int


@dataclass(frozen=True)
class Round:
    """One round against one target; CPU in seconds for one request, by what has used it."""

    answers: Answers
    cpu: dict[str, float]


@dataclass
class Pair:
    """A row's two targets and their rounds; `failure` is what has ended them."""

    title: str
    service: Target
    reference: Target
    service_rounds: list[Round] = field(default_factory=list)
    reference_rounds: list[Round] = field(default_factory=list)
    failure: str | None = None

    @property
    def ratios(self) -> list[float]:
        """Requests per second of the service as a part of the reference's, by round."""
        rounds = zip(self.service_rounds, self.reference_rounds, strict=True)
        return [ours.answers.per_second / theirs.answers.per_second for ours, theirs in rounds]


@dataclass(frozen=True)
class Bench:
    """`send` is the load; `stores` are the processes whose CPU counts beside the web server's."""

    plan: Plan
    generator: Generator
    stores: dict[str, int]

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
        sides = [(pair.reference, pair.reference_rounds), (pair.service, pair.service_rounds)]
        if number == 0:
            for target, _ in sides:
                check(target)
        # Who comes second may find a hotter processor, so they take turns.
        for target, rounds in sides if number % 2 else reversed(sides):
            measured = self.run(target)
            if number > 0:
                rounds.append(measured)

    def run(self, target: Target) -> Round:
        """One round against a target; raises LoadError on the first wrong answer."""
        pids = {"web": target.web.pid, **self.stores}
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        answers = self.generator.send(
            Job(
                port=target.web.port,
                requests=target.requests,
                status=target.status,
                connections=self.plan.connections,
                seconds=self.plan.seconds,
            )
        )
        spent = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        return Round(answers, {name: cpu / len(answers) for name, cpu in spent.items()})


def check(target: Target) -> None:
    """Sends the first request and looks at the answer; raises LoadError when it is wrong."""
    head, _, body = target.requests[0].partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", target.web.port, timeout=20)
    try:
        connection.request(
            method, path, body=body, headers=dict(line.split(": ", 1) for line in fields)
        )
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != target.status or not target.is_right(json.loads(content)):
        beginning = content[:1000].decode(errors="replace")
        raise LoadError(f"{method} {path} has the wrong answer: {answer.status} {beginning}")


def cpu_seconds(pid: int) -> float:
    """CPU that a process and its children have used, those that have ended included."""
    process = psutil.Process(pid)
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        try:
            used = member.cpu_times()
        except psutil.NoSuchProcess:
            # It has ended just now, and is counted with its parent from the next time on.
            continue
        total += used.user + used.system + used.children_user + used.children_system
    return total
