"""What the environment says becomes what the service does."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.db import connection
from procrastinate.contrib.django import app

from projects import agents, authentication

_SHOW = """
import json
from config import settings
print(json.dumps({name: getattr(settings, name) for name in (
    "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS", "CONTENT_SECURITY_POLICY"
)}))
"""


def settings_with(**environment: str) -> Any:
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(shown.stdout)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PUBLIC_URL": "http://support.example.com"}, [False, False, 0, True]),
        ({"PUBLIC_URL": "https://support.example.com"}, [True, True, 0, True]),
        (
            {"SECURE_COOKIES": "true", "HSTS_SECONDS": "60", "CONTENT_SECURITY_POLICY": "false"},
            [True, True, 60, False],
        ),
    ],
)
def test_cookies_https_and_the_policy_follow_the_environment(
    environment: dict[str, str], expected: list[Any]
) -> None:
    assert list(settings_with(**environment).values()) == expected


def test_a_forgotten_transaction_and_a_network_that_is_gone_are_ended() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("1min",)
    parameters = connection.get_connection_params()
    # Idle for 10 s, then three looks without an answer: the 20 s of docs/reliability.md.
    looks = [parameters[f"keepalives_{name}"] for name in ("idle", "interval", "count")]
    assert looks == [10, 3, 3]
    assert parameters["tcp_user_timeout"] == 10_000


def test_the_limits_of_guesses_are_those_that_are_told() -> None:
    assert (authentication.BAD_KEYS, agents.WRONG_PASSWORDS) == (60, 20)


def test_every_job_that_clears_away_runs_by_itself() -> None:
    periodic = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}

    assert periodic >= {
        *(f"prune_{what}" for what in ("answers", "claims", "events", "jobs", "restores")),
        "rescue_jobs",
        "wake_tickets",
    }
