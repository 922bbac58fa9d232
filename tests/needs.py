"""What a test may need beyond Python's packages; it is skipped without, and fails in CI."""

import shutil
from pathlib import Path

from conversations.widget import posthog_js
from tests.plugin import missing

NODE_MODULES = Path(__file__).parent / "clients/node_modules"


def need_posthog_js() -> None:
    if posthog_js.VERSION is None:
        missing("posthog-js is not installed: make widget")


def need_typescript() -> None:
    """Node.js, and what generates and compiles a client."""
    if not shutil.which("node"):
        missing("Node.js is not installed; Debian: apt-get install nodejs npm")
    if not (NODE_MODULES / ".bin/tsc").exists():
        missing("TypeScript and its generator are not installed: make typescript")


def need_chromium() -> str:
    """The path of the system's Chromium."""
    program = shutil.which("chromium")
    return program or missing("Chromium is not installed; Debian: apt-get install chromium")
