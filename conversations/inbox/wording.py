"""Values that clients and customers give, as a page says them."""

import json
from typing import Any


def said(value: Any) -> str:
    """A text as it is, else as JSON, in which a yes, a no and a nothing are words."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False)
