"""`python -m bench.streams`: many open streams, idle, and then one event for all of them.

Prints the memory that each takes in the stream process, the CPU of all of them while nothing
happens, and how soon all have an event.
"""

import argparse
import contextlib
import os
import resource
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import django
import psutil

from bench import stack
from config import run
from config.run import say

PATIENCE = 60.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.streams")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--projects", type=int, default=20, help="that they listen to")
    parser.add_argument("--seconds", type=float, default=60.0, help="idle")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as started:
        folder = started.enter_context(stack.private_folder())
        stack.start_servers(started, folder)
        stack.migrate()
        with run.step("Projects"):
            keys = _new_keys(options.projects)
        web, streams = (
            stack.start_web(started, name, command, log=folder / f"{name}.log", ready="/readyz")
            for name, command in {
                "Service": run.SERVICES["Web server"],
                "Streams": [sys.executable, "-c", PROGRAM],
            }.items()
        )
        measure(web, streams, keys, options.streams, options.seconds)
    return 0


# As many as one likes of each caller.
PROGRAM = """
import os, runpy
os.environ.update(STREAM_PORT=os.environ["PORT"], STREAMS_PER_CALLER="1000000")
runpy.run_module("config.stream", run_name="__main__")
"""


def _new_keys(count: int) -> list[str]:
    """Keys of so many new projects."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from projects.models import ApiKey, Project

    projects = Project.objects.bulk_create(Project(name="Shop") for _ in range(count))
    return [
        ApiKey.issue(
            project=project, label="bench", scopes=["ticket:write"], rate_limits=[stack.UNLIMITED]
        )[1]
        for project in projects
    ]


@dataclass(frozen=True)
class Opened:
    """Streams that are open, and the memory that each of them takes in their process."""

    process: psutil.Process
    clients: Sequence[socket.socket]
    each_kb: float

    def idle(self, seconds: float) -> float:
        """The percentage of a core that they take together while nothing happens."""
        cpu, began = sum(self.process.cpu_times()[:2]), time.monotonic()
        time.sleep(seconds)
        used = sum(self.process.cpu_times()[:2]) - cpu
        return float(100 * used / (time.monotonic() - began))


@contextlib.contextmanager
def opened(streams: stack.Web, keys: Sequence[str], count: int) -> Iterator[Opened]:
    """So many, to the projects of these keys in turn."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process = psutil.Process(streams.pid)
    with contextlib.ExitStack() as stack_of_clients:
        # What the first few bring with them, such as connections to the database, is no stream's.
        for key in keys:
            stack_of_clients.enter_context(_open(streams.port, key))
        time.sleep(2)
        memory = process.memory_info().rss
        with run.step(f"{count} streams"):
            clients = [
                stack_of_clients.enter_context(_open(streams.port, keys[number % len(keys)]))
                for number in range(count)
            ]
            time.sleep(3)
        yield Opened(process, clients, (process.memory_info().rss - memory) / count / 1024)


def measure(
    web: stack.Web, streams: stack.Web, keys: Sequence[str], count: int, seconds: float
) -> None:
    with opened(streams, keys, count) as all_of_them:
        held = all_of_them.process.memory_info().rss / 2**20
        say(f"each takes {all_of_them.each_kb:.1f} KB; the process has {held:.0f} MB")
        used = all_of_them.idle(seconds)
        say(f"idle for {seconds:.0f} s they take {used:.2f} % of a core together")
        _tell_all(web.port, all_of_them.process, keys[0], all_of_them.clients[:: len(keys)])


def _tell_all(
    port: int, process: psutil.Process, key: str, clients: Sequence[socket.socket]
) -> None:
    """An event for those who listen to one project."""
    for client in clients:
        client.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while client.recv(65536):
                pass
    cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=10)) as writer:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        path = "/api/projects/@current/conversations/tickets"
        writer.request("POST", path, b"{}", headers)
        writer.getresponse().read()
    answered = time.monotonic()
    times: list[float] = []
    with selectors.DefaultSelector() as waiting:
        for client in clients:
            waiting.register(client, selectors.EVENT_READ)
        while waiting.get_map() and time.monotonic() - began < PATIENCE:
            for ready, _ in waiting.select(1.0):
                assert isinstance(ready.fileobj, socket.socket)
                if b"ticket.created" in ready.fileobj.recv(65536):
                    times.append(time.monotonic() - answered)
                    waiting.unregister(ready.fileobj)
    used = sum(process.cpu_times()[:2]) - cpu
    say(
        f"an event came to {len(times)} of {len(clients)}, after the answer to the write:"
        f" median {1000 * statistics.median(times):.0f} ms, last {1000 * max(times):.0f} ms;"
        f" CPU {1000 * used:.0f} ms"
    )


def _open(port: int, key: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.sendall(
        b"GET /api/projects/@current/conversations/stream HTTP/1.1\r\nHost: localhost\r\n"
        + f"Authorization: Bearer {key}\r\n\r\n".encode()
    )
    if not client.recv(65536).startswith(b"HTTP/1.1 200"):
        raise stack.BenchError("A stream was refused.")
    return client


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    sys.exit(main(sys.argv[1:]))
