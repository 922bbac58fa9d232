"""What the controls beside a conversation ask for, as the API would be asked for it."""

from collections.abc import Mapping
from typing import Any

from conversations.inbox.people import as_assignee

_WORKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]


def asked_for(form: Mapping[str, str], zone: str) -> dict[str, Any]:
    """The body of the PATCH that means the same; its values are for the API to judge.

    A time without a zone, as browsers send it, is one of the project, see `InboxPage`.
    """
    body: dict[str, Any] = {}
    if "status" in form:
        body["status"] = form["status"]
    if "priority" in form:
        body["priority"] = form["priority"] or None
    if "assignee" in form:
        body["assignee"] = as_assignee(form["assignee"])
    if "tags" in form:
        body["tags"] = [tag for tag in form["tags"].split(",") if tag.strip()]
    if "snoozed_until" in form:
        body["snoozed_until"] = form["snoozed_until"] or None
    if "sla_due_at" in form:
        body["sla_due_at"] = form["sla_due_at"] or None
    if "sla_amount" in form:
        amount = form["sla_amount"]
        is_number = amount.isascii() and amount.isdecimal() and len(amount) < 10
        body["sla"] = {
            "amount": int(amount) if is_number else amount,
            "unit": form.get("sla_unit", ""),
            "business_hours": _business_hours(zone) if form.get("sla_business_hours") else None,
        }
    return body


def _business_hours(zone: str) -> dict[str, Any]:
    return {"days": _WORKDAYS, "time": ["09:00", "17:00"], "timezone": zone}
