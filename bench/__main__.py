"""`make bench`: the service beside a bare reference, as a table. It stops by itself.

make bench                     all rows
make bench ONLY=list           one of them, or several with commas
make bench ARGS="--rounds 9"   see --help
"""

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import django
import psycopg
import redis

from bench import report, stack
from bench.load import Generator, LoadError
from bench.rounds import Bench, Pair, Plan
from bench.rows import ROWS, constant
from config import embedded, run
from config.run import say


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
    parser.add_argument(
        "--only", default=os.environ.get("ONLY") or ",".join(ROWS), help="rows: %(default)s"
    )
    parser.add_argument("--tickets", type=int, default=10_000, help="in the measured project")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one round")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    if unknown := [name for name in options.only if name not in ROWS]:
        parser.error(f"There is no row {unknown[0]!r}; there are {', '.join(ROWS)}.")
    if min(options.tickets, options.rounds, options.seconds, options.connections) <= 0:
        parser.error("The numbers must be positive.")
    return options


def bench(started: contextlib.ExitStack, options: argparse.Namespace) -> int:
    plan = Plan(options.rounds, options.seconds, options.connections)
    folder = started.enter_context(stack.private_folder())
    postgres, cache = stack.start_servers(started, folder)
    stack.migrate()
    try:
        from config import settings
    except ValueError as error:
        raise stack.BenchError(f"A setting is wrong: {error}") from None
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from bench.seed import seed

    with run.step("Tickets"):
        seeds = seed(options.tickets)
    log = folder / "service.log"
    service = stack.start_web(
        started, "Service", run.SERVICES["Web server"], log=log, ready="/readyz"
    )
    reference = stack.start_web(
        started, "Reference", stack.REFERENCE, log=folder / "reference.log", ready="/"
    )
    pairs = [
        Pair(row.title, row.service(service, seeds), row.reference(reference))
        for row in (ROWS[name] for name in options.only)
    ]
    generator = Generator(processes=max(1, (os.cpu_count() or 1) // 4))
    started.callback(generator.close)
    harness = Bench(plan, generator, {"postgres": _pid(postgres), "redis": _pid(cache)})

    with run.step("Rounds"):
        harness.measure(pairs, tick=lambda: say(".", end=""))
        # The best of a few, as other work on the machine can only lower it.
        capacity = max(harness.run(constant(reference)).answers.per_second for _ in range(3))
    versions = {"postgres": _postgres_version(postgres.url), "redis": _redis_version(cache.url)}
    say(f"\n{report.table(pairs)}\n\n{report.how_to_read(plan, capacity)}\n")
    say(
        report.machine(
            **versions,
            workers=settings.WEB_WORKERS,
            threads=settings.WEB_THREADS,
            tickets=seeds.shop.tickets,
        )
    )
    return _failures(pairs, log)


def _failures(pairs: Sequence[Pair], log: Path) -> int:
    failed = [pair for pair in pairs if pair.failure is not None]
    for pair in failed:
        say(f"\nFAILED  {pair.title}: {pair.failure}")
    if failed:
        say(f"\nThe service's last words:\n{stack.tail(log)}")
    return 1 if failed else 0


def _pid(server: embedded.Server) -> int:
    assert server.pid is not None
    return server.pid


def _postgres_version(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.parameter_status("server_version") or "?"


def _redis_version(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        return str(client.info("server")["redis_version"])


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise Stop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
