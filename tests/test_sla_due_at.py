"""The deadline of a ticket: as a moment, or as an amount of time from now."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rest.json import timestamp
from tests.api import ApiClient
from tests.conftest import MakeTicket

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE: dict[str, Any] = {
    "days": ["monday", "tuesday", "wednesday", "thursday", "friday"],
    "time": ["09:00", "17:00"],
    "timezone": "Europe/Berlin",
}
ALWAYS: dict[str, Any] = {
    "days": ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"],
    "time": "any",
    "timezone": "Europe/Berlin",
}
DEADLINE = "2999-01-01T00:00:00.000000Z"


@pytest.fixture
def url(tickets_url: str, make_ticket: MakeTicket) -> str:
    return f"{tickets_url}/{make_ticket(sla_due_at=DEADLINE)['id']}"


def due(response: Any) -> datetime:
    assert response.status_code in (200, 201), response.content
    return datetime.fromisoformat(response.json()["sla_due_at"])


def test_it_is_a_plain_deadline(writer: ApiClient, url: str) -> None:
    for deadline in (None, "2020-01-01T00:00:00.000000Z", DEADLINE):
        assert writer.patch(url, {"sla_due_at": deadline}).json()["sla_due_at"] == deadline


@pytest.mark.parametrize("hours", [{}, {"business_hours": None}, {"business_hours": ALWAYS}])
@pytest.mark.parametrize(
    ("amount", "unit", "length"),
    [
        (90, "minute", timedelta(minutes=90)),
        (4, "hour", timedelta(hours=4)),
        (2, "day", timedelta(hours=48)),
    ],
)
def test_an_amount_of_time_is_counted_from_now(
    writer: ApiClient,
    url: str,
    tickets_url: str,
    hours: dict[str, Any],
    amount: int,
    unit: str,
    length: timedelta,
) -> None:
    sla = {"amount": amount, "unit": unit, **hours}
    for write, to in ((writer.patch, url), (writer.put, url), (writer.post, tickets_url)):
        before = datetime.now(UTC)

        found = due(write(to, {"sla": sla}))

        assert before + length <= found <= datetime.now(UTC) + length


def test_with_business_hours_it_ends_inside_of_them(writer: ApiClient, url: str) -> None:
    response = writer.patch(url, {"sla": {"amount": 30, "unit": "hour", "business_hours": OFFICE}})

    wall = due(response).astimezone(BERLIN)
    # Not before the fourth working day from now.
    assert due(response) > datetime.now(UTC) + timedelta(days=3)
    assert wall.weekday() < 5
    assert 9 <= wall.hour + wall.minute / 60 <= 17


def test_a_day_is_as_long_as_the_window(writer: ApiClient, url: str) -> None:
    hours = ALWAYS | {"time": ["00:00", "12:00"]}

    days = due(writer.patch(url, {"sla": {"amount": 14, "unit": "day", "business_hours": hours}}))
    same = due(
        writer.patch(url, {"sla": {"amount": 14 * 12, "unit": "hour", "business_hours": hours}})
    )

    assert abs(same - days) < timedelta(minutes=1)
    assert timedelta(days=13) < days - datetime.now(UTC) < timedelta(days=15)


def test_a_window_may_reach_to_midnight(writer: ApiClient, url: str) -> None:
    hours = ALWAYS | {"time": ["00:00", "24:00"]}

    found = due(writer.patch(url, {"sla": {"amount": 1, "unit": "hour", "business_hours": hours}}))

    assert abs(found - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)


def test_null_clears_the_deadline(writer: ApiClient, url: str) -> None:
    assert writer.patch(url, {"sla": None}).json()["sla_due_at"] is None


def test_it_is_in_no_answer(writer: ApiClient, url: str) -> None:
    assert "sla" not in writer.patch(url, {"sla": {"amount": 1, "unit": "day"}}).json()


# --- Beside sla_due_at -------------------------------------------------------

IN_A_DAY = {"amount": 1, "unit": "day"}


@pytest.mark.parametrize("spelling", [DEADLINE, "2999-01-01T01:00:00+01:00"])
def test_an_equal_deadline_beside_it_is_no_change(
    writer: ApiClient, url: str, spelling: str
) -> None:
    found = due(writer.patch(url, {"sla": IN_A_DAY, "sla_due_at": spelling}))

    assert found < datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize("deadline", ["2999-01-02T00:00:00Z", None])
@pytest.mark.parametrize("sla", [IN_A_DAY, None])
def test_a_changed_deadline_beside_it_is_refused_and_changes_nothing(
    writer: ApiClient, reader: ApiClient, url: str, deadline: str | None, sla: Any
) -> None:
    before = reader.get(url).json()

    response = writer.patch(url, {"sla": sla, "sla_due_at": deadline, "priority": "high"})

    assert (response.status_code, response.json()["attr"]) == (400, "sla")
    assert reader.get(url).json() == before


def test_a_new_ticket_takes_one_of_them(writer: ApiClient, tickets_url: str) -> None:
    refused = writer.post(tickets_url, {"sla": IN_A_DAY, "sla_due_at": DEADLINE})
    taken = writer.post(tickets_url, {"sla": IN_A_DAY, "sla_due_at": None})

    assert (refused.status_code, refused.json()["attr"]) == (400, "sla")
    assert taken.json()["sla_due_at"] is not None


# --- What is refused ---------------------------------------------------------


def with_hours(**changes: Any) -> dict[str, Any]:
    hours = {name: value for name, value in (OFFICE | changes).items() if value is not ...}
    return {"amount": 1, "unit": "hour", "business_hours": hours}


@pytest.mark.parametrize(
    ("sla", "code", "attr"),
    [
        ("1 day", "invalid_input", "sla"),
        ([], "invalid_input", "sla"),
        (5, "invalid_input", "sla"),
        ({}, "required", "sla__amount"),
        ({"amount": 1}, "required", "sla__unit"),
        ({"unit": "day"}, "required", "sla__amount"),
        ({"amount": None, "unit": "day"}, "null", "sla__amount"),
        ({"amount": 0, "unit": "day"}, "min_value", "sla__amount"),
        ({"amount": -1, "unit": "day"}, "min_value", "sla__amount"),
        ({"amount": 10_001, "unit": "day"}, "max_value", "sla__amount"),
        ({"amount": 2**63 - 1, "unit": "day"}, "max_value", "sla__amount"),
        ({"amount": 1.5, "unit": "day"}, "invalid_input", "sla__amount"),
        ({"amount": "1", "unit": "day"}, "invalid_input", "sla__amount"),
        ({"amount": True, "unit": "day"}, "invalid_input", "sla__amount"),
        ({"amount": 1, "unit": "week"}, "invalid_choice", "sla__unit"),
        ({"amount": 1, "unit": None}, "null", "sla__unit"),
        ({"amount": 1, "unit": []}, "invalid_choice", "sla__unit"),
        ({"amount": 1, "unit": "day", "hours": 3}, "unknown_field", "sla__hours"),
        (
            {"amount": 1, "unit": "day", "business_hours": []},
            "invalid_input",
            "sla__business_hours",
        ),
        (with_hours(days=...), "required", "sla__business_hours__days"),
        (with_hours(days=[]), "empty", "sla__business_hours__days"),
        (with_hours(days="monday"), "not_a_list", "sla__business_hours__days"),
        (with_hours(days=["Monday"]), "invalid_choice", "sla__business_hours__days__0"),
        (with_hours(days=["monday"] * 8), "max_length", "sla__business_hours__days"),
        (with_hours(time=...), "required", "sla__business_hours__time"),
        (with_hours(time=None), "null", "sla__business_hours__time"),
        (with_hours(time="all"), "invalid_input", "sla__business_hours__time"),
        (with_hours(time=["09:00"]), "invalid_input", "sla__business_hours__time"),
        (with_hours(time=["9:00", "17:00"]), "invalid_input", "sla__business_hours__time"),
        (with_hours(time=["09:00", "25:00"]), "invalid_input", "sla__business_hours__time"),
        (
            with_hours(time=["09:00", "\u0661\u0667:\u0660\u0660"]),
            "invalid_input",
            "sla__business_hours__time",
        ),
        (with_hours(time=["09:00", "17:00\n"]), "invalid_input", "sla__business_hours__time"),
        (with_hours(time=[9, 17]), "invalid_input", "sla__business_hours__time"),
        (with_hours(time=["17:00", "09:00"]), "empty", "sla__business_hours__time"),
        (with_hours(time=["09:00", "09:00"]), "empty", "sla__business_hours__time"),
        (with_hours(time=["24:00", "24:00"]), "empty", "sla__business_hours__time"),
        (with_hours(timezone=...), "required", "sla__business_hours__timezone"),
        (with_hours(timezone="Mars/Base"), "invalid_input", "sla__business_hours__timezone"),
        (with_hours(timezone="../etc/passwd"), "invalid_input", "sla__business_hours__timezone"),
        (with_hours(timezone="Europe"), "invalid_input", "sla__business_hours__timezone"),
        (with_hours(timezone=1), "invalid_input", "sla__business_hours__timezone"),
        (with_hours(until="18:00"), "unknown_field", "sla__business_hours__until"),
        (
            with_hours(days=["monday"], time=["09:00", "09:01"]) | {"amount": 10_000},
            "too_late",
            "sla",
        ),
    ],
)
def test_what_means_nothing_is_refused_by_name(
    writer: ApiClient, tickets_url: str, url: str, sla: Any, code: str, attr: str
) -> None:
    for response in (
        writer.patch(url, {"sla": sla}),
        writer.post(tickets_url, {"sla": sla}),
    ):
        assert (response.status_code, response.json()["code"], response.json()["attr"]) == (
            400,
            code,
            attr,
        )


def test_a_deadline_is_shown_in_utc_with_microseconds(writer: ApiClient, url: str) -> None:
    response = writer.patch(url, {"sla": IN_A_DAY})

    assert response.json()["sla_due_at"] == timestamp(due(response))
