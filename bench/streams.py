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
from collections.abc import Sequence
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
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.ExitStack() as started:
        folder = started.enter_context(stack.private_folder())
        stack.start_servers(started, folder)
        stack.migrate()
        with run.step("Projects"):
            keys = _new_keys(options.projects)
        web = _start(started, "Service", "config.serve", folder)
        streams = _start(started, "Streams", "config.stream", folder)
        measure(web, streams, keys, options.streams, options.seconds)
    return 0


def _start(started: contextlib.ExitStack, name: str, module: str, folder: Path) -> stack.Web:
    program = (
        f"import os, runpy; os.environ['STREAM_PORT'] = os.environ['PORT'];"
        f" os.environ['STREAMS_PER_CALLER'] = '1000000';"
        f" runpy.run_module('{module}', run_name='__main__')"
    )
    command = [sys.executable, "-c", program]
    return stack.start_web(started, name, command, log=folder / f"{name}.log", ready="/readyz")


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


def measure(
    web: stack.Web, streams: stack.Web, keys: Sequence[str], count: int, seconds: float
) -> None:
    process = psutil.Process(streams.pid)
    # What the first few bring with them, such as connections to the database, is no stream's.
    with contextlib.ExitStack() as opened:
        for key in keys:
            opened.enter_context(_open(streams.port, key))
        time.sleep(2)
        memory = process.memory_info().rss
        with run.step(f"{count} streams"):
            clients = [
                opened.enter_context(_open(streams.port, keys[number % len(keys)]))
                for number in range(count)
            ]
            time.sleep(3)
        each = (process.memory_info().rss - memory) / count / 1024
        cpu, began = sum(process.cpu_times()[:2]), time.monotonic()
        time.sleep(seconds)
        used = (sum(process.cpu_times()[:2]) - cpu) / (time.monotonic() - began)
        say(f"each takes {each:.1f} KB; the process has {process.memory_info().rss / 2**20:.0f} MB")
        say(f"idle for {seconds:.0f} s they take {100 * used:.2f} % of a core together")
        _tell_all(web.port, process, keys[0], clients[:: len(keys)])


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
