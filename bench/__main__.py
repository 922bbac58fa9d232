"""`make bench`: the service beside its references, as tables. It stops by itself.

make bench                     all rows, and bench/RESULTS.md anew
make bench ONLY=list           some of them: all whose name begins so, or several with commas
make bench ARGS="--rounds 9"   see --help

The first run makes a million tickets, which takes minutes; they are kept for the next ones.
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psycopg
import redis

from bench import report, rows, stack
from bench.load import Generator, LoadError
from bench.rounds import Bench, Pair, Plan, Side
from bench.rows import ROWS, Row
from bench.special import SPECIAL, Site
from bench.targets import Finding
from bench.world import Servers, World
from config import embedded, run
from config.run import say

FULL_SIZE, SMALLEST = 1_000_000, 2_000
# What takes seconds to make is not worth its place on the disk.
KEPT = 100_000
RESULTS = Path(__file__).parent / "RESULTS.md"


class Stop(BaseException):
    """Somebody asked for the end: Ctrl-C, SIGTERM, or a closed terminal."""


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    _on_signals(_raise_stop)
    try:
        with contextlib.ExitStack() as started:
            try:
                return bench(started, options)
            finally:
                # A second Ctrl-C must not interrupt the stopping, which has its own time-outs.
                _on_signals(signal.SIG_IGN)
    except Stop:
        say("\nStopped.")
        return 130
    except (stack.BenchError, run.RunError, embedded.EmbeddedError, LoadError) as error:
        say(f"\n{error}")
        return 1


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default=os.environ.get("ONLY") or "", help="beginnings of names")
    parser.add_argument("--tickets", type=int, default=FULL_SIZE, help="in the measured project")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one round")
    parser.add_argument("--requests", type=int, default=200_000, help="for the row of memory")
    parser.add_argument("--streams", type=int, default=1_000)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of the idle streams")
    options = parser.parse_args(arguments)
    options.only = tuple(options.only.split(","))
    options.rows = [name for name in _names() if name.startswith(options.only)]
    if not options.rows:
        parser.error(f"There is no row {options.only[0]!r}; there are {', '.join(_names())}.")
    numbers = (options.rounds, options.seconds, options.requests, options.streams, options.idle)
    if min(numbers) <= 0:
        parser.error("The numbers must be positive.")
    if options.tickets < SMALLEST:
        parser.error(f"At least {SMALLEST} tickets are needed.")
    return options


def bench(started: contextlib.ExitStack, options: argparse.Namespace) -> int:
    plan = Plan(options.rounds, options.seconds)
    folder = started.enter_context(stack.private_folder())
    postgres, cache = stack.start_servers(
        started,
        folder,
        data=stack.kept_folder(str(options.tickets)) if options.tickets >= KEPT else None,
    )
    world = _world(postgres, options.tickets)
    servers = Servers(started, folder)
    generator = Generator(processes=max(1, (os.cpu_count() or 1) // 4))
    started.callback(generator.close)
    client = started.enter_context(redis.Redis.from_url(cache.url))
    harness = Bench(plan, generator, {"postgres": _pid(postgres), "redis": _pid(cache)}, client)
    results = Results()

    pairs = {name: _pair(ROWS[name], servers, world) for name in options.rows if name in ROWS}
    with run.step("Rounds"):
        harness.measure(list(pairs.values()), tick=lambda: say(".", end=""))
        # The best of a few, as other work on the machine can only lower it.
        limit = rows.constant(servers, world)
        capacity = max(harness.run(limit, rows.MANY).answers.per_second for _ in range(3))
    with run.step("Statements"):
        for name, pair in pairs.items():
            results.add_row(ROWS[name], pair)
    site = Site(
        started,
        folder,
        servers,
        world,
        postgres,
        harness,
        requests=options.requests,
        streams=options.streams,
        idle=options.idle,
    )
    for name in options.rows:
        if name in SPECIAL:
            results.add_special(*SPECIAL[name], site)

    from config import settings

    machine = report.machine(
        postgres=_postgres_version(postgres.url),
        redis=str(client.info("server")["redis_version"]),
        workers=settings.WEB_WORKERS,
        threads=settings.WEB_THREADS,
        tickets=world.shop.tickets,
    )
    shown = [results.tables(), report.how_to_read(plan, rows.MANY, capacity), machine]
    say("\n" + "\n\n".join(shown) + "\n")
    if options.rows == _names() and options.tickets == FULL_SIZE and not results.failures:
        report.write(RESULTS, shown)
    for title, failure in results.failures.items():
        say(f"\nFAILED  {title}: {failure}")
    if results.failures:
        say(f"\nWhat went wrong in the servers:\n{_complaints(folder)}")
    return 1 if results.failures else 0


@dataclass
class Results:
    """Lines of the two tables, and what went wrong, by row."""

    figures: list[list[str]] = field(default_factory=list)
    findings: list[list[str]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add_row(self, row: Row, pair: Pair) -> None:
        from bench.trace import trace

        try:
            if pair.failure is None:
                pair.trace = trace(pair.service.target)
        except LoadError as error:
            pair.failure = str(error)
        if pair.failure is not None:
            self.failures[f"{row.title}, {row.against}"] = pair.failure
            return
        self.figures.append(report.figures(row.title, row.against, pair))
        found = [rule(pair) for rule in row.rules]
        self.findings += report.findings(row.title, row.against, found)

    def add_special(self, title: str, measure: Callable[[Site], list[Finding]], site: Site) -> None:
        try:
            self.findings += report.findings(title, "", measure(site))
        except (LoadError, stack.BenchError, OSError) as error:
            self.failures[title] = str(error)

    def tables(self) -> str:
        return report.tables(self.figures, self.findings)


def _complaints(folder: Path) -> str:
    """The end of what they have logged, without the calls that were answered."""
    lines = [
        line
        for log in sorted(folder.glob("*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if " INFO " not in line
    ]
    return "\n".join(lines[-60:])


def _names() -> list[str]:
    return [*ROWS, *SPECIAL]


def _pair(row: Row, servers: Servers, world: World) -> Pair:
    reference = row.reference and Side(row.reference(servers, world))
    return Pair(Side(row.service(servers, world)), reference, row.connections)


def _world(postgres: embedded.Postgres, tickets: int) -> World:
    """What is there from an earlier run, if that has made the same; otherwise made anew."""
    stamp = postgres.directory / "seeded"
    stack.migrate()
    stack.set_up_django()
    from bench import seed

    if not seed.is_current(stamp, tickets):
        if stamp.exists():
            # Of another version, or of an earlier state of the tables.
            seed.clear(stamp)
        with run.step("Tickets"):
            seed.seed(stamp, tickets)
    with run.step("This run's"):
        return seed.world()


def _pid(server: embedded.Server) -> int:
    assert server.pid is not None
    return server.pid


def _postgres_version(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.parameter_status("server_version") or "?"


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise Stop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
