"""What is no question of one request beside another: a stampede, triggers, memory, streams."""

import contextlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import psutil
import psycopg

from bench import rows, stack, streams
from bench.load import Job, request
from bench.rounds import Bench, Target, fetch
from bench.targets import Finding
from bench.world import Servers, World
from config import embedded, run

_READERS = 64
_STAMPEDES = 5
_STARTS = 3
# Requests between two looks at the memory, of which the first finds all caches warm.
_EARLY = 0.05


@dataclass(frozen=True)
class Site:
    """Where it is measured, and how much."""

    started: contextlib.ExitStack
    folder: Path
    servers: Servers
    world: World
    postgres: embedded.Postgres
    bench: Bench
    requests: int
    streams: int
    idle: float


# --- A stampede --------------------------------------------------------------


def stampede(site: Site) -> list[Finding]:
    """Many readers at once of a number that is not cached, and how many ask PostgreSQL."""
    target = rows.unread_miss("unread", site.servers, site.world)
    assert target.before is not None
    asked = target.requests[0]
    barrier = threading.Barrier(_READERS)

    def read() -> None:
        barrier.wait()
        fetch(target.web, asked)

    counts = []
    with _statements_in_log(site.postgres) as log:
        for _ in range(_STAMPEDES):
            target.before()
            seen = log.stat().st_size
            readers = [threading.Thread(target=read) for _ in range(_READERS)]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join()
            counts.append(log.read_bytes()[seen:].count(b'SUM("conversations_ticket"."unread'))
    most = max(counts)
    return [Finding(f"{most} queries for {_READERS} readers", "<= 1", most <= 1)]


@contextlib.contextmanager
def _statements_in_log(postgres: embedded.Postgres) -> Iterator[Path]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        try:
            yield postgres.directory / "log"
        finally:
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("SELECT pg_reload_conf()")


# --- What triggers cost ------------------------------------------------------


def status_changes(site: Site) -> list[Finding]:
    """Where the totals are felt most: by many in one project, an UPDATE and nothing else."""

    def changes(how: str) -> Target:
        room = site.world.scratch
        paths = [f"/{how}/{room.project_id}/{pk}" for pk in room.read_tickets]
        asked = [request("POST", path, body=b"{}") for path in paths]
        return Target(site.servers.reference, asked, lambda body: True)

    ratios = []
    targets = [changes("status"), changes("status_without_totals")]
    # The first round only warms up. Who comes second may find a hotter processor.
    for number in range(site.bench.plan.rounds + 1):
        speeds = {}
        for which in (0, 1) if number % 2 else (1, 0):
            speeds[which] = site.bench.run(targets[which], rows.MANY).answers.per_second
        ratios.append(speeds[0] / speeds[1])
    ratio = median(ratios[1:])
    return [Finding(f"{ratio:.2f}x the speed without totals", ">= 0.70x", ratio >= 0.7)]


# --- The web process ---------------------------------------------------------


def memory(site: Site) -> list[Finding]:
    """What a new web server's processes hold after few and after many mixed requests."""
    web = site.servers.another("A new service")
    mixed = mixture(site.servers, site.world)
    sent, sizes = 0, []
    for until in (site.requests * _EARLY, site.requests):
        with run.step(f"{until:,.0f} requests"):
            while sent < until:
                job = Job(web.port, mixed, 200, connections=rows.MANY, seconds=1.0)
                sent += len(site.bench.generator.send(job))
        sizes.append(_memory(web.pid))
    growth = 100 * (sizes[1] / sizes[0] - 1)
    measured = f"{growth:+.1f} % to {sizes[1] / 2**20:.0f} MiB after {sent:,} requests"
    return [Finding(measured, "<= +5 %", growth <= 5)]


def mixture(servers: Servers, world: World) -> list[bytes]:
    """Two thousand requests: 94 % are what clients ask all the time, and cost the least, so
    that very many take minutes; 3 % read a ticket, 2 % change one, 1 % are a page of 20."""
    page = partial(rows.page, "small", "limit=20")
    parts: dict[Callable[[Servers, World], Target], int] = {
        rows.retrieve: 60,
        rows.patch: 40,
        page: 20,
    }
    polls = rows.widget_poll(servers, world).requests[:940]
    mixed = [
        asked
        for target, number in parts.items()
        for asked in islice(cycle(target(servers, world).requests), number)
    ]
    # Each widget once, so that none reaches its limit.
    counts = cycle(rows.unread_hit(servers, world).requests)
    mixed += [*polls, *islice(counts, 2000 - len(polls) - len(mixed))]
    random.Random(1).shuffle(mixed)  # noqa: S311  (an order, no secret)
    return mixed


def _memory(pid: int) -> int:
    """Of the processes that answer, without their parent."""
    children = psutil.Process(pid).children(recursive=True)
    return int(sum(child.memory_info().rss for child in children))


def start(site: Site) -> list[Finding]:
    times = []
    for number in range(_STARTS):
        begun = time.monotonic()
        with contextlib.ExitStack() as started:
            Servers(started, site.folder).another(f"Start {number + 1}")
            times.append(time.monotonic() - begun)
    middle = median(times)
    return [Finding(f"{middle:.2f} s to the first answer", "<= 1.5 s", middle <= 1.5)]


# --- Streams -----------------------------------------------------------------


def idle_streams(site: Site) -> list[Finding]:
    """What they take, and how fast the rest of the service is meanwhile."""
    server = stack.start_web(
        site.started,
        "Streams",
        [sys.executable, "-c", streams.PROGRAM],
        log=site.folder / "streams.log",
        ready="/readyz",
    )
    pair = (rows.unread_hit, rows.redis_get)
    hit, get = (target(site.servers, site.world) for target in pair)

    def speed() -> float:
        """As a part of the reference's, which does nothing with streams."""
        rounds = [[site.bench.run(one, rows.MANY) for one in (hit, get)] for _ in range(5)]
        return median(ours.answers.per_second / its.answers.per_second for ours, its in rounds)

    before = speed()
    keys = [getattr(site.world, name).key for name in ("shop", "small", "neighbour")]
    with streams.opened(server, keys, site.streams) as opened:
        idle = opened.idle(site.idle)
        ratio = speed() / before
    return [
        Finding(
            f"{opened.each_kb:.1f} KB for each of {site.streams}", "<= 60 KB", opened.each_kb <= 60
        ),
        Finding(f"{idle:.2f} % of a core, idle", "<= 2 %", idle <= 2),
        Finding(f"unread_count at {ratio:.2f}x its speed without", ">= 0.90x", ratio >= 0.9),
    ]


# By the name that ONLY takes.
SPECIAL: dict[str, tuple[str, Callable[[Site], list[Finding]]]] = {
    "unread-stampede": ("unread_count, miss, 64 readers at once", stampede),
    "status": ("status changes in one project, in SQL", status_changes),
    "streams": ("idle streams", idle_streams),
    "memory": ("memory of the web processes", memory),
    "start": ("start of the web server", start),
}
