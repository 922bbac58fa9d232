"""What runs during a measurement, all of it on 127.0.0.1 and all of it stopped at the end.

PostgreSQL and Redis are the harness's own, in a folder that lives as long as the run: those of
`make run`, and those that DATABASE_URL and REDIS_URL name, are never touched.
"""

import contextlib
import fcntl
import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django

from config import embedded, run

READY_TIMEOUT = 60.0
# A little longer than the web server gives the requests in flight.
STOP_TIMEOUT = 35.0
# Of a key that is measured as often as the machine allows: looked at as any other, never reached.
UNLIMITED = "999999999/minute"

# What a user may have set for a service of their own, and what would measure something else.
_NOT_OURS = ("ALLOWED_HOSTS", "CACHE_KEY_PREFIX", "DEBUG", "PUBLIC_URL", "SECURE_COOKIES")


class BenchError(Exception):
    """The measurement can't go on; the message is for the person at the terminal."""


@dataclass(frozen=True)
class Web:
    """A web server on 127.0.0.1; its workers are children of the process."""

    port: int
    pid: int


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for this run; other runs of the checkout wait, for two would disturb each other."""
    folder = embedded.state_dir() / "bench"
    with (embedded.state_dir() / "bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            run.say("Another `make bench` of this checkout is under way; waiting for its end.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        # A killed run leaves its folder.
        _remove(folder)
        embedded.make_folder(folder)
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    embedded.Postgres(folder / "postgres").end_leftovers()
    embedded.Redis(folder / "redis").end_leftovers()
    shutil.rmtree(folder, ignore_errors=True)


def kept_folder(name: str) -> Path:
    """Where data lie that are kept between runs; only who has the private folder uses it."""
    folder = embedded.state_dir() / f"bench-{name}"
    embedded.make_folder(folder)
    return folder


def start_servers(
    started: contextlib.ExitStack, folder: Path, *, data: Path | None = None
) -> tuple[embedded.Postgres, embedded.Redis]:
    """PostgreSQL and Redis as `make run` has them; this process and its children use them.

    The data of PostgreSQL lie in `data` where they are to be kept, otherwise in the folder too.
    """
    postgres = embedded.Postgres((data or folder) / "postgres")
    servers = postgres, embedded.Redis(folder / "redis")
    for server in servers:
        with run.step(server.name):
            started.callback(server.stop)
            server.start()
    for name in _NOT_OURS:
        os.environ.pop(name, None)
    cache = servers[1]
    os.environ.update(DATABASE_URL=postgres.url, REDIS_URL=cache.url, HOST="127.0.0.1")
    os.environ.setdefault("LOG_FORMAT", "text")
    return servers


def migrate() -> None:
    with run.step("Database tables"):
        run.manage("migrate", "--no-input", environment={**os.environ, "STATEMENT_TIMEOUT": "0"})


def set_up_django() -> None:
    """Makes models usable in this process, on the servers that were started."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    try:
        django.setup()
    except ValueError as error:
        raise BenchError(f"A setting is wrong: {error}") from None


def start_web(
    started: contextlib.ExitStack, name: str, command: list[str], *, log: Path, ready: str
) -> Web:
    """Starts a web server on a free port; returns when it answers a GET of `ready` with 200."""
    port = embedded.free_port()
    with run.step(name):
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                cwd=embedded.CHECKOUT,
                env={**os.environ, "PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for the harness, which stops one after the other.
                start_new_session=True,
            )
        started.callback(_stop, child, embedded.leash(child.pid, signal.SIGTERM))
        deadline = time.monotonic() + READY_TIMEOUT
        while not _answers(port, ready):
            if child.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{name} did not start:\n{tail(log)}")
            time.sleep(0.01)
    return Web(port, child.pid)


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:].strip()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(child: subprocess.Popen[bytes], shell: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(STOP_TIMEOUT)
    # Its own children, if it died before it could end them. The group exists only with members.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    embedded.unleash(shell)
