"""What an agent can do about saved views at a list: keep it as one, or change the one it shows."""

from dataclasses import dataclass
from typing import Any

from rest_framework.exceptions import ValidationError

from conversations.inbox.page import failures
from conversations.models import SavedView
from conversations.saved_views.filters import are_the_same, as_filters


@dataclass(frozen=True)
class Keeping:
    """`view` is the one that the list shows or was made from; `problem` says why what the list
    asks for can not be kept, where it could be."""

    view: SavedView | None
    is_changed: bool
    can_be_new: bool
    problem: str

    @property
    def is_offered(self) -> bool:
        return self.view is not None or self.can_be_new


def keeping(
    view: SavedView | None, parameters: dict[str, str], views: list[SavedView], *, is_valid: bool
) -> Keeping:
    """For a list with these parameters, beside the views of the sidebar."""
    if not is_valid:
        return Keeping(view, is_changed=False, can_be_new=False, problem="")
    filters: dict[str, Any] = {}
    problem = ""
    try:
        filters = as_filters(parameters)
    except ValidationError as exc:
        problem = " ".join(text for texts in failures(exc).values() for text in texts)
    is_changed = view is not None and (bool(problem) or not are_the_same(view.filters, filters))
    is_one = not problem and any(are_the_same(other.filters, filters) for other in views)
    return Keeping(
        view,
        is_changed=is_changed,
        can_be_new=bool(filters or problem) and not is_one and (view is None or is_changed),
        problem=problem,
    )
