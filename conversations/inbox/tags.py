"""Tags as somebody types them: with commas between them, or, where one has a comma itself, as the
JSON array that the list's filter takes as well."""

import json
from collections.abc import Sequence

from rest_framework.exceptions import ValidationError

from conversations.tickets.filters import TagList


def as_typed(tags: Sequence[str]) -> str:
    is_plain = not any("," in tag or tag.startswith("[") for tag in tags)
    return ", ".join(tags) if is_plain else json.dumps(list(tags), ensure_ascii=False)


def read_tags(text: str) -> list[str]:
    """Without empty ones; what they may be is for the API to judge."""
    try:
        tags = TagList().items(text)
    except ValidationError:
        # It only looks like JSON.
        tags = [tag.strip() for tag in text.split(",")]
    return [tag for tag in tags if tag.strip()]
