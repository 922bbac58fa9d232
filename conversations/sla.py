"""When an answer is due: deadlines counted in business hours.

The clock runs while the clock on the wall of a time zone shows a time inside the
windows: a window that the change to summer time removes lasts no time, and one
that the change back repeats is there twice. Elapsed time is real time.
"""

import functools
import re
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import models
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from rest.fields import StrictObject, Text

MAX_AMOUNT = 10_000
# So many weeks of business hours, a century, take some ten milliseconds to count.
_MOST_WEEKS = 5_000
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class Unit(models.TextChoices):
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Weekday(models.TextChoices):
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


@dataclass(frozen=True)
class BusinessHours:
    """One window on each of some weekdays (0 is Monday), from and to a time since midnight."""

    days: frozenset[int]
    opens: timedelta
    closes: timedelta
    zone: zoneinfo.ZoneInfo

    @property
    def window(self) -> timedelta:
        return self.closes - self.opens


def due_at(start: datetime, amount: int, unit: str, hours: BusinessHours | None) -> datetime:
    """The earliest moment, in UTC, at which so much time has passed since `start`.

    With business hours only the time inside their windows counts, and a day is the
    length of one window on a day without a change of the clocks. Raises
    OverflowError when that is beyond the year 9999, or a century of business hours.
    """
    day = _DAY if hours is None else hours.window
    length = {Unit.MINUTE: timedelta(minutes=1), Unit.HOUR: timedelta(hours=1), Unit.DAY: day}
    left, moment = amount * length[Unit(unit)], start.astimezone(UTC)
    if hours is None:
        return moment + left
    per_week = len(hours.days) * hours.window
    if left // per_week > _MOST_WEEKS:
        raise OverflowError("The deadline is more than a century away.")
    while True:
        next_week = moment + _WEEK
        # No zone changes its clocks there and back within a week, so this one has no change,
        # and the same windows as every other.
        if left > per_week and _offset(moment, hours) == _offset(next_week, hours):
            left -= per_week
        else:
            for opens, closes in _windows(moment, next_week, hours):
                if left <= closes - opens:
                    return opens + left
                left -= closes - opens
        moment = next_week


def _windows(
    start: datetime, end: datetime, hours: BusinessHours
) -> Iterator[tuple[datetime, datetime]]:
    """The windows, and parts of windows, between two moments that are a week apart."""
    change = _change_of_clocks(start, end, hours)
    for begin, until in [(start, end)] if change is None else [(start, change), (change, end)]:
        offset = _offset(begin, hours)
        # What the clock on the wall shows; within this stretch it runs like any other.
        first, last = begin + offset, until + offset
        for day in _dates(first.date(), last.date()):
            if day.weekday() in hours.days:
                midnight = datetime.combine(day, time(), UTC)
                opens = max(first, midnight + hours.opens)
                closes = min(last, midnight + hours.closes)
                if opens < closes:
                    yield opens - offset, closes - offset


def _change_of_clocks(start: datetime, end: datetime, hours: BusinessHours) -> datetime | None:
    """The second at which the zone's distance from UTC changes, if it does."""
    before = _offset(start, hours)
    if before == _offset(end, hours):
        return None
    low, high = start.replace(microsecond=0), end
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        middle = max(low + _SECOND, middle.replace(microsecond=0))
        if _offset(middle, hours) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(moment: datetime, hours: BusinessHours) -> timedelta:
    offset = moment.astimezone(hours.zone).utcoffset()
    assert offset is not None
    return offset


def _dates(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += _DAY


# --- In requests -------------------------------------------------------------


class Amount(serializers.IntegerField):
    """A JSON integer."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "enum": ["any"]},
            {
                "type": "array",
                "items": {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"},
                "minItems": 2,
                "maxItems": 2,
            },
        ]
    }
)
class WindowField(serializers.Field[Any, Any, Any, Any]):
    """`any`, or from when to when, as two times since midnight."""

    default_error_messages = {
        "invalid": 'Must be "any" or two times such as ["09:00", "17:00"].',
        "empty": "The window must end after it begins, on the same day (24:00 at the latest).",
    }

    def to_internal_value(self, data: Any) -> tuple[timedelta, timedelta]:
        if data == "any":
            return timedelta(), _DAY
        if not isinstance(data, list) or len(data) != 2:
            self.fail("invalid")
        opens, closes = self._since_midnight(data[0]), self._since_midnight(data[1])
        if opens >= closes:
            self.fail("empty")
        return opens, closes

    def _since_midnight(self, text: Any) -> timedelta:
        if text == "24:00":
            return _DAY
        found = _TIME.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            self.fail("invalid")
        return timedelta(hours=int(found[1]), minutes=int(found[2]))


class BusinessHoursSerializer(StrictObject):
    """On which days, from when to when, and by which time zone's clock."""

    days = serializers.ListField(
        child=serializers.ChoiceField(choices=Weekday.choices), allow_empty=False, max_length=7
    )
    time = WindowField(help_text='`"any"`, or the window\'s begin and end.')
    timezone = Text(max_length=64, help_text="The name of a time zone, such as `Europe/Berlin`.")

    def validate_days(self, days: list[str]) -> frozenset[int]:
        return frozenset(Weekday.values.index(day) for day in days)

    def validate_timezone(self, name: str) -> zoneinfo.ZoneInfo:
        if name not in _time_zones():
            raise serializers.ValidationError("There is no such time zone.")
        return zoneinfo.ZoneInfo(name)


class SlaSerializer(StrictObject):
    """How much time there is from now on; with business hours it runs only inside of them."""

    amount = Amount(min_value=1, max_value=MAX_AMOUNT)
    unit = serializers.ChoiceField(
        choices=Unit.choices, help_text="A day of business hours is the length of one window."
    )
    business_hours = BusinessHoursSerializer(required=False, allow_null=True)


@extend_schema_field(SlaSerializer)
class SlaField(serializers.Field[Any, Any, Any, Any]):
    """How much time there is; read as the deadline that it means, counted from now."""

    default_error_messages = {"too_late": "The deadline would be too far away."}

    def to_internal_value(self, data: Any) -> datetime:
        # Of its own: as a part of the ticket it would require nothing in a PATCH.
        serializer = SlaSerializer(data=data)
        serializer.is_valid(raise_exception=True)
        sla = serializer.validated_data
        hours = sla.get("business_hours")
        if hours is not None:
            opens, closes = hours["time"]
            hours = BusinessHours(hours["days"], opens, closes, hours["timezone"])
        try:
            return due_at(timezone.now(), sla["amount"], sla["unit"], hours)
        except OverflowError:
            self.fail("too_late")


@functools.cache
def _time_zones() -> set[str]:
    return zoneinfo.available_timezones()
