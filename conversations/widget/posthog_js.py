"""posthog-js, the customer's side, served from its npm package where that is installed.

`make widget` installs it. What it looks for at its host, and where, is in its own code: the page
loads /static/array.js, which then loads /static/<version>/conversations.js, or, if that fails,
/static/conversations.js?v=<version>.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.files.storage import FileSystemStorage

PACKAGE = Path(__file__).parent / "js/node_modules/posthog-js"


def _installed_version() -> str | None:
    try:
        version: str = json.loads((PACKAGE / "package.json").read_text())["version"]
    except FileNotFoundError:
        return None
    return version


# As of this process's start, which is when the list of static files is made too.
VERSION = _installed_version()


class Finder(BaseFinder):
    """Its scripts, each at two addresses; not their source maps, which are twice as large."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        for storage in _storages():
            for path in sorted(Path(storage.location).glob("*.js")):
                yield path.name, storage

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = [
            storage.path(name)
            for name, storage in self.list(None)
            if path == (f"{storage.prefix}/{name}" if storage.prefix else name)
        ]
        return found if find_all else next(iter(found), [])


def _storages() -> Iterator[Any]:
    for prefix in ("", VERSION) if VERSION else ():
        storage: Any = FileSystemStorage(location=PACKAGE / "dist")
        storage.prefix = prefix
        yield storage
