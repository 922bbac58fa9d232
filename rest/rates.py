"""Rates as settings and keys name them. Read by the settings, so it needs none."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WINDOWS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_NAMES = {seconds: name for name, seconds in _WINDOWS.items()}
_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")


@dataclass(frozen=True)
class Rate:
    """At most `quota` calls in `seconds`, whoever calls."""

    quota: int
    seconds: int

    @property
    def window(self) -> str:
        return _NAMES[self.seconds]

    def __str__(self) -> str:
        return f"{self.quota}/{self.window}"


def parse_rate(text: str) -> Rate:
    """`480/minute`; also of a second, an hour or a day. Raises ValueError."""
    rate = _RATE.fullmatch(text.strip())
    if rate is None:
        raise ValueError(f"{text!r} is not a rate like 480/minute.")
    return Rate(int(rate[1]), _WINDOWS[rate[2]])


def parse_rates(texts: Iterable[str]) -> list[Rate]:
    """Rates that hold together, each of another window. Raises ValueError."""
    rates = [parse_rate(text) for text in texts]
    windows = [rate.window for rate in rates]
    for window in windows:
        # They would count on one counter, each call twice.
        if windows.count(window) > 1:
            raise ValueError(f"There are two rates a {window}; one is enough.")
    return rates
