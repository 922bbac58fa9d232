"""What the widget reads of an error, besides the shape that all errors have."""

from typing import Any


def add_widget_error(body: dict[str, Any], status: int) -> None:
    """Adds `error`, and with a 400 `details` of each field (contract, section 9)."""
    body["error"] = body["detail"]
    if status == 400:
        body["error"], body["details"] = "Invalid request data", {}
        for failure in body.get("errors", [body]):
            name = failure["attr"] or "non_field_errors"
            body["details"].setdefault(name, []).append(failure["detail"])
