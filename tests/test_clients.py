"""Clients generated as the README says work against the running service, in either language."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from projects.models import Project
from tests.api import SCHEMA_FILE
from tests.conftest import ClientFor
from tests.needs import NODE_MODULES, need_typescript
from tests.service import Service

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "tests/clients"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Somebody's folder with the schema in it."""
    shutil.copy(SCHEMA_FILE, tmp_path)
    return tmp_path


@pytest.fixture
def key(project: Project, client_for: ClientFor) -> str:
    """A key of a project without tickets."""
    authorization: str = client_for(project, "ticket:write").headers["authorization"]
    return authorization.removeprefix("Bearer ")


def test_a_python_client_lives_through_a_ticket(folder: Path, service: Service, key: str) -> None:
    output = run(folder, command_of_the_readme("openapi-python-client"))
    assert output == "Generating conversations_client\n"

    shutil.copy(EXAMPLES / "example.py", folder)
    # Of the generator's own code only the types count.
    run(folder, "mypy --strict --follow-imports=silent --config-file= --cache-dir=mypy example.py")
    run(folder, "python -W error example.py", API=service.url, KEY=key)


def test_a_typescript_client_lives_through_a_ticket(
    folder: Path, service: Service, key: str
) -> None:
    need_typescript()
    for name in ("package.json", "tsconfig.json", "example.ts"):
        shutil.copy(EXAMPLES / name, folder)
    (folder / "node_modules").symlink_to(NODE_MODULES)

    command = command_of_the_readme("npx openapi-typescript").removeprefix("npx ")
    output = run(folder, command)
    # Its version, and what it has written; a warning is a line of its own.
    assert [line.split(" ")[0] for line in output.split("\n") if line] == ["✨", "🚀"], output

    run(folder, "tsc --strict")
    run(folder, "node --throw-deprecation example.js", API=service.url, KEY=key)


def test_the_lock_names_no_registry() -> None:
    lock = (EXAMPLES / "package-lock.json").read_text()

    assert '"resolved"' not in lock
    assert '"integrity"' in lock


def test_what_generates_and_compiles_has_one_version() -> None:
    package = json.loads((EXAMPLES / "package.json").read_text())

    for version in {**package["dependencies"], **package["devDependencies"]}.values():
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version)


def command_of_the_readme(beginning: str) -> str:
    section = (ROOT / "README.md").read_text().split("## Generated clients\n")[1].split("\n## ")[0]
    [command] = re.findall(rf"^{beginning} .*$", section, re.MULTILINE)
    return str(command)


def run(folder: Path, command: str, **environment: str) -> str:
    """What the command prints; fails unless it succeeds."""
    programs = (Path(sys.executable).parent, NODE_MODULES / ".bin", os.environ["PATH"])
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join(map(str, programs)), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
