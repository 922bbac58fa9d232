"""Writes that are done as a whole."""

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, NotSupportedError, OperationalError, transaction

from rest.exceptions import TRY_AGAIN

T = TypeVar("T")


def committed(act: Callable[[], T]) -> T:
    """What `act` returns, in one transaction; tried once more when it lost against another."""
    try:
        with transaction.atomic():
            return act()
    except (OperationalError, IntegrityError, NotSupportedError) as exc:
        if not isinstance(exc.__cause__, TRY_AGAIN):
            raise
    with transaction.atomic():
        return act()
