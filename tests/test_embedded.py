"""The servers of `make run` and `make test`: what they promise after crashes, and who may enter."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from config import embedded
from tests.plugin import need_servers_of_our_own, private_folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    need_servers_of_our_own()
    with private_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[embedded.Postgres]:
    server = embedded.Postgres(folder / "postgres", durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cache(folder: Path) -> Iterator[embedded.Redis]:
    server = embedded.Redis(folder / "redis")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def state_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(embedded, "_state_path", lambda: tmp_path / "state")
    return tmp_path / "state"


def query(server: embedded.Server, statement: str) -> object:
    with psycopg.connect(server.url, connect_timeout=10) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return row[0] if row else None


def test_postgres_is_utf8_in_utc_and_knows_upper_case_beyond_ascii(
    postgres: embedded.Postgres,
) -> None:
    assert query(postgres, "SELECT current_setting('server_encoding')") == "UTF8"
    assert query(postgres, "SELECT current_setting('timezone')") == "UTC"
    assert query(postgres, "SELECT upper('é')") == "É"


def test_a_killed_postgres_starts_again_at_the_same_address_with_its_commits(
    postgres: embedded.Postgres,
) -> None:
    url = postgres.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")

    postgres.kill()
    assert postgres.pid is None
    assert embedded.processes_in(postgres.home, "postgres") == []

    postgres.start()
    assert postgres.url == url
    assert query(postgres, "SELECT value FROM kept") == 7


def test_a_pid_file_that_names_a_living_stranger_does_not_stop_the_start(
    postgres: embedded.Postgres,
) -> None:
    pid_file = postgres.home / "postmaster.pid"
    content = pid_file.read_text().splitlines()
    postgres.kill()
    pid_file.write_text("\n".join([str(os.getpid()), *content[1:]]) + "\n")

    postgres.start()

    assert query(postgres, "SELECT 1") == 1


def test_a_paused_postgres_keeps_its_connections_and_answers_when_it_is_resumed(
    postgres: embedded.Postgres,
) -> None:
    with psycopg.connect(postgres.url, connect_timeout=10) as connection:
        postgres.pause()
        try:
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(postgres.url, connect_timeout=2)
        finally:
            postgres.resume()
        row = connection.execute("SELECT 1").fetchone()
    assert row == (1,)


def test_a_paused_redis_answers_nothing_until_it_is_resumed(cache: embedded.Redis) -> None:
    with redis.Redis.from_url(cache.url, socket_timeout=0.2) as client:
        cache.pause()
        try:
            with pytest.raises(redis.TimeoutError):
                client.ping()
        finally:
            cache.resume()
        assert client.ping()


def test_redis_keeps_nothing_over_a_restart(cache: embedded.Redis) -> None:
    with redis.Redis.from_url(cache.url) as client:
        client.set("number", 1)
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        cache.stop()
        cache.start()
        assert client.get("number") is None


def test_nobody_enters_without_the_password(
    postgres: embedded.Postgres, cache: embedded.Redis
) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace(postgres.password, "guess"), connect_timeout=10)
    address = cache.url.replace(f":{cache.password}@", "")
    with redis.Redis.from_url(address) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_secrets_and_data_are_for_their_owner_alone(
    postgres: embedded.Postgres, cache: embedded.Redis
) -> None:
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in [
            postgres.directory,
            postgres.directory / "password",
            cache.directory,
            cache.directory / "password",
            cache.directory / "redis.conf",
        ]
    }
    assert modes == {
        "postgres": 0o700,
        "redis": 0o700,
        "password": 0o600,
        "redis.conf": 0o600,
    }
    arguments = subprocess.run(["ps", "-ef"], capture_output=True, text=True).stdout
    assert postgres.password not in arguments
    assert cache.password not in arguments


def test_servers_end_with_the_process_that_started_them_even_when_it_is_killed(
    folder: Path,
) -> None:
    script = (
        "import sys, time, pathlib; from config.embedded import Redis\n"
        "server = Redis(pathlib.Path(sys.argv[1])); server.start()\n"
        "print('started', flush=True); time.sleep(60)"
    )
    directory = folder / "orphan"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(directory)],
        cwd=embedded.CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        assert embedded.processes_in(directory, "redis-server")
        starter.kill()

    deadline = time.monotonic() + 10
    while embedded.processes_in(directory, "redis-server"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_start_ends_what_a_killed_starter_has_left(folder: Path) -> None:
    left, new = embedded.Redis(folder / "twice"), embedded.Redis(folder / "twice")
    left.start()
    old_pid = left.pid
    assert old_pid is not None
    os.kill(old_pid, signal.SIGSTOP)

    new.start()

    assert left.returncode() is not None
    assert embedded.processes_in(new.directory, "redis-server") == [new.pid]
    new.stop()
    left.kill()


def test_a_server_that_does_not_start_says_what_its_log_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded.Redis, "command", lambda self: [self._program, "--port", "none"])

    with pytest.raises(embedded.EmbeddedError, match=r"(?s)did not start.*port"):
        embedded.Redis(folder / "broken").start()


def test_data_of_another_major_version_are_refused_by_name(folder: Path) -> None:
    server = embedded.Postgres(folder / "old")
    server.home.mkdir(parents=True)
    (server.home / "PG_VERSION").write_text("9\n")

    with pytest.raises(embedded.EmbeddedError, match="are of PostgreSQL 9"):
        server.start()


def test_without_any_redis_the_message_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(embedded.EmbeddedError, match=r"riscv64.*apt-get install redis-server"):
        embedded.redis_server()


def test_urls_are_known_only_while_a_run_holds_its_claim(state_path: Path) -> None:
    assert embedded.running() is None
    with embedded.claim():
        embedded.publish({"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://y", "pid": 1})
        running = embedded.running()
        with pytest.raises(embedded.AlreadyRunningError):
            embedded.claim()
    assert running == {"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://y", "pid": 1}
    # As after a kill: the file is still there, its writer is not.
    assert (state_path / "running.json").exists()
    assert embedded.running() is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8001"),
        ("0.0.0.0", "http://127.0.0.1:8001"),
        ("::", "http://[::1]:8001"),
        ("::1", "http://[::1]:8001"),
        ("support.local", "http://support.local:8001"),
    ],
)
def test_a_server_is_reached_from_here_by_this_address(host: str, url: str) -> None:
    assert embedded.local_url(host, 8001) == url


def test_the_secret_key_is_made_once_and_kept(state_path: Path) -> None:
    first = embedded.secret_key()

    assert first is not None
    assert len(first) > 50
    assert embedded.secret_key() == first
    assert stat.S_IMODE((state_path / "secret_key").stat().st_mode) == 0o600


def test_no_secret_key_where_nothing_can_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(embedded, "_state_path", lambda: tmp_path / "file" / "state")

    assert embedded.secret_key() is None
