"""The ways a saved view or a macro comes to be and changes."""

from typing import Any

from conversations.models import set_fields
from projects.models import User


def add_named(model: Any, *, project_id: int, created_by: User | None, **fields: Any) -> Any:
    return model.objects.create(project_id=project_id, created_by=created_by, **fields)


def change_named(named: Any, **fields: Any) -> list[str]:
    """Writes what differs of a view or macro that the caller has locked; says what did."""
    changed = set_fields(named, fields)
    if changed:
        named.save(update_fields=changed)
    return changed
