"""The service's processes as `make run` starts them, on this test's database."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection


@dataclass(frozen=True)
class Service:
    """A running server; `log` is the file with its log lines."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)


def running_service(**environment: str) -> AbstractContextManager[Service]:
    return _running("config.serve", "PORT", environment)


def running_stream(**environment: str) -> AbstractContextManager[Service]:
    """The stream process."""
    return _running("config.stream", "STREAM_PORT", environment)


def running_router(web: Service, stream: Service) -> AbstractContextManager[Service]:
    """What `make run` has in front of the two."""
    ports = ("--web", str(web.port), "--stream", str(stream.port))
    return _running("config.router", "PORT", {}, *ports)


@contextmanager
def _running(
    module: str, port_variable: str, environment: dict[str, str], *arguments: str
) -> Iterator[Service]:
    port = _free_port()
    environment = {**service_environment(), port_variable: str(port), **environment}
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], env=environment, stdout=log, stderr=log
        )
        try:
            service = Service(port, process, Path(log.name))
            _wait_until_ready(service)
            yield service
        finally:
            process.terminate()
            process.wait(60)


def service_environment() -> dict[str, str]:
    """What a process of the service needs to work on this test's database and Redis."""
    return {
        **os.environ,
        "DATABASE_URL": _database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "CACHE_KEY_PREFIX": settings.CACHE_KEY_PREFIX,
        "SECRET_KEY": settings.SECRET_KEY,
        "HOST": "127.0.0.1",
    }


def _database_url() -> str:
    database: dict[str, Any] = connection.settings_dict
    user, password = quote(database["USER"]), quote(database["PASSWORD"])
    place = f"{database['HOST']}:{database['PORT'] or 5432}"
    return f"postgresql://{user}:{password}@{place}/{quote(database['NAME'])}"


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with closing(service.connect()) as client:
                client.request("GET", "/readyz")
                assert client.getresponse().status == 200
            return
        except OSError:
            assert service.process.poll() is None, service.log.read_text()
            assert time.monotonic() < deadline, service.log.read_text()
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
