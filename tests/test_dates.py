"""Bounds of a period, in words: what moment each is, over the changes of the clocks as well."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rest.dates import read_bound

BERLIN = ZoneInfo("Europe/Berlin")
# A Wednesday, half past one in the afternoon in Berlin.
NOON = datetime(2026, 2, 18, 12, 30, 15, 250000, tzinfo=UTC)


def bound(text: str, *, is_end: bool = False, now: datetime = NOON, zone: str = "") -> str:
    """The moment in UTC, without the zeros at its end."""
    found = read_bound(
        text, is_end=is_end, now=now, zone=lambda: ZoneInfo(zone) if zone else BERLIN
    )
    assert found is not None
    assert found.tzinfo is UTC
    return found.replace(tzinfo=None).isoformat(sep=" ")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-18", "2026-02-17 23:00:00"),
        ("2026-07-01", "2026-06-30 22:00:00"),
        ("2026-02-18T08:15", "2026-02-18 07:15:00"),
        ("2026-02-18 08:15:30", "2026-02-18 07:15:30"),
        ("2026-02-18T08:15:30.5", "2026-02-18 07:15:30.500000"),
        ("2026-02-18T08:15:30.123456789", "2026-02-18 07:15:30.123456"),
        ("2026-02-18T08:15:30Z", "2026-02-18 08:15:30"),
        ("2026-02-18T08:15:30+05:30", "2026-02-18 02:45:30"),
        ("2026-02-18T08:15:30-0800", "2026-02-18 16:15:30"),
        ("-30s", "2026-02-18 12:29:45.250000"),
        ("-5M", "2026-02-18 12:25:15.250000"),
        ("-24h", "2026-02-17 12:30:15.250000"),
        ("-7d", "2026-02-11 12:30:15.250000"),
        ("7d", "2026-02-11 12:30:15.250000"),
        ("-0d", "2026-02-18 12:30:15.250000"),
        ("-2w", "2026-02-04 12:30:15.250000"),
        ("-1m", "2026-01-18 12:30:15.250000"),
        ("-1q", "2025-11-18 12:30:15.250000"),
        ("-1y", "2025-02-18 12:30:15.250000"),
        ("sStart", "2026-02-18 12:30:15"),
        ("MStart", "2026-02-18 12:30:00"),
        ("MEnd", "2026-02-18 12:30:59.999999"),
        ("hStart", "2026-02-18 12:00:00"),
        ("-1hEnd", "2026-02-18 11:59:59.999999"),
        ("dStart", "2026-02-17 23:00:00"),
        ("dEnd", "2026-02-18 22:59:59.999999"),
        ("-1dStart", "2026-02-16 23:00:00"),
        ("-1dEnd", "2026-02-17 22:59:59.999999"),
        ("wStart", "2026-02-15 23:00:00"),
        ("-1wEnd", "2026-02-15 22:59:59.999999"),
        ("mStart", "2026-01-31 23:00:00"),
        ("mEnd", "2026-02-28 22:59:59.999999"),
        ("-1mStart", "2025-12-31 23:00:00"),
        ("-12mStart", "2025-01-31 23:00:00"),
        ("qStart", "2025-12-31 23:00:00"),
        ("qEnd", "2026-03-31 21:59:59.999999"),
        ("-1qStart", "2025-09-30 22:00:00"),
        ("yStart", "2025-12-31 23:00:00"),
        ("-1yEnd", "2025-12-31 22:59:59.999999"),
    ],
)
def test_a_bound_is_a_moment(text: str, moment: str) -> None:
    assert bound(text) == moment


def test_a_date_at_the_end_is_its_last_moment() -> None:
    assert bound("2026-02-18", is_end=True) == "2026-02-18 22:59:59.999999"


def test_only_a_date_is_meant_whole() -> None:
    assert bound("2026-02-18T00:00", is_end=True) == "2026-02-17 23:00:00"
    assert bound("-1d", is_end=True) == bound("-1d")


def test_all_is_no_bound() -> None:
    assert read_bound("all", is_end=True, now=NOON, zone=lambda: BERLIN) is None


def test_the_zone_is_not_asked_for_where_nothing_depends_on_it() -> None:
    def nobody_knows() -> ZoneInfo:
        raise AssertionError

    for text in ("all", "2026-02-18T08:15Z"):
        read_bound(text, is_end=False, now=NOON, zone=nobody_knows)


@pytest.mark.parametrize(
    ("text", "day_before"),
    [
        ("-1m", "2026-02-28 12:00:00"),
        ("-3m", "2025-12-31 12:00:00"),
        ("-25m", "2024-02-29 12:00:00"),
    ],
)
def test_a_shorter_month_ends_earlier(text: str, day_before: str) -> None:
    last_of_march = datetime(2026, 3, 31, 12, tzinfo=UTC)

    assert bound(text, now=last_of_march, zone="UTC") == day_before


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        # 23 hours, and 25.
        ("2026-03-29", "2026-03-28 23:00:00", "2026-03-29 21:59:59.999999"),
        ("2026-10-25", "2026-10-24 22:00:00", "2026-10-25 22:59:59.999999"),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(text: str, start: str, end: str) -> None:
    assert (bound(text), bound(text, is_end=True)) == (start, end)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        # The day before the clocks went forward, at the same time on the wall.
        ("-1d", "2026-03-28 10:00:00"),
        ("-24h", "2026-03-28 09:00:00"),
        ("dStart", "2026-03-28 23:00:00"),
        ("mEnd", "2026-03-31 21:59:59.999999"),
    ],
)
def test_days_go_by_the_clock_and_hours_by_their_length(text: str, moment: str) -> None:
    assert bound(text, now=datetime(2026, 3, 29, 9, 0, tzinfo=UTC)) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        # Half past two does not exist on that day: as if the clocks had not changed.
        ("2026-03-29T02:30", "2026-03-29 01:30:00"),
        # And exists twice on this: the first one.
        ("2026-10-25T02:30", "2026-10-25 00:30:00"),
    ],
)
def test_a_time_that_exists_twice_or_not_at_all_is_some_moment(text: str, moment: str) -> None:
    assert bound(text) == moment


@pytest.mark.parametrize(
    ("now", "start"), [("00:30", "2026-10-25 00:00:00"), ("01:30", "2026-10-25 01:00:00")]
)
def test_each_of_two_equal_hours_has_its_own_start(now: str, start: str) -> None:
    moment = datetime.fromisoformat(f"2026-10-25T{now}+00:00")

    assert bound("hStart", now=moment) == start


def test_a_day_that_has_no_midnight_starts_with_its_first_moment() -> None:
    # In Beirut the clocks go from midnight to one.
    assert bound("2026-03-29", zone="Asia/Beirut") == "2026-03-28 22:00:00"


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "-7", "7", "d", "-d", "-dStart", "+7d", "- 7d", "-7D", "-7x", "-7days",
        "-7dstart", "-7d ", "-1.5d", "--7d", "-٣d", "-1234567890d", "-7dStartEnd", "ALL",
        "2026-1-5", "20260131", "2026-02-30", "2026-13-01", "2026-00-10", "0000-01-01",
        "2026-02-18T", "2026-02-18T25:00", "2026-02-18T08", "2026-02-18x08:15",
        "2026-02-18T08:15:61", "2026-02-18T08:15+25:00", "2026-W08-1", "10000-01-01", "1771418415",
        "٢٠٢٦-02-18", "2026-02-18T08:15:30 02:00", "2026-02-18\n",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (whatever its text)
        bound(text)


@pytest.mark.parametrize("is_end", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "-999999999d", "-999999w", "-99999m", "-9999q", "-2026y", "-2025yStart",
        "-999999999h", "-999999999hStart", "0001-01-01", "0001-01-01T00:30",
        "9999-12-31T23:30-08:00",
    ],
)  # fmt: skip
def test_what_is_beyond_the_calendar_is_refused(text: str, is_end: bool) -> None:
    with pytest.raises(OverflowError):
        bound(text, is_end=is_end and text != "0001-01-01")


def test_the_last_day_of_the_calendar_has_no_end() -> None:
    with pytest.raises(OverflowError):
        bound("9999-12-31", is_end=True)
