"""Until when a ticket may be put aside by one click, by the clock of the project."""

from dataclasses import dataclass
from datetime import datetime, timedelta

_MORNING = {"hour": 9, "minute": 0, "second": 0, "microsecond": 0}


@dataclass(frozen=True)
class Snooze:
    label: str
    until: datetime


def snoozes(now: datetime) -> list[Snooze]:
    """The usual ones; `now` is in the project's time zone."""
    today = now.replace(**_MORNING)  # type: ignore[arg-type]  # (numbers, for parts of a time)
    to_monday = timedelta(days=7 - now.weekday())
    return [
        Snooze("In 4 hours", now + timedelta(hours=4)),
        Snooze("Tomorrow, 9:00", today + timedelta(days=1)),
        Snooze("Monday, 9:00", today + to_monday),
        Snooze("In a week, 9:00", today + timedelta(days=7)),
    ]
