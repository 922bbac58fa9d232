"""`make run` as a person meets it, in a copy of this checkout with a state of its own."""

import json
import os
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import embedded
from tests.make_run import PATIENCE, Run, copied_checkout

Start = Callable[..., Run]


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    with copied_checkout() as copy:
        yield copy


@pytest.fixture
def port() -> int:
    return embedded.free_port()


@pytest.fixture
def start(checkout: Path, port: int) -> Iterator[Start]:
    runs: list[Run] = []

    def start(**environment: str) -> Run:
        runs.append(Run(checkout, port, **environment))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.end(signal.SIGTERM)


def shown_key(run: Run) -> str:
    found = re.search(r"Authorization: Bearer (\S+)\"", run.output)
    assert found is not None, run.output
    return found.group(1)


def test_it_serves_the_demo_refuses_a_second_start_and_finds_the_data_again(
    start: Start, checkout: Path
) -> None:
    run = start()
    run.wait_until_ready()
    key = shown_key(run)
    command = re.search(r"(http://\S+/unread_count)$", run.output, re.MULTILINE)
    assert command is not None
    count = json.loads(
        run.get(command.group(1).removeprefix(run.url), Authorization=f"Bearer {key}")
    )
    assert count["count"] >= 0
    stream = urllib.request.Request(
        f"{run.url}/api/projects/@current/conversations/stream",
        headers={"Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(stream, timeout=10) as told:
        assert told.readline() == b"event: unread_count\n"
    shop = re.search(r"Demo shop +(http://\S+/demo) ", run.output)
    assert shop is not None
    assert b"Slow Pour" in run.get(shop.group(1).removeprefix(run.url))

    second = start()
    assert second.process.wait(PATIENCE) == 1
    assert f"runs already, at {run.url}" in second.output

    assert run.end(signal.SIGINT) == 0
    assert "Stopped." in run.output
    with pytest.raises(urllib.error.URLError):
        run.get("/readyz")

    again = start()
    again.wait_until_ready()
    assert shown_key(again) == key


def test_manage_py_in_another_terminal_attaches_to_it(start: Start) -> None:
    run = start(DEMO="0")
    run.wait_until_ready()

    # It fails where there is no database, and where that has no tables.
    run.manage("migrate", "--check")


def test_it_starts_again_after_it_was_killed(start: Start) -> None:
    killed = start(DEMO="0")
    killed.wait_until_ready()
    killed.end(signal.SIGKILL)

    run = start(DEMO="0")
    run.wait_until_ready()

    assert run.get("/readyz")


def test_when_a_part_dies_it_says_so_and_stops_the_rest(start: Start, checkout: Path) -> None:
    run = start(DEMO="0")
    run.wait_until_ready()
    directory = re.search(r"servers lie in (\S+)", run.output)
    assert directory is not None
    [cache] = embedded.processes_in(Path(directory.group(1)) / "redis", "redis-server")

    os.kill(cache, signal.SIGKILL)

    assert run.process.wait(PATIENCE) == 1
    assert "Redis ended by itself" in run.output
    with pytest.raises(urllib.error.URLError):
        run.get("/readyz")


def test_a_taken_port_is_named_with_the_way_out(start: Start, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        run = start()
        assert run.process.wait(PATIENCE) == 1

    assert f"port {port}" in run.output
    assert "PORT=8001 make run" in run.output


def test_a_wrong_setting_is_named(start: Start) -> None:
    run = start(WEB_WORKERS="many")

    assert run.process.wait(PATIENCE) == 1
    assert "WEB_WORKERS" in run.output
    assert "Traceback" not in run.output
