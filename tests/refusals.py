"""What an error answer says, in a form that fits on one line of a test."""

from typing import Any


def refusal(response: Any) -> tuple[int, str, str | None]:
    """Status, code and attr of an error answer."""
    body = response.json()
    return response.status_code, body["code"], body["attr"]


def failures(response: Any) -> set[tuple[str, str | None]]:
    """Code and attr of every failure that a validation lists."""
    return {(error["code"], error["attr"]) for error in response.json()["errors"]}
