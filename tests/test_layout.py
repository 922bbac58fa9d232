"""Imports point one way, and nothing but URLs imports views."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each may import itself and what stands after it.
PACKAGES = ("config", "conversations", "projects", "rest")
MODULES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path) -> Iterator[str]:
    """The full names of what a module imports, wherever in it that is."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> list[str]:
    return [name for name in imports(path) if name.split(".")[0] in PACKAGES]


# Settings, as it were: where the embedded servers' files lie, what is checked at the start.
EXCEPTIONS = {
    ("conversations.management.commands.load_demo_data", "config.embedded"),
    ("projects.apps", "config.checks"),
}

each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def test_there_are_modules_to_look_at() -> None:
    assert {"config.urls", "conversations.models", "projects.views", "rest.views"} <= {
        name_of(path) for path in MODULES
    }


@each_module
def test_imports_point_one_way(path: Path) -> None:
    own = name_of(path).split(".")[0]
    allowed = PACKAGES[PACKAGES.index(own) :]

    backward = {(name_of(path), name) for name in ours(path) if name.split(".")[0] not in allowed}
    assert backward <= EXCEPTIONS


# The pages of the documentation are views by another name.
MAY_IMPORT_VIEWS = ("urls", "views", "docs")


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.stem not in MAY_IMPORT_VIEWS], ids=name_of
)
def test_nothing_but_urls_and_views_imports_views(path: Path) -> None:
    assert [name for name in ours(path) if "views" in name.split(".")] == []


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem == "models"], ids=name_of)
def test_models_know_nothing_of_requests(path: Path) -> None:
    names = set(imports(path))

    assert not [name for name in names if name.startswith(("rest_framework", "django.http"))]
    assert not [name for name in names if {"serializers", "views", "urls"} & set(name.split("."))]
