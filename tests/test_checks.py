"""The system checks for combinations of settings that are dangerous."""

import ipaddress
import os
import subprocess
import sys
from typing import Any

import pytest

from config.checks import check_settings
from config.embedded import CHECKOUT

LONG_KEY = "k" * 50


@pytest.fixture(autouse=True)
def safe(settings: Any) -> None:
    """Settings that nothing is wrong with; each test changes what it is about."""
    settings.DEBUG = False
    settings.SECRET_KEY = LONG_KEY
    settings.ALLOWED_HOSTS = ["support.example.com"]
    settings.PUBLIC_URL = "https://support.example.com"
    settings.SECURE_COOKIES = True


def found() -> list[str | None]:
    messages = check_settings()
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def test_safe_settings_pass() -> None:
    assert found() == []


def test_the_default_secret_key_is_an_error(settings: Any) -> None:
    settings.SECRET_KEY = settings.DEFAULT_SECRET_KEY

    assert found() == ["conversations.E001"]


def test_the_default_secret_key_will_do_for_debugging(settings: Any) -> None:
    settings.SECRET_KEY, settings.DEBUG = settings.DEFAULT_SECRET_KEY, True
    settings.ALLOWED_HOSTS = ["localhost"]

    assert found() == []


@pytest.mark.parametrize(("length", "ids"), [(31, ["conversations.W001"]), (32, [])])
def test_a_short_secret_key_is_a_warning(settings: Any, length: int, ids: list[str]) -> None:
    settings.SECRET_KEY = "k" * length

    assert found() == ids


@pytest.mark.parametrize("host", ["support.example.com", "*", ".example.com", "8.8.8.8"])
def test_debugging_on_a_public_host_is_an_error(settings: Any, host: str) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["localhost", host]

    assert found() == ["conversations.E002"]


@pytest.mark.parametrize(
    "host", ["localhost", "shop.localhost", "127.0.0.1", "[::1]", "192.168.1.7"]
)
def test_debugging_on_this_machine_or_its_network_is_fine(settings: Any, host: str) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = [host]

    assert found() == []


def test_any_host_is_a_warning(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]

    assert found() == ["conversations.W002"]


def test_https_without_secure_cookies_is_a_warning(settings: Any) -> None:
    settings.SECURE_COOKIES = False

    assert found() == ["conversations.W003"]


def test_secure_cookies_over_http_are_a_warning(settings: Any) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"

    assert found() == ["conversations.W004"]


def test_a_public_url_without_encryption_is_a_warning(settings: Any) -> None:
    settings.PUBLIC_URL, settings.SECURE_COOKIES = "http://support.example.com", False

    assert found() == ["conversations.W005"]


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1", "http://[::1]:1"])
def test_http_on_this_machine_is_fine(settings: Any, url: str) -> None:
    settings.PUBLIC_URL, settings.SECURE_COOKIES = url, False

    assert found() == []


def check(**environment: str) -> str:
    """What `manage.py check` says of an environment."""
    names = ("SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "PUBLIC_URL", "SECURE_COOKIES")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=CHECKOUT,
        env=kept | environment,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_the_defaults_lack_only_the_address_that_others_reach_the_service_by() -> None:
    assert "System check identified 1 issue (0 silenced).\n" in check()
    assert "conversations.W006" in check()


def test_manage_py_runs_the_checks() -> None:
    output = check(DEBUG="1", PUBLIC_URL="https://support.example.com")

    assert "conversations.E002" in output
    assert "HINT" in output


def test_neither_a_trusted_proxy_nor_a_public_url_is_a_warning(settings: Any) -> None:
    settings.PUBLIC_URL, settings.SECURE_COOKIES = "", False

    assert found() == ["conversations.W006"]


def test_a_trusted_proxy_will_do_without_a_public_url(settings: Any) -> None:
    settings.PUBLIC_URL, settings.SECURE_COOKIES = "", False
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("10.0.0.0/8")]

    assert found() == []


def test_mails_that_are_only_printed_are_a_warning_where_others_reach_the_service(
    settings: Any,
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

    assert found() == ["conversations.W007"]
    settings.PUBLIC_URL, settings.SECURE_COOKIES = "", False
    assert "conversations.W007" not in found()
