"""`python -m config.run`, which is what `make run` executes after installing, in a copy of its own.

A copy of this checkout has a state of its own, so it meets neither a developer's running service
nor its data.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from config import embedded
from tests.plugin import need_servers_of_our_own, private_folder

PATIENCE = 90


class Run:
    def __init__(self, checkout: Path, port: int, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.checkout = checkout
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "REDIS_URL", "CACHE_KEY_PREFIX", "HOST", "DEMO")
        }
        self.log = checkout / f"run-{time.monotonic_ns()}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "config.run"],
                cwd=checkout,
                env=self.environment | {"PORT": str(port), **environment},
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

    def manage(self, *arguments: str) -> str:
        """What `manage.py`, in another terminal, prints."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.checkout,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            body: bytes = response.read()
        return body


@contextlib.contextmanager
def copied_checkout() -> Iterator[Path]:
    """Skips where there are no servers to be had, see `need_servers_of_our_own`."""
    need_servers_of_our_own()
    with private_folder() as folder:
        copy = folder / "checkout"
        for name in ("config", "rest", "projects", "conversations"):
            shutil.copytree(
                embedded.CHECKOUT / name,
                copy / name,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
            )
        shutil.copy(embedded.CHECKOUT / "manage.py", copy)
        npm_packages = "conversations/widget/js/node_modules"
        if (embedded.CHECKOUT / npm_packages).is_dir():
            (copy / npm_packages).symlink_to(embedded.CHECKOUT / npm_packages)
        with _state_of(copy, folder / "state") as state:
            # What has been fetched once need not be fetched for a test.
            if (programs := embedded.state_dir() / "bin").is_dir():
                shutil.copytree(programs, state / "bin")
                for path in [state / "bin", *(state / "bin").rglob("*")]:
                    embedded.give_to_servers(path)
            yield copy


@contextlib.contextmanager
def _state_of(checkout: Path, folder: Path) -> Iterator[Path]:
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
