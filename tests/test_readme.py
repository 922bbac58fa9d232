"""The README tells the truth: its tour runs as written, its table has every setting."""

import os
import re
import subprocess
from pathlib import Path

from config import settings
from projects.models import Project
from tests.conftest import ClientFor
from tests.service import Service

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
# Read by `make run` itself, before there are settings.
OF_MAKE_RUN = {"DEMO"}


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


def test_every_folder_of_the_map_exists() -> None:
    table = README.split("| folder |")[1].split("\n\n")[0]
    folders = re.findall(r"^\| `(\w+)/` \|", table, re.M)

    assert folders == ["config", "rest", "projects", "conversations", "tests", "bench"]
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_every_command_that_it_shows_exists() -> None:
    from django.core.management import get_commands

    shown = set(re.findall(r"manage\.py (\w+)", README)) - {"check"}

    assert shown <= set(get_commands())
    assert len(shown) >= 7


def _names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)
