"""A number for each day, as bars of an SVG and as rows of a table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from django.utils.dateformat import format as formatted

# In the units of the picture, which the page stretches to its own width.
WIDTH, HEIGHT = 300, 100
_GAP = 2

MINUTE, HOUR, DAY = 60, 3600, 86400
# What an axis may end at, so that its half is a round number as well.
COUNTS = [2 * digit * 10**zeros for zeros in range(9) for digit in (1, 2, 3, 5)]
DURATIONS = [2 * MINUTE, 10 * MINUTE, 20 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR]
DURATIONS += [DAY * 2**power for power in range(16)]


@dataclass(frozen=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    says: str


@dataclass(frozen=True)
class Chart:
    name: str
    title: str
    description: str
    bars: list[Bar]
    # From the top of the axis down.
    marks: list[str]
    width: int = WIDTH
    height: int = HEIGHT


def chart(
    name: str,
    title: str,
    values: Iterable[tuple[date, int | None]],
    *,
    tops: list[int],
    text: Callable[[int], str],
) -> Chart:
    """A bar for each day; a day that has no number has none."""
    days = list(values)
    numbers = [(value, day) for day, value in days if value is not None]
    highest, when = max(numbers, default=(0, None))
    top = next((top for top in tops if top >= highest), highest)
    step = WIDTH / len(days)
    bars = [
        _bar(place * step, step, day, value, top, text) for place, (day, value) in enumerate(days)
    ]
    description = "There is nothing to show."
    if when is not None and highest:
        lowest, least = min(numbers)
        description = (
            f"Highest on {_day(when)}: {text(highest)}. Lowest on {_day(least)}: {text(lowest)}."
        )
    return Chart(name, title, description, bars, [text(top), text(top // 2), "0"])


def _bar(
    x: float, step: float, day: date, value: int | None, top: int, text: Callable[[int], str]
) -> Bar:
    height = 0.0
    if value:
        # What is not nothing is seen.
        height = max(1.0, round(HEIGHT * value / top, 2))
    says = f"{_day(day)}: {'none' if value is None else text(value)}"
    return Bar(
        round(x + _GAP / 2, 2), round(HEIGHT - height, 2), round(step - _GAP, 2), height, says
    )


def _day(day: date) -> str:
    return formatted(day, "D j M")


def duration(seconds: int) -> str:
    """In the two largest units: 1 d 4 h."""
    if seconds < MINUTE:
        return f"{seconds} s"
    for unit, name, part, part_name in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min")):
        if seconds >= unit:
            rest = seconds % unit // part
            return f"{seconds // unit} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{seconds // MINUTE} min"
