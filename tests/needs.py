"""What a test may need beyond Python's packages; it is skipped without, and fails in CI."""

import shutil

from conversations.widget import posthog_js
from tests.plugin import missing


def need_posthog_js() -> None:
    if posthog_js.VERSION is None:
        missing("posthog-js is not installed: make widget")


def need_chromium() -> str:
    """The path of the system's Chromium."""
    program = shutil.which("chromium")
    return program or missing("Chromium is not installed; Debian: apt-get install chromium")
