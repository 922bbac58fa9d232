"""The README tells the truth: its tour runs as written, its table has every setting."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from config import settings
from projects.models import Project
from tests.conftest import ClientFor, MakeTicket
from tests.service import Service, _free_port
from tests.webhooks import deliveries_of, send, subscribe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# Read by `make run` itself, before there are settings.
OF_MAKE_RUN = {"DEMO"}
# What docker-compose.yml and the image decide, what follows from PUBLIC_URL, and what no
# deployment needs to change.
OF_COMPOSE = {
    *("DATABASE_URL", "DATABASE_DIRECT_URL", "STATEMENT_TIMEOUT"),
    *("REDIS_URL", "REDIS_TIMEOUT", "CACHE_KEY_PREFIX"),
    *("HOST", "PORT", "STREAM_HOST", "STREAM_PORT", "STREAM_KEEPALIVE"),
    *("SECURE_COOKIES", "DEBUG", "DEMO_PROJECT"),
}


def test_the_tour_runs_as_written(
    service: Service, project: Project, client_for: ClientFor
) -> None:
    tour, more = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    key = client_for(project, "ticket:write").headers["authorization"].split()[1]

    done = run(tour, KEY=key, API=service.url)
    assert done.returncode == 0, done.stderr
    assert '"last_message_text":"Where is my order?"' in done.stdout
    assert '"content":"It left us this morning."' in done.stdout
    assert done.stdout.endswith('{"count":0}')

    done = run(tour + more, KEY=key, API=service.url)
    assert done.returncode == 0, done.stderr
    assert '"status":"on_hold"' in done.stdout
    assert '"updated":1' in done.stdout


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_setting_has_a_row() -> None:
    table = README.split("## Settings")[1].split("##")[0]
    rows = {name for row in re.findall(r"^\| (`.*?`) \|", table, re.M) for name in _names(row)}

    assert rows == set(settings.env.dump()) | OF_MAKE_RUN


def test_docker_compose_passes_on_what_can_be_set_there() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    passed = set(re.findall(r"^    (\w+): .*\$\{\1\b", compose, re.M))

    assert passed == set(settings.env.dump()) - OF_COMPOSE


def test_every_folder_of_the_map_exists() -> None:
    table = README.split("| folder |")[1].split("\n\n")[0]
    folders = re.findall(r"^\| `(\w+)/` \|", table, re.M)

    assert folders == ["config", "rest", "projects", "conversations", "tests", "bench", "docs"]
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_every_command_that_it_shows_exists() -> None:
    from django.core.management import get_commands

    shown = set(re.findall(r"manage\.py (\w+)", README)) - {"check"}

    assert shown <= set(get_commands())
    assert len(shown) >= 7


def _names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_receiver_works_as_written(
    project: Project, client_for: ClientFor, make_ticket: MakeTicket, settings: Any
) -> None:
    [receiver] = [
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "Receiver" in code
    ]
    settings.WEBHOOK_ALLOW_PRIVATE = True
    port = _free_port()
    api = client_for(project, "*")
    webhook = subscribe(api, project, f"http://127.0.0.1:{port}/hook")
    process = subprocess.Popen(
        [sys.executable, "-c", receiver],
        env={**os.environ, "SECRET": webhook["secret"], "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        _wait_until_it_listens(port)
        make_ticket()
        send()
        assert process.stdout is not None
        printed = process.stdout.readline().split()
    finally:
        process.kill()
        process.communicate()

    (delivery,) = deliveries_of(api, project, webhook)
    assert printed == [delivery["id"], "ticket.created", "1"]
    assert delivery["status"] == "succeeded"


def _wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
