"""posthog-js is served as its npm package has it, at the addresses where it looks for its parts."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from conversations.widget import posthog_js
from tests.needs import need_posthog_js

DIST = posthog_js.PACKAGE / "dist"


@pytest.fixture(autouse=True)
def _installed() -> None:
    need_posthog_js()


def served(path: str) -> tuple[bytes, Any]:
    """The script at this address, and its headers."""
    response: Any = Client().get(f"/static/{path}")
    assert response.status_code == 200, path
    with contextlib.closing(response):
        return response.getvalue(), response.headers


def test_it_is_the_version_that_the_lock_names() -> None:
    lock = json.loads((Path(posthog_js.__file__).parent / "js/package-lock.json").read_text())

    assert lock["packages"]["node_modules/posthog-js"]["version"] == posthog_js.VERSION


def test_a_page_loads_it_and_it_loads_its_own_parts() -> None:
    widget = (DIST / "conversations.js").read_bytes()

    assert served("array.js")[0] == (DIST / "array.js").read_bytes()
    assert served(f"{posthog_js.VERSION}/conversations.js")[0] == widget
    assert served(f"conversations.js?v={posthog_js.VERSION}")[0] == widget


def test_pages_of_any_origin_may_load_it() -> None:
    _, headers = served("array.js")

    assert headers["Content-Type"].startswith("text/javascript")
    assert headers["Access-Control-Allow-Origin"] == "*"


def test_what_has_the_version_in_its_address_is_kept_for_good_and_nothing_else() -> None:
    _, of_the_version = served(f"{posthog_js.VERSION}/array.js")
    _, of_today = served("array.js")

    assert "immutable" in of_the_version["Cache-Control"]
    assert "immutable" not in of_today["Cache-Control"]


@pytest.mark.parametrize("name", ["array.js.map", "array.d.ts", "integrity.json"])
def test_only_scripts_are_served(name: str) -> None:
    assert (DIST / name).exists()
    assert Client().get(f"/static/{name}").status_code == 404


def test_django_finds_it_too() -> None:
    assert finders.find("array.js") == str(DIST / "array.js")
    assert finders.find(f"{posthog_js.VERSION}/array.js") == str(DIST / "array.js")
    assert finders.find("nothing.js") is None


def test_the_lock_names_no_registry() -> None:
    lock = (Path(posthog_js.__file__).parent / "js/package-lock.json").read_text()

    assert '"resolved"' not in lock
    assert '"integrity"' in lock
