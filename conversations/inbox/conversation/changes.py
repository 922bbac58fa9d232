"""What the controls beside a conversation ask for, as the API would be asked for it."""

from collections.abc import Collection, Mapping
from typing import Any

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from conversations.inbox.clock import typed
from conversations.inbox.people import as_assignee
from conversations.inbox.tags import read_tags
from conversations.models import Status, Ticket
from rest.exceptions import invalid
from rest.fields import MAX_LISTED

# With every form of a page.
_OF_FORMS = {"csrfmiddlewaretoken", "since"}
_REPLY = _OF_FORMS | {"message", "kind", "macro", "seen", "then", "form", "filled"}
_TIMES = ("snoozed_until", "sla_due_at")
_SLA = ("sla_amount", "sla_unit", "sla_business_hours")
_CHANGE = _OF_FORMS | {"version", "seen", "status", "priority", "assignee", "tags", *_TIMES, *_SLA}
_WORKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday"]


def check_reply(form: QueryDict) -> None:
    """Raises ValidationError for what is no reply and no note: a note that is misunderstood
    would go to the customer."""
    _check_names(form, _REPLY)
    if form.get("kind", "reply") not in ("reply", "note"):
        raise invalid("kind", f"kind: There is no “{form['kind'][:50]}” to write.")
    if form.get("then", "") not in ("", Status.RESOLVED):
        raise invalid("then", f"then: There is no “{form['then'][:50]}” to do after it.")


def _check_names(form: QueryDict, names: Collection[str]) -> None:
    unknown = [name[:50] for name in form if name not in names][:MAX_LISTED]
    if unknown:
        texts = [f"There is no field “{name}”." for name in unknown]
        raise ValidationError({"non_field_errors": texts})


def asked_for(form: QueryDict, ticket: Ticket, zone: str) -> dict[str, Any]:
    """The body of the PATCH that means the same; its values are for the API to judge.

    A time without a zone, as browsers send it, is one of the project, see `InboxPage`.
    """
    _check_names(form, _CHANGE)
    return {**_fields(form, zone), **_times(form, ticket)}


def _times(form: Mapping[str, str], ticket: Ticket) -> dict[str, Any]:
    """Without those that are as the page shows them, which may be less than is stored."""
    return {
        name: form[name] or None
        for name in _TIMES
        if name in form and form[name] != typed(getattr(ticket, name))
    }


def _fields(form: Mapping[str, str], zone: str) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if "status" in form:
        body["status"] = form["status"]
    if "priority" in form:
        body["priority"] = form["priority"] or None
    if "assignee" in form:
        body["assignee"] = as_assignee(form["assignee"])
    if "tags" in form:
        body["tags"] = read_tags(form["tags"])
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
