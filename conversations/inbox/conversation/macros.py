"""What a macro does besides answering, in words."""

from typing import Any

from conversations.inbox.people import Assignable
from conversations.models import Macro


def does(macro: Macro, among: list[Assignable]) -> str:
    actions: dict[str, Any] = macro.actions
    parts = []
    if "status" in actions:
        parts.append(f"sets the status to {actions['status'].replace('_', ' ')}")
    if "priority" in actions:
        parts.append(f"sets the priority to {actions['priority'] or 'none'}")
    if actions.get("tags"):
        parts.append(f"adds {', '.join(actions['tags'])}")
    if "assignee" in actions:
        parts.append(f"assigns it to {_name(actions['assignee'], among)}")
    return "; ".join(parts)


def _name(assignee: dict[str, Any] | None, among: list[Assignable]) -> str:
    if assignee is None:
        return "nobody"
    value = f"{assignee['type']}:{assignee['id']}"
    return next((one.name for one in among if one.value == value), "somebody who has gone")
