"""Until when a ticket may be put aside by one click, by the clock of the project."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from conversations.inbox.clock import typed

_MORNING = {"hour": 9, "minute": 0, "second": 0, "microsecond": 0, "fold": 0}


@dataclass(frozen=True)
class Snooze:
    label: str
    until: datetime

    @property
    def typed(self) -> str:
        """As if an agent had entered it; with its offset where the clock shows it once more."""
        minute = self.until.replace(second=0, microsecond=0)
        return minute.isoformat(timespec="minutes") if minute.fold else typed(minute)


def snoozes(now: datetime) -> list[Snooze]:
    """The usual ones; `now` is in the project's time zone."""
    today = now.replace(**_MORNING)  # type: ignore[arg-type]  # (numbers, for parts of a time)
    to_monday = timedelta(days=7 - now.weekday())
    # Hours are lengths of time; days go by the calendar.
    in_four_hours = (now.astimezone(UTC) + timedelta(hours=4)).astimezone(now.tzinfo)
    return [
        Snooze("In 4 hours", in_four_hours),
        Snooze("Tomorrow, 9:00", _on_the_clock(today + timedelta(days=1))),
        Snooze("Monday, 9:00", _on_the_clock(today + to_monday)),
        Snooze("In a week, 9:00", _on_the_clock(today + timedelta(days=7))),
    ]


def _on_the_clock(at: datetime) -> datetime:
    """What the clock shows then, which may leave the time out that was meant."""
    return at.astimezone(UTC).astimezone(at.tzinfo)
