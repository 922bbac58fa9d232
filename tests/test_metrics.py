"""GET /metrics: what Prometheus reads of the web server."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.test import Client

from config.embedded import Server
from projects.models import ApiKey, Project
from tests.conftest import tickets_url_of
from tests.service import Service, running_service
from tests.widget import Browser

TOKEN = "what-prometheus-sends"
REFUSALS = "conversations_rate_limit_refusals_total"
FAIL_OPENS = "conversations_rate_limit_fail_opens_total"


@pytest.fixture
def without_redis(database: None) -> Iterator[Service]:
    with running_service(METRICS_TOKEN=TOKEN, REDIS_URL="redis://127.0.0.1:1/0") as running:
        yield running


def answer(service: Service, path: str, token: str) -> tuple[int, str]:
    with closing(service.connect()) as client:
        client.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = client.getresponse()
        return response.status, response.read().decode()


def value(metrics: str, name: str) -> float:
    [found] = re.findall(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    return float(found)


def test_calls_let_through_without_redis_are_counted_over_all_processes(
    without_redis: Service, project: Project, key: str
) -> None:
    calls = 20

    for _ in range(calls):
        assert answer(without_redis, tickets_url_of(project), key)[0] == 200

    told = [answer(without_redis, "/metrics", TOKEN)[1] for _ in range(10)]
    # Each new connection may come to the other process; all of them tell the same.
    assert len({value(metrics, FAIL_OPENS) for metrics in told}) == 1
    assert value(told[0], FAIL_OPENS) == calls


def test_a_call_of_the_widget_let_through_is_counted_once(
    redis_server: Server, project: Project, settings: Any
) -> None:
    settings.METRICS_TOKEN = TOKEN
    redis_server.stop()
    before = value(metrics_here(), FAIL_OPENS)

    Browser(project).sent("Hi")

    assert value(metrics_here(), FAIL_OPENS) == before + 1


def test_refusals_are_counted(project: Project, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    _, key = ApiKey.issue(project=project, label="test", scopes=["*"], rate_limits=["1/minute"])
    before = value(metrics_here(), REFUSALS)

    headers = {"Authorization": f"Bearer {key}"}
    statuses = [Client().get(tickets_url_of(project), headers=headers).status_code for _ in "123"]

    assert statuses == [200, 429, 429]
    assert value(metrics_here(), REFUSALS) == before + 2


def metrics_here() -> str:
    return Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content.decode()


def test_its_type_is_that_of_prometheus(settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN

    response = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})

    assert response.headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer é"])
def test_without_the_token_it_tells_nothing(settings: Any, header: str) -> None:
    settings.METRICS_TOKEN = TOKEN

    response = Client().get("/metrics", headers={"Authorization": header})

    assert (response.status_code, response.content) == (401, b"")


def test_as_long_as_there_is_no_token_there_is_no_page() -> None:
    assert Client().get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
