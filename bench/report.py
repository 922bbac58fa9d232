"""The tables, and what one must know to read them; Markdown, for the terminal and the file."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from bench.rounds import Pair, Plan
from bench.targets import Finding

_FIGURES = [
    *("", "against", "req/s", "reference", "ratio", "(range)", "p50 ms", "p99 ms", "reference p50"),
    *("web CPU µs", "reference", "all CPU µs", "reference", "SQL", "ms of SQL", "Redis"),
]
_FINDINGS = ["", "against", "measured", "target", ""]


def figures(title: str, against: str, pair: Pair) -> list[str]:
    """A line of the first table; medians over the rounds."""
    ours, theirs = pair.service, pair.reference
    speeds = [] if theirs is None else pair.speeds
    return [
        title,
        against,
        f"{ours.rate:,.0f}",
        f"{theirs.rate:,.0f}" if theirs else "",
        f"{median(speeds):.3f}" if speeds else "",
        f"({min(speeds):.3f}-{max(speeds):.3f})" if speeds else "",
        f"{1000 * ours.seconds():.1f}",
        f"{1000 * ours.seconds(99):.1f}",
        f"{1000 * theirs.seconds():.1f}" if theirs else "",
        f"{ours.cpu('web') * 1e6:,.0f}",
        f"{theirs.cpu('web') * 1e6:,.0f}" if theirs else "",
        f"{ours.whole_cpu * 1e6:,.0f}",
        f"{theirs.whole_cpu * 1e6:,.0f}" if theirs else "",
        f"{pair.asked.statements}",
        f"{1000 * pair.asked.seconds:.1f}",
        f"{ours.trips:.2f}",
    ]


def findings(title: str, against: str, found: Sequence[Finding]) -> list[list[str]]:
    """Lines of the second table."""
    return [
        [title, against, one.measured, one.target, "met" if one.met else "MISSED"] for one in found
    ]


def tables(figures: Sequence[list[str]], findings: Sequence[list[str]]) -> str:
    parts = [table([_FIGURES, *figures], left=2)] if figures else []
    return "\n\n".join([*parts, table([_FINDINGS, *findings], left=5)])


def table(lines: Sequence[Sequence[str]], *, left: int) -> str:
    """In Markdown; columns behind the first `left` are numbers."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = [
        "-" * width if place < left else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    shown = [lines[0], rule, *lines[1:]]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in shown
    )


def how_to_read(plan: Plan, connections: int, capacity: float) -> str:
    return (
        f"Medians of {plan.rounds} rounds of {plan.seconds:g} s, service and reference in turn,"
        f" over {connections} connections that are each kept busy,\n"
        "or over one where time is the target. The ratio is of requests per second, with the"
        " lowest and the highest of a round.\n"
        "CPU is for one request, of the web server alone and with PostgreSQL's and Redis's; other"
        " work on the machine disturbs it less.\n"
        "SQL statements and their time are counted in a call of the application without the"
        " server; Redis is its reads for one\n"
        f"request. The load itself reaches {capacity:,.0f} requests/s."
    )


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
            f"{tickets:,} tickets in the measured project",
        ]
    )


_BY_HAND = "<!-- From here on it is written by hand, and kept by `make bench`. -->"


def write(path: Path, parts: Sequence[str]) -> None:
    """Puts the parts into the file, before what people have added."""
    _, _, by_hand = path.read_text().partition(_BY_HAND) if path.exists() else ("", "", "")
    text = "\n\n".join(["# What `make bench` has measured", *parts, _BY_HAND])
    path.write_text(text + (by_hand or "\n"))
