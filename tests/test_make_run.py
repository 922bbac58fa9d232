"""`make run` as a person meets it, in a copy of this checkout with a state of its own."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config import embedded
from tests.plugin import need_servers_of_our_own, private_folder

PATIENCE = 90


class Run:
    """A `python -m config.run`, which is what `make run` executes after installing."""

    def __init__(self, checkout: Path, port: int, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "REDIS_URL", "CACHE_KEY_PREFIX", "HOST", "DEMO")
        }
        self.log = checkout / f"run-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.run"],
                cwd=checkout,
                env=kept | {"PORT": str(port), **environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while "Ctrl-C stops everything" not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            body: bytes = response.read()
        return body


Start = Callable[..., Run]


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    need_servers_of_our_own()
    with private_folder() as folder:
        copy = folder / "checkout"
        for name in ("config", "rest", "projects", "conversations"):
            shutil.copytree(
                embedded.CHECKOUT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(embedded.CHECKOUT / "manage.py", copy)
        with state_of(copy, folder / "state") as state:
            # What has been fetched once need not be fetched for a test.
            if (programs := embedded.state_dir() / "bin").is_dir():
                shutil.copytree(programs, state / "bin")
                for path in [state / "bin", *(state / "bin").rglob("*")]:
                    embedded.give_to_servers(path)
            yield copy


@contextlib.contextmanager
def state_of(checkout: Path, folder: Path) -> Iterator[Path]:
    """Puts the copy's state into a folder that goes away with it, wherever it would lie."""
    where = subprocess.run(
        [sys.executable, "-c", "from config import embedded; print(embedded._state_path())"],
        cwd=checkout,
        check=True,
        capture_output=True,
        text=True,
    )
    embedded.make_folder(folder)
    link = Path(where.stdout.strip())
    link.symlink_to(folder)
    yield folder
    link.unlink()


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


def test_manage_py_in_another_terminal_attaches_to_it(start: Start, checkout: Path) -> None:
    run = start(DEMO="0")
    run.wait_until_ready()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "REDIS_URL")
    }

    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--check"], cwd=checkout, env=environment
    )

    assert done.returncode == 0


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
