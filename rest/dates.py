"""Bounds of a period, as a filter names them: a date, a time, or how long ago."""

import calendar
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
_RELATIVE = re.compile(r"(?P<back>-?[0-9]{1,9})?(?P<unit>[sMhdwmqy])(?P<edge>Start|End)?")
_TICK = timedelta(microseconds=1)
# Their length in seconds is always the same; days and longer are counted by the calendar.
_SECONDS = {"s": 1, "M": 60, "h": 3600}
_MONTHS = {"m": 1, "q": 3, "y": 12}


def read_bound(
    text: str, *, is_end: bool, now: datetime, zone: Callable[[], tzinfo]
) -> datetime | None:
    """The moment that a bound names, in UTC; None for `all`, which is no bound.

    `2026-01-31` is the first moment of that day, with `is_end` its last. `-7d` is
    seven days before `now`: s, M (minutes) and h are lengths of time; d, w, m, q
    and y go by the calendar, to the same time of day, in a shorter month to its
    last day. `-1mStart` and `-1mEnd` are the first and last moment of the month
    before; without a number, of this one. Weeks begin on Monday. What names no time
    zone is meant in `zone`, which is asked for only then. Raises ValueError for a text that
    is none of these, OverflowError for a moment that no calendar of ours has.
    """
    if text == "all":
        return None
    if _DATE.fullmatch(text):
        day = date.fromisoformat(text)
        start = datetime.combine(day, time.min)
        if is_end:
            return _in_utc(start + timedelta(days=1), zone()) - _TICK
        return _in_utc(start, zone())
    if _MOMENT.fullmatch(text):
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else _in_utc(moment, zone())
    relative = _RELATIVE.fullmatch(text)
    if relative is None or not (relative["back"] or relative["edge"]):
        raise ValueError(text)
    back = abs(int(relative["back"] or 0))
    return _ago(now, zone(), back, relative["unit"], relative["edge"])


def _ago(now: datetime, zone: tzinfo, back: int, unit: str, edge: str | None) -> datetime:
    if unit in _SECONDS:
        moment = now - timedelta(seconds=back * _SECONDS[unit])
        if edge is None:
            return moment.astimezone(UTC)
        local = moment.astimezone(zone)
        # In the units below a day, an hour that the clocks repeat is two different ones.
        start = _start(local, unit).replace(fold=local.fold).astimezone(UTC)
        return start if edge == "Start" else start + timedelta(seconds=_SECONDS[unit]) - _TICK
    local = now.astimezone(zone).replace(tzinfo=None, fold=0)
    if edge is None:
        return _in_utc(_shifted(local, -back, unit), zone)
    start = _shifted(_start(local, unit), -back, unit)
    if edge == "Start":
        return _in_utc(start, zone)
    return _in_utc(_shifted(start, 1, unit), zone) - _TICK


def _start(moment: datetime, unit: str) -> datetime:
    """The first moment of the minute, the day, the quarter… that this one is in."""
    moment = moment.replace(microsecond=0)
    if unit == "s":
        return moment
    moment = moment.replace(second=0)
    if unit == "M":
        return moment
    moment = moment.replace(minute=0)
    if unit == "h":
        return moment
    moment = moment.replace(hour=0)
    if unit == "d":
        return moment
    if unit == "w":
        return moment - timedelta(days=moment.weekday())
    months = _MONTHS[unit]
    return moment.replace(day=1, month=(moment.month - 1) // months * months + 1)


def _shifted(moment: datetime, count: int, unit: str) -> datetime:
    """So many days, weeks, months… later, at the same time of day."""
    if unit in ("d", "w"):
        return moment + timedelta(days=count * (7 if unit == "w" else 1))
    months = moment.year * 12 + moment.month - 1 + count * _MONTHS[unit]
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise OverflowError(f"There is no year {year}.")
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _in_utc(local: datetime, zone: tzinfo) -> datetime:
    """A time of the clock on the wall: the first of two, and one that is left out as if it were."""
    return local.replace(tzinfo=zone).astimezone(UTC)
