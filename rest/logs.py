"""Log lines without what customers and keys have said."""

import logging
from collections.abc import Iterator
from typing import Any

from pythonjsonlogger.json import JsonFormatter

_DETAIL = "\nDETAIL: "


class WithoutRows(logging.Formatter):
    """Leaves the rows out that the database quotes in its errors.

    PostgreSQL quotes the row that broke a rule, message texts and addresses included.
    """

    def formatException(self, ei: Any) -> str:  # noqa: N802  (the name is logging's)
        text = super().formatException(ei)
        for error in _chain(ei[1]):
            told = str(error)
            said, detail, _ = told.partition(_DETAIL)
            if detail:
                text = text.replace(told, f"{said}{_DETAIL}left out")
        return text


class JSONWithoutRows(WithoutRows, JsonFormatter):
    """The same as JSON, an object a line."""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that led to it, as a traceback has them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
