"""The table, and what one must know to read it."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version

from bench.rounds import Pair, Plan, Round

_HEADINGS = [
    *("", "requests/s", "reference", "ratio", "(range)", "p50 ms", "p99 ms"),
    *("CPU µs", "reference", "ratio", "PostgreSQL", "Redis"),
]


def table(pairs: Sequence[Pair]) -> str:
    """One line for each pair that was measured to the end; medians over the rounds."""
    lines = [_HEADINGS, *(_cells(pair) for pair in pairs if pair.failure is None)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_aligned(line, widths) for line in lines)


def _cells(pair: Pair) -> list[str]:
    ours, theirs, ratios = pair.service_rounds, pair.reference_rounds, pair.ratios
    latencies = sorted(latency for measured in ours for latency in measured.answers.latencies)
    cpu, reference_cpu = _cpu(ours, "web"), _cpu(theirs, "web")
    return [
        pair.title,
        f"{_rate(ours):,.0f}",
        f"{_rate(theirs):,.0f}",
        f"{statistics.median(ratios):.3f}",
        f"({min(ratios):.3f}-{max(ratios):.3f})",
        f"{percentile(latencies, 50) * 1000:.1f}",
        f"{percentile(latencies, 99) * 1000:.1f}",
        f"{cpu * 1e6:,.0f}",
        f"{reference_cpu * 1e6:,.0f}",
        # The system counts CPU in steps of 10 ms, of which a very short round may have none.
        f"{reference_cpu / cpu:.3f}" if cpu else "-",
        f"{_cpu(ours, 'postgres') * 1e6:,.0f}",
        f"{_cpu(ours, 'redis') * 1e6:,.0f}",
    ]


def _rate(rounds: Sequence[Round]) -> float:
    return statistics.median(measured.answers.per_second for measured in rounds)


def _cpu(rounds: Sequence[Round], user: str) -> float:
    return statistics.median(measured.cpu[user] for measured in rounds)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The least value that `percent` in a hundred do not exceed, of values in ascending order."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    title, *figures = cells
    aligned = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
    return "  ".join([title.ljust(widths[0]), *aligned]).rstrip()


def how_to_read(plan: Plan, capacity: float) -> str:
    return f"""\
Medians of {plan.rounds} rounds of {plan.seconds:g} s over {plan.connections} connections, each \
kept busy; reference: a bare WSGI function under the
same web server that does one GET of Redis. The first ratio is of requests per second, the second \
of the web server's CPU
for one request, which other work on the machine disturbs less; both say what part of the \
reference's speed the service has.
p50 and p99 are the service's, waiting for a free thread included. The load itself reaches \
{capacity:,.0f} requests/s."""


def machine(*, postgres: str, redis: str, workers: int, threads: int, tickets: int) -> str:
    packages = {"Django": "Django", "DRF": "djangorestframework", "granian": "granian"}
    return ", ".join(
        [
            f"{os.cpu_count()} cores",
            f"Python {platform.python_version()}",
            *(f"{name} {version(package)}" for name, package in packages.items()),
            f"PostgreSQL {postgres}",
            f"Redis {redis}",
            f"{workers} workers of {threads} threads",
            f"{tickets:,} tickets",
        ]
    )
