"""What the figures of a row are held to."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.rounds import Pair, Side


@dataclass(frozen=True)
class Finding:
    """One figure beside its target; `met` is None where there is none to meet."""

    measured: str
    target: str
    met: bool | None


Rule = Callable[[Pair], Finding]


def speed(at_least: float) -> Rule:
    """Requests per second, as a part or a multiple of the reference's."""

    def rule(pair: Pair) -> Finding:
        ratio = median(pair.speeds)
        return Finding(f"{ratio:.2f}x its speed", f">= {at_least:.2f}x", ratio >= at_least)

    return rule


def duration(at_most: float, *, plus_ms: float = 0.0) -> Rule:
    """Of half of the answers, as a multiple of the reference's."""

    def rule(pair: Pair) -> Finding:
        ours, theirs = pair.service.seconds(), _reference(pair).seconds()
        target = f"<= {at_most:g}x" + (f" + {plus_ms:g} ms" if plus_ms else "")
        met = ours <= at_most * theirs + plus_ms / 1000
        return Finding(f"{ours / theirs:.2f}x its time", target, met)

    return rule


def longer(at_most_ms: float) -> Rule:
    """Of half of the answers, than the reference's."""

    def rule(pair: Pair) -> Finding:
        more = 1000 * (pair.service.seconds() - _reference(pair).seconds())
        return Finding(f"{more:.0f} ms more", f"<= {at_most_ms:g} ms more", more <= at_most_ms)

    return rule


def time(at_most_ms: float) -> Rule:
    """Of half of the answers; beside it that of 95 in a hundred."""

    def rule(pair: Pair) -> Finding:
        half, most = (1000 * pair.service.seconds(percent) for percent in (50, 95))
        found = f"{half:.0f} ms, 95 % within {most:.0f}"
        return Finding(found, f"<= {at_most_ms:g} ms", half <= at_most_ms)

    return rule


def cpu(at_most: float) -> Rule:
    """Of all processes for one request, as a multiple of the reference's."""

    def rule(pair: Pair) -> Finding:
        ours, theirs = pair.service.whole_cpu, _reference(pair).whole_cpu
        # The system counts CPU in steps of 10 ms, of which a very short round may have none.
        ratio = ours / theirs if theirs else float("inf")
        return Finding(f"{ratio:.2f}x its CPU", f"<= {at_most:g}x", ratio <= at_most)

    return rule


def statements(at_most: int) -> Rule:
    def rule(pair: Pair) -> Finding:
        found = f"{pair.asked.statements} SQL statements"
        return Finding(found, f"<= {at_most}", pair.asked.statements <= at_most)

    return rule


def sql(at_most_ms: float) -> Rule:
    """All statements of a request together."""

    def rule(pair: Pair) -> Finding:
        took = 1000 * pair.asked.seconds
        return Finding(f"{took:.1f} ms of SQL", f"<= {at_most_ms:g} ms", took <= at_most_ms)

    return rule


def trips(at_most: int) -> Rule:
    def rule(pair: Pair) -> Finding:
        # What comes once in a while, as a lease that has run out, is no part of a request.
        met = round(pair.service.trips, 1) <= at_most
        return Finding(f"{pair.service.trips:.2f} trips to Redis", f"<= {at_most}", met)

    return rule


def _reference(pair: Pair) -> Side:
    assert pair.reference is not None
    return pair.reference
