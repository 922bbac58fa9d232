"""Deadlines in business hours: exact, also when the clocks change."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from conversations.sla import MAX_AMOUNT, BusinessHours, due_at

WEEKDAYS = range(5)
WHOLE_WEEK = range(7)


def hours(
    opens: str = "09:00", closes: str = "17:00", *, zone: str = "Europe/Berlin", days: object = None
) -> BusinessHours:
    def since_midnight(text: str) -> timedelta:
        hour, minute = text.split(":")
        return timedelta(hours=int(hour), minutes=int(minute))

    chosen = WEEKDAYS if days is None else days
    assert isinstance(chosen, range | list)
    return BusinessHours(
        frozenset(chosen), since_midnight(opens), since_midnight(closes), ZoneInfo(zone)
    )


def due(start: str, amount: int, unit: str, business_hours: BusinessHours | None) -> str:
    """Start and deadline by the wall clock of the hours' zone, with its distance from UTC."""
    zone = business_hours.zone if business_hours else ZoneInfo("Europe/Berlin")
    moment = datetime.fromisoformat(start)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    found = due_at(moment, amount, unit, business_hours)
    assert found.tzinfo is UTC
    return found.astimezone(zone).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("start", "amount", "unit", "deadline"),
    [
        ("2026-11-23T10:00", 90, "minute", "2026-11-23T11:30+01:00"),
        ("2026-11-23T10:00", 5, "hour", "2026-11-23T15:00+01:00"),
        ("2026-11-23T10:00", 2, "day", "2026-11-25T10:00+01:00"),
        # The last day of summer time has 25 hours, and a day is 24 of them.
        ("2026-10-24T12:00", 1, "day", "2026-10-25T11:00+01:00"),
        ("2026-03-28T12:00", 1, "day", "2026-03-29T13:00+02:00"),
    ],
)
def test_without_business_hours_it_is_elapsed_time(
    start: str, amount: int, unit: str, deadline: str
) -> None:
    assert due(start, amount, unit, None) == deadline


@pytest.mark.parametrize(
    ("start", "amount", "unit", "deadline"),
    [
        ("2026-11-23T10:00", 2, "hour", "2026-11-23T12:00+01:00"),
        # What is left of the day does not do.
        ("2026-11-23T16:00", 2, "hour", "2026-11-24T10:00+01:00"),
        # It ends with the window, and not with the begin of the next one.
        ("2026-11-23T16:00", 1, "hour", "2026-11-23T17:00+01:00"),
        ("2026-11-23T03:00", 1, "hour", "2026-11-23T10:00+01:00"),
        ("2026-11-23T20:00", 1, "hour", "2026-11-24T10:00+01:00"),
        # Over the weekend.
        ("2026-11-27T16:30", 1, "hour", "2026-11-30T09:30+01:00"),
        ("2026-11-28T12:00", 1, "minute", "2026-11-30T09:01+01:00"),
        # A day is eight hours.
        ("2026-11-23T09:00", 1, "day", "2026-11-23T17:00+01:00"),
        ("2026-11-23T12:00", 1, "day", "2026-11-24T12:00+01:00"),
        ("2026-11-23T12:00", 5, "day", "2026-11-30T12:00+01:00"),
        ("2026-11-23T09:00", 500, "day", "2028-10-20T17:00+02:00"),
    ],
)
def test_the_clock_runs_only_inside_the_windows(
    start: str, amount: int, unit: str, deadline: str
) -> None:
    assert due(start, amount, unit, hours()) == deadline


@pytest.mark.parametrize(
    ("start", "amount", "unit", "window", "deadline"),
    [
        # 29 March 2026: 02:00 to 03:00 does not exist.
        ("2026-03-29T00:00", 3, "hour", ("00:00", "24:00"), "2026-03-29T04:00+02:00"),
        ("2026-03-29T00:00", 1, "day", ("00:00", "24:00"), "2026-03-30T01:00+02:00"),
        ("2026-03-28T02:00", 61, "minute", ("02:00", "03:00"), "2026-03-30T02:01+02:00"),
        ("2026-03-29T00:00", 61, "minute", ("01:00", "04:00"), "2026-03-29T03:01+02:00"),
        ("2026-03-29T00:00", 1, "minute", ("02:30", "03:30"), "2026-03-29T03:01+02:00"),
        # 25 October 2026: 02:00 to 03:00 is there twice.
        ("2026-10-25T00:00", 3, "hour", ("00:00", "24:00"), "2026-10-25T02:00+01:00"),
        ("2026-10-25T00:00", 1, "day", ("00:00", "24:00"), "2026-10-25T23:00+01:00"),
        ("2026-10-25T00:00", 90, "minute", ("02:00", "03:00"), "2026-10-25T02:30+01:00"),
        # Two windows: to 02:30 in summer time, and half an hour from 02:00 in winter time.
        ("2026-10-25T00:00", 60, "minute", ("01:30", "02:30"), "2026-10-25T02:30+02:00"),
        ("2026-10-25T00:00", 61, "minute", ("01:30", "02:30"), "2026-10-25T02:01+01:00"),
        ("2026-10-25T00:00", 91, "minute", ("01:30", "02:30"), "2026-10-26T01:31+01:00"),
        # The week of the change, for hours that it does not touch.
        ("2026-03-27T16:00", 2, "hour", ("09:00", "17:00"), "2026-03-28T10:00+01:00"),
        ("2026-03-28T16:00", 2, "hour", ("09:00", "17:00"), "2026-03-29T10:00+02:00"),
        ("2026-10-24T16:00", 2, "hour", ("09:00", "17:00"), "2026-10-25T10:00+01:00"),
    ],
)
def test_both_changes_of_the_clocks(
    start: str, amount: int, unit: str, window: tuple[str, str], deadline: str
) -> None:
    assert due(start, amount, unit, hours(*window, days=WHOLE_WEEK)) == deadline


@pytest.mark.parametrize(
    ("start", "zone", "amount", "deadline"),
    [
        # Half an hour's change, in the southern spring.
        ("2026-10-04T01:45", "Australia/Lord_Howe", 30, "2026-10-04T02:45+11:00"),
        # Midnight does not exist.
        ("2026-04-23T23:30", "Africa/Cairo", 60, "2026-04-24T01:30+03:00"),
        ("2026-11-23T10:00", "Asia/Kathmandu", 30, "2026-11-23T10:30+05:45"),
    ],
)
def test_zones_with_habits_of_their_own(start: str, zone: str, amount: int, deadline: str) -> None:
    whole_day = hours("00:00", "24:00", zone=zone, days=WHOLE_WEEK)

    assert due(start, amount, "minute", whole_day) == deadline


def test_the_hour_of_a_start_that_is_there_twice_is_the_one_meant() -> None:
    assert due("2026-10-25T02:30+02:00", 1, "hour", hours(days=[6], opens="02:00")).endswith(
        "02:30+01:00"
    )
    assert due("2026-10-25T02:30+01:00", 1, "hour", hours(days=[6], opens="02:00")).endswith(
        "03:30+01:00"
    )


def test_it_keeps_the_microseconds() -> None:
    start = datetime(2026, 11, 23, 15, 59, 59, 123456, tzinfo=UTC)

    assert due_at(start, 1, "minute", hours()) == datetime(
        2026, 11, 24, 8, 0, 59, 123456, tzinfo=UTC
    )


def test_a_century_of_the_smallest_windows_takes_milliseconds() -> None:
    one_minute_a_week = hours("09:00", "09:01", days=[0])
    start = datetime(2026, 11, 23, 12, tzinfo=UTC)

    begun = time.process_time()
    found = due_at(start, MAX_AMOUNT // 2, "minute", one_minute_a_week)
    elapsed = time.process_time() - begun

    assert found == datetime(2122, 9, 21, 7, 1, tzinfo=UTC)
    # Some 25, on a machine that does nothing else.
    assert elapsed < 0.5


@pytest.mark.parametrize("unit", ["minute", "hour", "day"])
def test_more_than_a_century_is_refused_at_once(unit: str) -> None:
    with pytest.raises(OverflowError):
        due_at(datetime.now(UTC), MAX_AMOUNT, unit, hours("09:00", "09:01", days=[0]))


@pytest.mark.parametrize("business_hours", [None, hours()])
def test_what_is_beyond_the_calendar_is_an_overflow(business_hours: BusinessHours | None) -> None:
    with pytest.raises(OverflowError):
        due_at(datetime(9999, 12, 1, tzinfo=UTC), 100, "day", business_hours)


# --- Against a walk through every minute -------------------------------------

CHANGES = {
    "Europe/Berlin": [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)],
    "America/New_York": [
        datetime(2026, 3, 8, 7, tzinfo=UTC),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
    ],
    "Australia/Lord_Howe": [
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    ],
    "Africa/Cairo": [
        datetime(2026, 4, 23, 22, tzinfo=UTC),
        datetime(2026, 10, 29, 21, tzinfo=UTC),
    ],
    "UTC": [datetime(2026, 6, 1, tzinfo=UTC)],
}


def by_walking(start: datetime, minutes: int, business_hours: BusinessHours) -> datetime:
    moment = start
    while minutes:
        wall = moment.astimezone(business_hours.zone)
        since_midnight = timedelta(hours=wall.hour, minutes=wall.minute)
        if (
            wall.weekday() in business_hours.days
            and business_hours.opens <= since_midnight < business_hours.closes
        ):
            minutes -= 1
        moment += timedelta(minutes=1)
    return moment


@given(
    zone_and_change=st.sampled_from([(zone, at) for zone in CHANGES for at in CHANGES[zone]]),
    minutes_before=st.integers(-600, 6 * 24 * 60),
    days=st.sets(st.integers(0, 6), min_size=1),
    window=st.tuples(st.integers(0, 1440), st.integers(0, 1440)),
    amount=st.integers(1, 3000),
)
def test_it_is_what_a_walk_through_every_minute_finds(
    zone_and_change: tuple[str, datetime],
    minutes_before: int,
    days: set[int],
    window: tuple[int, int],
    amount: int,
) -> None:
    opens, closes = sorted(window)
    # The walk is slow.
    assume(opens < closes and amount <= 2 * len(days) * (closes - opens))
    zone, change = zone_and_change
    business_hours = BusinessHours(
        frozenset(days), timedelta(minutes=opens), timedelta(minutes=closes), ZoneInfo(zone)
    )
    start = change - timedelta(minutes=minutes_before)

    found = due_at(start, amount, "minute", business_hours)

    assert found == by_walking(start, amount, business_hours)
