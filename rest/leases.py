"""Values cached in Redis that are never older than the last write.

The plain recipe (read, else compute and store; delete on change) has a race: a
reader computes an old value, a writer changes and deletes, the reader stores the
old value after that, and it lives until it expires. Here a reader that misses
takes a *lease* first and may store only while the lease is its own; `forget`
deletes value and lease in one command, which makes the tokens of slow readers
void (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1).
The same lease makes one reader compute while the others wait.

Every failure of Redis raises `CacheDown`; who catches it asks the database.
"""

import atexit
import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django_redis import get_redis_connection
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

# A lease outlives every computation that may still be allowed to store.
LEASE_MS = 5_000
# After a failure reads leave Redis alone for so long; forgetting never does.
_BREAK_SECONDS = 1.0
_REPEAT_SECONDS = 0.05
# So long a process that is to end goes on with it.
_LAST_SECONDS = 35.0
# How long a repetition waits for an answer: a Redis that hangs takes it first when it goes on.
_PATIENT_SECONDS = 2.0

_READ_OR_LEASE = """
local value = redis.call('GET', KEYS[1])
if value then return {value, ''} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {false, ARGV[1]} end
return {false, redis.call('GET', KEYS[2])}
"""
_STORE = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 1
"""

_GIVE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class CacheDown(Exception):
    """Redis can not be used now."""


@dataclass(frozen=True)
class Lease:
    """The right to store what is computed under it, until somebody forgets the key."""

    key: str
    token: str
    is_mine: bool


def full_key(name: str) -> str:
    return f"{settings.CACHE_KEY_PREFIX}:{name}"


def readable(keys: Sequence[str]) -> frozenset[str]:
    """Those of which this process has nothing left to forget.

    Ask before the values are read: one that is read just before it is forgotten is old,
    and nothing is left to forget when it arrives.
    """
    return frozenset(key for key in keys if key not in _unforgotten)


def read_or_lease(key: str) -> bytes | Lease:
    """The value; or, where there is none, a lease: a new one, or the one somebody else holds."""
    if key in _unforgotten:
        raise CacheDown
    mine = uuid.uuid4().hex
    value, token = run(_READ_OR_LEASE, [key, _lease_key(key)], mine, LEASE_MS)
    if value is not None:
        return bytes(value)
    return Lease(key, token.decode(), is_mine=token.decode() == mine)


def store(lease: Lease, value: bytes | int, *, lifetime_ms: int) -> bool:
    """Stores the value unless the key was forgotten since the lease was taken."""
    lease_key = _lease_key(lease.key)
    return bool(run(_STORE, [lease.key, lease_key], lease.token, value, lifetime_ms))


def fill(key: str, compute: Callable[[], bytes | None], *, lifetime_ms: int) -> bytes | None:
    """The value; where there is none, what `compute` returns, stored unless it is None.

    One caller stores; another that comes meanwhile computes for itself, since one
    query more is cheaper than waiting. Without Redis it is computed alone.
    """
    try:
        lease = read_or_lease(key)
    except CacheDown:
        return compute()
    if isinstance(lease, bytes):
        return lease
    value = compute()
    if lease.is_mine:
        with contextlib.suppress(CacheDown):
            if value is None:
                # Nothing is left behind of what does not exist.
                give_back(lease)
            else:
                store(lease, value, lifetime_ms=lifetime_ms)
    return value


def give_back(lease: Lease) -> None:
    """Ends a lease under which nothing is to be stored."""
    run(_GIVE_BACK, [_lease_key(lease.key)], lease.token)


def forget(
    keys: Sequence[str],
    *,
    lifetime_ms: int,
    durably: Sequence[str] | None = None,
    messages: Collection[tuple[str, str]] = (),
) -> None:
    """Drops the values and voids the leases. Call it after the commit, never before.

    When Redis can not be reached it is repeated in the background until it works or
    the values have expired by themselves; this process reads the database meanwhile,
    and when it ends, waits half a minute for that. Should it be killed, a durable job
    does the same, for all keys or those of `durably`. It never raises: the write it
    follows is committed. `messages` are published after it in the same round trip, and
    are not repeated.
    """
    try:
        _delete(get_redis_connection("default"), keys, messages)
    except RedisError as exc:
        logger.warning("Redis could not be told to forget, and will be again: %s", exc)
        # A reader with a lease from before the write may still store the old value.
        seconds = (lifetime_ms + LEASE_MS) / 1000
        _repeat_later(keys, time.monotonic() + seconds)
        _repeat_durably(keys if durably is None else durably, seconds)


def forget_at_commit(key: str, *, lifetime_ms: int, durably: bool = True) -> None:
    """Drops the value when the transaction commits, never before; see `forget`.

    Before the commit a reader would refill the old value. All keys of a transaction
    are dropped by one command, ahead of the hooks that are registered after the first.
    """
    with _hook() as hook:
        hook.lifetimes[key] = lifetime_ms
        if durably:
            hook.durably.add(key)


def publish_at_commit(channel: str, message: str) -> None:
    """Publishes a message when the transaction commits, once, after what it forgets.

    It costs no round trip where something is forgotten. Nobody can rely on it: where
    Redis is not reached, it is lost.
    """
    with _hook() as hook:
        hook.messages[channel, message] = None


@contextlib.contextmanager
def _hook() -> Iterator["_AtCommit"]:
    """The transaction's own, or a new one."""
    for hook in (entry[1] for entry in connection.run_on_commit):
        if isinstance(hook, _AtCommit):
            yield hook
            return
    new = _AtCommit()
    yield new
    # Where there is no transaction, it runs at once.
    transaction.on_commit(new)


@dataclass(frozen=True)
class _AtCommit:
    """A hook that can be recognised, so that a transaction registers it once."""

    lifetimes: dict[str, int] = field(default_factory=dict)
    durably: set[str] = field(default_factory=set)
    messages: dict[tuple[str, str], None] = field(default_factory=dict)

    def __call__(self) -> None:
        if self.lifetimes:
            forget(
                list(self.lifetimes),
                lifetime_ms=max(self.lifetimes.values()),
                durably=list(self.durably),
                messages=self.messages,
            )
            return
        with contextlib.suppress(CacheDown):
            call(self._publish)

    def _publish(self, redis: Any) -> None:
        with redis.pipeline(transaction=False) as pipeline:
            for channel, message in self.messages:
                pipeline.publish(channel, message)
            pipeline.execute()


def forget_in_doubt(hooks: Sequence[Callable[[], object]]) -> None:
    """Drops what these hooks of a transaction would have, after a commit without an answer."""
    for hook in hooks:
        if isinstance(hook, _AtCommit):
            hook()


def forget_now(keys: Sequence[str]) -> None:
    """Drops the values and voids the leases, or raises `CacheDown`."""
    try:
        _delete(get_redis_connection("default"), keys)
    except RedisError as exc:
        raise CacheDown from exc


def _delete(redis: Any, keys: Sequence[str], messages: Collection[tuple[str, str]] = ()) -> None:
    if not messages:
        redis.delete(*keys, *(_lease_key(key) for key in keys))
        return
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.delete(*keys, *(_lease_key(key) for key in keys))
        for channel, message in messages:
            pipeline.publish(channel, message)
        deleted, *_ = pipeline.execute(raise_on_error=False)
    # A user of Redis who may not publish has forgotten all the same.
    if isinstance(deleted, RedisError):
        raise deleted


def _lease_key(key: str) -> str:
    return f"{key}:lease"


# --- A Redis that fails ------------------------------------------------------

_broken_until = 0.0


def call(command: Callable[[Any], Any]) -> Any:
    """Runs a command, or raises `CacheDown` at once while Redis is taken to be broken.

    The pause keeps a Redis that hangs from costing its time-out on each request.
    """
    global _broken_until
    if time.monotonic() < _broken_until:
        raise CacheDown
    try:
        return command(get_redis_connection("default"))
    except RedisError as exc:
        _broken_until = time.monotonic() + _BREAK_SECONDS
        logger.warning("Redis failed; the database answers for %.0f s: %s", _BREAK_SECONDS, exc)
        raise CacheDown from exc


def run(script: str, keys: Sequence[str], *arguments: Any) -> Any:
    """Runs a script, or raises `CacheDown`; see `call`.

    Over a connection that is this thread's own, since the pool asks the system before each
    command whether the connection still is one. Here its end shows when it is used, and the
    command is tried once more on a new one, as the settings say for all. The pool does not
    count it: threads come and go, and what they had goes with them.
    """
    return call(
        lambda redis: _ask(redis.connection_pool, "EVAL", script, len(keys), *keys, *arguments)
    )


class _Connection:
    """A thread's own. It ends with the thread, not when garbage is collected next."""

    def __init__(self, pool: Any) -> None:
        self.pool, self.pid = pool, os.getpid()
        self.redis = pool.connection_class(**pool.connection_kwargs)

    def __del__(self) -> None:
        self.redis.disconnect()


class _Own(threading.local):
    connection: _Connection | None = None


_own = _Own()


def _ask(pool: Any, *command: Any) -> Any:
    own = _own.connection
    # A process that was forked must not speak on its parent's.
    if own is None or own.pool is not pool or own.pid != os.getpid():
        own = _own.connection = _Connection(pool)
    connection = own.redis

    def ask() -> Any:
        connection.send_command(*command)
        return connection.read_response()

    return connection.retry.call_with_retry(ask, lambda error: connection.disconnect())


# Keys still to be forgotten, each until when (monotonic seconds) it could live.
_unforgotten: dict[str, float] = {}
_guard = threading.Lock()
_repeating = False


def _repeat_later(keys: Sequence[str], deadline: float) -> None:
    global _repeating
    with _guard:
        _unforgotten.update(dict.fromkeys(keys, deadline))
        if not _repeating:
            _repeating = True
            thread = threading.Thread(target=_repeat, name="forget", daemon=True)
            thread.start()
            # A command that revokes a key must not end before the key does.
            atexit.register(thread.join, _LAST_SECONDS)


_durable: Callable[[Sequence[str], float], None] | None = None


def repeat_with(enqueue: Callable[[Sequence[str], float], None]) -> None:
    """`enqueue` is called with keys that could not be forgotten, and for how many seconds
    something old may be left of them; it sees to it that another process forgets them."""
    global _durable
    _durable = enqueue


def _repeat_durably(keys: Sequence[str], seconds: float) -> None:
    if _durable is None or not keys:
        return
    try:
        _durable(keys, seconds)
    except Exception:
        # Without PostgreSQL there is only this process; the write is answered all the same.
        logger.warning("No job could be left to forget what Redis has", exc_info=True)


def _repeat() -> None:
    global _repeating
    redis = _patient_redis()
    while True:
        time.sleep(_REPEAT_SECONDS)
        waiting = dict(_unforgotten)
        try:
            _delete(redis, list(waiting))
            done = waiting
        except Exception:
            # Whatever it was, these keys are tried again until they have expired.
            now = time.monotonic()
            done = {key: deadline for key, deadline in waiting.items() if deadline < now}
        with _guard:
            for key, deadline in done.items():
                # A key that failed once more meanwhile has a later deadline, and stays.
                if _unforgotten.get(key) == deadline:
                    del _unforgotten[key]
            if not _unforgotten:
                _repeating = False
                redis.close()
                return


def _patient_redis() -> Redis:
    """A connection of its own that waits at the door of a Redis that hangs."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=_PATIENT_SECONDS,
        socket_timeout=_PATIENT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
