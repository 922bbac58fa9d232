"""How often somebody may call: counted in Redis, in the same round trip as what else is read.

The windows are fixed, and each begins with the first call that it counts, so that
what remains of one and when it ends can be told exactly, and nobody who waits as
told is refused. The price is known: around the end of a window up to twice the
quota may come within its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rest import leases

_TAKE = """
local limits, guarded = tonumber(ARGV[1]), ARGV[2] == '1'
local values = {}
for index = limits + 1, #KEYS do
    values[#values + 1] = redis.call('GET', KEYS[index])
end
local wait = 0
if not guarded or values[1] then
    for index = 1, limits do
        if tonumber(redis.call('GET', KEYS[index]) or '0') >= tonumber(ARGV[1 + 2 * index]) then
            wait = math.max(wait, redis.call('PTTL', KEYS[index]))
        end
    end
    if wait == 0 then
        for index = 1, limits do
            if redis.call('INCR', KEYS[index]) == 1 then
                redis.call('PEXPIRE', KEYS[index], ARGV[2 + 2 * index])
            end
        end
    end
end
return {wait, values}
"""


@dataclass(frozen=True)
class Limit:
    """At most `quota` calls in `seconds`, for whom `name` stands for: a digest, an address."""

    name: str
    quota: int
    seconds: int


@dataclass(frozen=True)
class Verdict:
    """Seconds until the call is allowed, 0 where it is; and the values that were read with it."""

    wait: float
    values: dict[str, bytes | None]


def take(limits: Sequence[Limit], *, reading: Sequence[str] = ()) -> Verdict:
    """Counts a call against all of the limits, or, where one is exceeded, against none.

    With `reading`, cache keys, the call is counted only if the first of them has a
    value: a caller whom nobody knows leaves nothing behind. Without Redis the call is
    let through, and nothing is read.
    """
    keys = [leases.full_key(f"limit:{limit.name}") for limit in limits]
    arguments: list[Any] = [len(limits), int(bool(reading))]
    for limit in limits:
        arguments += [limit.quota, limit.seconds * 1000]
    try:
        wait, values = leases.call(
            lambda redis: redis.eval(_TAKE, len(keys) + len(reading), *keys, *reading, *arguments)
        )
    except leases.CacheDown:
        return Verdict(0, {})
    return Verdict(wait / 1000, leases.trusted(reading, values))
