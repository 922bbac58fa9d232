"""The tables of docs/reliability.md: held to what was seen, or written anew from it.

`WRITE_RELIABILITY=1 .venv/bin/python -m pytest tests/faults` writes them.
"""

import os
import re
from dataclasses import astuple, dataclass
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent.parent / "docs/reliability.md"
_IS_WRITING = os.environ.get("WRITE_RELIABILITY") == "1"


# Where a row begins.
_ROW = re.compile(r"^\| ([^|]+) \| .*", re.M)


@dataclass(frozen=True)
class Row:
    """What clients of the API saw."""

    fault: str
    cached: str
    reads: str
    writes: str
    ready: str
    reads_took: str
    writes_took: str
    recovered: str
    holds: str


@dataclass(frozen=True)
class ProcessRow:
    """What became of another process."""

    fault: str
    recovered: str
    holds: str


# Of one machine at one time; the rest has to be as it is.
TIMES = ("reads_took", "writes_took", "recovered")


def faults() -> set[str]:
    """What the tables have a row for."""
    text = DOCUMENT.read_text().partition("## How long anybody waits")[0]
    return {row[1] for row in _ROW.finditer(text)} - {"what happens"}


def hold(seen: Row | ProcessRow) -> None:
    """Fails unless the document says what was seen; or makes it say so."""
    line = f"| {' | '.join(astuple(seen))} |"
    text = DOCUMENT.read_text()
    [row] = [row for row in _ROW.finditer(text) if row[1] == seen.fault]
    if _IS_WRITING:
        DOCUMENT.write_text(text.replace(row[0], line))
        return
    promised, found = _without_times(row[0], seen), _without_times(line, seen)
    assert promised == found, f"{DOCUMENT.name} says {promised}, and seen was {found}"


def _without_times(line: str, row: Row | ProcessRow) -> list[str]:
    cells = line.removeprefix("| ").removesuffix(" |").split(" | ")
    return [cell for cell, name in zip(cells, vars(row), strict=True) if name not in TIMES]


def in_words(seconds: float) -> str:
    return f"{max(1, round(1000 * seconds))} ms" if seconds < 0.95 else f"{seconds:.1f} s"
