"""Log lines without what customers and keys have said."""

import logging
import re
from typing import Any

from pythonjsonlogger.json import JsonFormatter

# PostgreSQL quotes the row that broke a rule, message texts and addresses included.
_DETAIL = re.compile(r"\nDETAIL: .*?(?=\n\n(?:The above exception|During handling)|\Z)", re.DOTALL)


class WithoutRows(logging.Formatter):
    """Leaves the rows out that the database quotes in its errors."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  (the name is logging's)
        return _DETAIL.sub("\nDETAIL: left out", super().formatException(ei))


class JSONWithoutRows(WithoutRows, JsonFormatter):
    """The same as JSON, an object a line."""
