"""Whose X-Forwarded-For and X-Forwarded-Proto count."""

import ipaddress
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from projects.models import Project
from rest.proxies import TrustedProxiesMiddleware, client_network
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.widget import Browser


@pytest.fixture
def proxies(settings: Any) -> None:
    settings.TRUSTED_PROXIES = [
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("fd00::/8"),
    ]


def seen_by_us(peer: str, forwarded: str | None, scheme: str = "") -> HttpRequest:
    """A request after the middleware, from this peer."""
    seen: list[HttpRequest] = []

    def keep(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    if scheme:
        headers["x-forwarded-proto"] = scheme
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=peer)
    TrustedProxiesMiddleware(keep)(request)
    return seen[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "unknown, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("fd00::1", "203.0.113.7", "203.0.113.7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
    ],
)
def test_the_last_address_that_no_trusted_proxy_has_is_the_clients(
    proxies: None, peer: str, forwarded: str | None, client: str
) -> None:
    assert seen_by_us(peer, forwarded).META["REMOTE_ADDR"] == client


@pytest.mark.parametrize(
    ("peer", "scheme", "secure"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", "http, https", True),
        ("10.0.0.1", "https, http", False),
        ("10.0.0.1", "ftp", False),
        ("203.0.113.9", "https", False),
    ],
)
def test_the_scheme_is_the_one_that_a_trusted_proxy_names(
    proxies: None, peer: str, scheme: str, secure: bool
) -> None:
    assert seen_by_us(peer, None, scheme).is_secure() is secure


def test_by_default_nobody_is_trusted(settings: Any) -> None:
    assert settings.TRUSTED_PROXIES == []
    assert seen_by_us("127.0.0.1", "203.0.113.7", "https").META["REMOTE_ADDR"] == "127.0.0.1"


def test_links_follow_the_scheme_of_a_trusted_proxy(
    proxies: None, reader: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket()
    make_ticket()
    reader.client.defaults["REMOTE_ADDR"] = "10.0.0.1"
    reader.headers["x-forwarded-proto"] = "https"

    assert reader.get(tickets_url, limit=1).json()["next"].startswith("https://")


def test_limits_go_by_the_client_behind_the_proxy(
    proxies: None, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projects.write_limits.OF_ADDRESS", 1)

    def status(forwarded: str) -> int:
        browser = Browser(project, **{"x-forwarded-for": forwarded})
        browser.client.defaults["REMOTE_ADDR"] = "10.0.0.1"
        return int(browser.send().status_code)

    one, other = (f"198.18.{project.pk % 250}.{number}" for number in (1, 2))
    assert [status(one), status(one), status(other)] == [200, 429, 200]
    assert status(f"9.9.9.9, {one}") == 429


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ],
)
def test_an_address_of_ipv6_counts_with_its_network(address: str, network: str) -> None:
    assert client_network(seen_by_us(address, None)) == network
