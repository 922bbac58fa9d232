"""The load: HTTP/1.1 over connections that stay open, one request at a time on each.

Written here because it needs nothing but Python, checks the status of every answer, and keeps up:
against an answer that costs the server nothing, one process of it sent 30,000 to 41,000 requests
per second, where wrk with one thread sent 37,000 to 49,000 (two cores shared with the server).
Each run says how many it reaches, so that a row near that limit can be told.
"""

import contextlib
import gc
import pickle
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle

# An answer that takes longer is a failure, not a slow answer.
ANSWER_TIMEOUT = 20.0
_BUFFER_SIZE = 1024 * 1024
# As the web server writes it.
_LENGTH = b"\r\ncontent-length: "


class LoadError(Exception):
    """An answer that is not the expected one, or none at all."""


@dataclass(frozen=True)
class Job:
    """What to send in turn, over how many connections, for how long, and the right status."""

    port: int
    requests: Sequence[bytes]
    status: int
    connections: int
    seconds: float


@dataclass
class Answers:
    """How long each answer took, in seconds, and how many came per second."""

    latencies: list[float] = field(default_factory=list)
    per_second: float = 0.0

    def __len__(self) -> int:
        return len(self.latencies)


def request(
    method: str, path: str, *, key: str = "", token: str = "", session: str = "", body: bytes = b""
) -> bytes:
    """The bytes of a request; `key` is an API key, `token` a widget's, `session` the cookie of
    who is signed in, `body` is JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if token:
        lines.append(f"X-Conversations-Token: {token}")
    if session:
        lines.append(f"Cookie: sessionid={session}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


# The side that asks for load


class Generator:
    """Processes that do nothing but send, so that no other work of ours delays a request.

    They end when the pipe that feeds them does, so nothing is left of a run that was killed.
    """

    def __init__(self, processes: int) -> None:
        # By import and not as `__main__`, whose classes could not be unpickled over here.
        command = [sys.executable, "-c", "from bench.load import work; work()"]
        self._processes = [
            # A session of its own: Ctrl-C comes to the harness alone.
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            for _ in range(processes)
        ]

    def send(self, job: Job) -> Answers:
        """The answers of all processes; raises LoadError when one of them is wrong."""
        share = max(1, job.connections // len(self._processes))
        for process in self._processes:
            assert process.stdin is not None
            pickle.dump(replace(job, connections=share), process.stdin)
            process.stdin.flush()
        together, failure = Answers(), None
        for process in self._processes:
            assert process.stdout is not None
            try:
                result = pickle.load(process.stdout)  # noqa: S301  (our own child)
            except EOFError:
                result = "A process of the load has ended by itself."
            if isinstance(result, str):
                failure = result
            else:
                together.latencies += result.latencies
                together.per_second += result.per_second
        if failure is not None:
            raise LoadError(failure)
        return together

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


# The process that sends


def work() -> None:
    """Does the jobs that come by standard input until it ends; answers by standard output."""
    gc.disable()
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)  # noqa: S301  (our own parent)
        except EOFError:
            return
        result: Answers | str
        try:
            result = send(job)
        except (LoadError, OSError) as error:
            result = str(error)
        pickle.dump(result, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        gc.collect()


def send(job: Job) -> Answers:
    """Keeps every connection busy for the job's time, and waits for the last answers."""
    following = cycle(job.requests)
    with _connected(job) as (sockets, ready):
        begun = time.perf_counter()
        deadline = begun + job.seconds
        # By number of the file, as that is what comes back from the selector.
        sent_at = {}
        for number, connection in sockets.items():
            sent_at[number] = time.perf_counter()
            connection.sendall(next(following))
        latencies = _exchange(job, sockets, ready, sent_at, following, deadline)
        ended = time.perf_counter()
    return Answers(latencies, len(latencies) / (ended - begun))


def _exchange(
    job: Job,
    sockets: dict[int, socket.socket],
    ready: selectors.BaseSelector,
    sent_at: dict[int, float],
    following: Iterator[bytes],
    deadline: float,
) -> list[float]:
    # The hot loop. One buffer serves all answers that come in one piece: a new one for each
    # would cost more than the rest of the loop.
    clock, buffer, latencies = time.perf_counter, bytearray(_BUFFER_SIZE), []
    expected = f"HTTP/1.1 {job.status} ".encode()
    pieces: dict[int, bytearray] = {}
    while sent_at:
        events = ready.select(ANSWER_TIMEOUT)
        if not events:
            raise LoadError(f"No answer within {ANSWER_TIMEOUT:.0f} s.")
        for selected, _ in events:
            number = selected.fd
            connection = sockets[number]
            size = connection.recv_into(buffer)
            if not size:
                raise LoadError("The server closed a connection.")
            answer = buffer
            if number in pieces:
                answer = pieces.pop(number) + buffer[:size]
                size = len(answer)
            if not _is_complete(answer, size):
                pieces[number] = answer[:size]
                continue
            now = clock()
            if answer[: len(expected)] != expected:
                raise LoadError(bytes(answer[: min(size, 2000)]).decode(errors="replace"))
            latencies.append(now - sent_at[number])
            if now < deadline:
                sent_at[number] = now
                connection.sendall(next(following))
            else:
                del sent_at[number]
    return latencies


def _is_complete(answer: bytearray, size: int) -> bool:
    """Whether the first `size` bytes are a whole answer with a body of JSON."""
    end = answer.find(b"\r\n\r\n", 0, size)
    if end < 0:
        return False
    start = answer.find(_LENGTH, 0, end)
    if start < 0:
        # In chunks. No line break of the body can be taken for the last one's: JSON escapes them.
        return answer.endswith(b"\r\n0\r\n\r\n", 0, size)
    length = int(answer[start + len(_LENGTH) : answer.find(b"\r\n", start + len(_LENGTH))])
    return size >= end + 4 + length


@contextlib.contextmanager
def _connected(job: Job) -> Iterator[tuple[dict[int, socket.socket], selectors.BaseSelector]]:
    with contextlib.ExitStack() as opened:
        ready = opened.enter_context(selectors.DefaultSelector())
        sockets = {}
        for _ in range(job.connections):
            connection = opened.enter_context(
                socket.create_connection(("127.0.0.1", job.port), ANSWER_TIMEOUT)
            )
            # With a time-out Python would ask the system twice, here the selector does the waiting.
            connection.settimeout(None)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(connection, selectors.EVENT_READ)
            sockets[connection.fileno()] = connection
        yield sockets, ready
