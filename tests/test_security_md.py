"""What SECURITY.md tells secret scanners is true of the secrets that are given out."""

import re
import tomllib
from pathlib import Path
from typing import Any

from projects.models import Project
from tests.conftest import ClientFor
from tests.webhooks import subscribe

SECURITY = (Path(__file__).parent.parent / "SECURITY.md").read_text()


def code(language: str) -> str:
    [block] = re.findall(rf"```{language}\n(.*?)```", SECURITY, re.DOTALL)
    return str(block)


def rules() -> dict[str, re.Pattern[str]]:
    return {rule["id"]: re.compile(rule["regex"]) for rule in tomllib.loads(code("toml"))["rules"]}


def test_a_key_is_found_wherever_it_was_left(key: str) -> None:
    [found] = rules()["conversations-api-key"].findall(f'KEY="{key}"; curl')

    assert found == key


def test_a_webhooks_secret_is_found(project: Project, client_for: ClientFor) -> None:
    webhook = subscribe(client_for(project, "*"), project, "https://example.com/")

    [found] = rules()["conversations-webhook-secret"].findall(f"{webhook['secret']}\n")

    assert found == webhook["secret"]


def test_the_checksum_tells_a_key_from_what_looks_like_one(key: str) -> None:
    names: dict[str, Any] = {}
    exec(code("python"), names)

    assert names["is_key"](key)
    assert not names["is_key"](key[:10] + ("a" if key[10] != "a" else "b") + key[11:])
