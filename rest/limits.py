"""How often somebody may call: counted in Redis, in the same round trip as what else is read.

The windows are fixed, and each begins with the first call that it counts, so that
what remains of one and when it ends can be told exactly, and nobody who waits as
told is refused. The price is known: around the end of a window up to twice the
quota may come within its length. The headers are those of
draft-ietf-httpapi-ratelimit-headers, version 10.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from rest import leases, metrics
from rest.rates import Rate

# Of a caller with a record, the counters' names follow from it, so that they are not among
# KEYS. Redis is one primary here, which allows that.
_TAKE = """
local wanted, guarded, own = cjson.decode(ARGV[1]), ARGV[2] == '1', ARGV[3]
local values = {}
for index, key in ipairs(KEYS) do values[index] = redis.call('GET', key) end
local wait, told = 0, {}
if guarded and not values[1] then return {0, values, told} end
if own ~= '' then
    local record = cjson.decode(values[1])
    if type(record.limits) == 'table' then
        wanted = {}
        for index, limit in ipairs(record.limits) do
            wanted[index] = {'', limit[1], limit[2]}
        end
    end
    for _, limit in ipairs(wanted) do
        limit[1] = string.format('%s:%.0f:%d', own, record.id, limit[3])
    end
end
local used = {}
for index, limit in ipairs(wanted) do
    used[index] = tonumber(redis.call('GET', limit[1]) or '0')
    if used[index] >= limit[2] then wait = math.max(wait, redis.call('PTTL', limit[1])) end
end
for index, limit in ipairs(wanted) do
    if wait == 0 then
        used[index] = redis.call('INCR', limit[1])
        if used[index] == 1 then redis.call('PEXPIRE', limit[1], limit[3] * 1000) end
    end
    local left = redis.call('PTTL', limit[1])
    if left < 0 then left = limit[3] * 1000 end
    for _, number in ipairs({limit[2], limit[3], math.max(0, limit[2] - used[index]), left}) do
        told[#told + 1] = number
    end
end
return {wait, values, told}
"""
_GIVE_BACK = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end"


@dataclass(frozen=True)
class Limit:
    """At most `quota` calls in `seconds`, for whom `name` stands for: a key's id, an address."""

    name: str
    quota: int
    seconds: int


@dataclass(frozen=True)
class Remaining:
    """What is left of a rate, and for how many seconds its window goes on."""

    rate: Rate
    calls: int
    seconds: int


@dataclass(frozen=True)
class Verdict:
    """Seconds until the call is allowed, 0 where it is; the values that were read with it;
    and what is left, where the call was looked at."""

    wait: float
    values: dict[str, bytes | None]
    remaining: tuple[Remaining, ...] = ()

    def headers(self) -> dict[str, str]:
        if not self.remaining:
            return {}
        policy = [
            f'"{each.rate.window}";q={each.rate.quota};w={each.rate.seconds}'
            for each in self.remaining
        ]
        left = [f'"{each.rate.window}";r={each.calls};t={each.seconds}' for each in self.remaining]
        return {"RateLimit-Policy": ", ".join(policy), "RateLimit": ", ".join(left)}


_OF_REQUEST = "rest.limits.verdict"


def once(environ: dict[str, Any], look: Callable[[], Verdict]) -> Verdict:
    """The verdict on a request: looked up, and the call counted, by whoever asks for it first."""
    if _OF_REQUEST not in environ:
        environ[_OF_REQUEST] = look()
    verdict: Verdict = environ[_OF_REQUEST]
    return verdict


def take(
    limits: Sequence[Limit], *, reading: Sequence[str] = (), own: str | None = None
) -> Verdict:
    """Counts a call against all of the limits, or, where one is exceeded, against none.

    With `reading`, cache keys, the call is counted only if the first of them has a
    value: a caller whom nobody knows leaves nothing behind. With `own`, that value is
    JSON: its `limits`, pairs of quota and seconds, replace the others, and the names of
    all are `own:id:seconds` with its `id`. Without Redis the call is let through, and
    nothing is read. A call whose answer from Redis is lost on the way is counted twice.
    """
    wanted = [[_key(limit.name), limit.quota, limit.seconds] for limit in limits]
    arguments = [orjson.dumps(wanted), int(bool(reading)), "" if own is None else _key(own)]
    readable = leases.readable(reading)
    try:
        wait, values, told = leases.run(_TAKE, reading, *arguments)
    except leases.CacheDown:
        metrics.RATE_LIMIT_FAIL_OPENS.inc()
        return Verdict(0, {})
    if wait:
        metrics.RATE_LIMIT_REFUSALS.inc()
    found = zip(reading, values, strict=True)
    trusted = {key: value if key in readable else None for key, value in found}
    return Verdict(wait / 1000, trusted, _remaining(told))


def give_back(limit: Limit) -> None:
    """Takes back a call that `take` has counted, unless its window has ended meanwhile."""
    with contextlib.suppress(leases.CacheDown):
        leases.run(_GIVE_BACK, [_key(limit.name)])


def _remaining(told: Sequence[Any]) -> tuple[Remaining, ...]:
    return tuple(
        Remaining(Rate(int(quota), int(seconds)), int(calls), math.ceil(left / 1000))
        for quota, seconds, calls, left in zip(*[iter(told)] * 4, strict=True)
    )


def _key(name: str) -> str:
    return leases.full_key(f"limit:{name}")
