"""Gives every test process a PostgreSQL and a Redis of its own, before Django reads its settings.

Loaded by `-p tests.plugin`. DATABASE_URL and REDIS_URL, when set, are used instead.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from config import embedded
from config.embedded import (
    EmbeddedError,
    Postgres,
    Redis,
    Server,
    locked,
    make_folder,
    postgres_bin,
    redis_server,
    state_dir,
)

# The process that only hands out the tests can import the settings, and reach nothing with them.
UNUSED = {
    "DATABASE_URL": "postgresql://unused@127.0.0.1:1/unused",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}

started: dict[str, Server] = {}
cleanup = contextlib.ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    # A wrapper runs before pytest-django's hook of this name, which imports the settings.
    try:
        options = early_config.known_args_namespace
        if options.help or options.version:
            use_nothing()
        elif _only_hands_out_tests(options):
            # Here and not in each worker: what is missing is said once.
            find_programs()
            use_nothing()
            cleanup.callback(remove_leftovers)
        else:
            start_servers()
        yield
    except EmbeddedError as error:
        cleanup.close()
        raise pytest.UsageError(str(error)) from None
    except BaseException:
        # Without a configured session nobody calls `pytest_unconfigure`.
        cleanup.close()
        raise


def pytest_unconfigure() -> None:
    cleanup.close()


def _only_hands_out_tests(options: argparse.Namespace) -> bool:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return False
    # xdist makes no processes of its own for `-n auto --pdb`.
    workers = getattr(options, "numprocesses", None)
    automatic = workers in ("auto", "logical")
    return bool(getattr(options, "tx", None) or workers) and not (automatic and options.usepdb)


def use_nothing() -> None:
    for variable, url in UNUSED.items():
        os.environ.setdefault(variable, url)


def find_programs() -> None:
    """Fetches what is missing, once for all workers."""
    if "DATABASE_URL" not in os.environ:
        postgres_bin()
    if "REDIS_URL" not in os.environ:
        redis_server()


def start_servers() -> None:
    # A machine that stands still for seconds fails only the tests that are about that.
    os.environ.setdefault("STATEMENT_TIMEOUT", "120")
    os.environ.setdefault("REDIS_TIMEOUT", "2")
    folder = cleanup.enter_context(private_folder())
    servers: dict[str, Server] = {
        "DATABASE_URL": Postgres(folder / "postgres", durable=False),
        "REDIS_URL": Redis(folder / "redis"),
    }
    for variable, server in servers.items():
        if os.environ.get(variable, UNUSED[variable]) != UNUSED[variable]:
            continue
        cleanup.callback(server.stop)
        server.start()
        started[variable] = server
        os.environ[variable] = server.url
    if "REDIS_URL" not in started:
        # Somebody else's Redis: never flushed, and no other run has these keys.
        os.environ["CACHE_KEY_PREFIX"] = f"test-{uuid.uuid4().hex}"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for this process, which any later run removes if this one doesn't live to do so."""
    parent = state_dir() / "tests"
    make_folder(parent)
    remove_leftovers()
    with contextlib.ExitStack() as lock:
        with locked(state_dir() / "tests.lock"):
            folder = Path(tempfile.mkdtemp(dir=parent))
            make_folder(folder)
            # Held until the end of this process: who can take it may remove the folder.
            file = lock.enter_context((folder / "lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Ends the servers and removes the folders of test processes that are no more."""
    with locked(state_dir() / "tests.lock"):
        for folder in (state_dir() / "tests").glob("*/"):
            with (folder / "lock").open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                Postgres(folder / "postgres").end_leftovers()
                Redis(folder / "redis").end_leftovers()
                shutil.rmtree(folder, ignore_errors=True)


def need_servers_of_our_own() -> None:
    """Skips where there are none to be had, and DATABASE_URL and REDIS_URL are; never in CI."""
    try:
        embedded.postgres_bin()
        embedded.redis_server()
    except embedded.EmbeddedError as error:
        missing(str(error))


def missing(what: str) -> NoReturn:
    """Skips the test; in CI, where everything has to be there, fails it."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def _server_for_faults(variable: str) -> Iterator[Server]:
    if variable not in started:
        pytest.skip(f"{variable} names somebody else's server, which is not ours to stop.")
    server = started[variable]
    yield server
    server.resume()
    if server.returncode() is not None:
        server.kill()
    server.start()


@pytest.fixture(name="postgres_server")
def _postgres_server() -> Iterator[Server]:
    """The tests' own PostgreSQL, to stop, kill or pause; it runs again after the test."""
    yield from _server_for_faults("DATABASE_URL")


@pytest.fixture(name="redis_server")
def _redis_server() -> Iterator[Server]:
    """The tests' own Redis, to stop, kill or pause; it runs again, empty if need be, after it."""
    yield from _server_for_faults("REDIS_URL")
