"""How often an API key may call, and that what the headers say is what is enforced."""

import re
import time
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from config.embedded import Server
from projects import agents, authentication, key_format
from projects.models import ApiKey, Membership, Project, User
from rest.rates import Rate, parse_rate, parse_rates
from tests.api import ApiClient
from tests.conftest import ClientFor
from tests.test_queries import round_trips as _round_trips
from tests.test_queries import statements
from tests.threads import at_once

round_trips = _round_trips


def limited(project: Project, *rates: str, scopes: tuple[str, ...] = ("*",)) -> ApiClient:
    _, secret = ApiKey.issue(project=project, label="test", scopes=scopes, rate_limits=rates)
    return ApiClient(secret)


def left(response: Any) -> dict[str, tuple[int, int]]:
    """What remains of each window, and for how many seconds."""
    found = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', response.headers["RateLimit"])
    return {name: (int(remaining), int(seconds)) for name, remaining, seconds in found}


def test_an_answer_says_what_is_left_of_everybodys_limits(
    reader: ApiClient, unread_count_url: str
) -> None:
    responses = [reader.get(unread_count_url) for _ in range(3)]

    policy = '"minute";q=1200;w=60, "hour";q=36000;w=3600'
    assert {response.headers["RateLimit-Policy"] for response in responses} == {policy}
    assert [left(response)["minute"][0] for response in responses] == [1199, 1198, 1197]
    assert [left(response)["hour"][0] for response in responses] == [35999, 35998, 35997]
    assert 0 < left(responses[0])["minute"][1] <= 60


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_key_may_have_limits_of_its_own(
    project: Project, unread_count_url: str, warm: bool
) -> None:
    client = limited(project, "3/minute")
    if warm:
        client.get(unread_count_url)

    statuses = [client.get(unread_count_url).status_code for _ in range(4 - warm)]

    assert statuses == [200] * (3 - warm) + [429]


def test_a_refusal_says_when_to_come_back(project: Project, unread_count_url: str) -> None:
    client = limited(project, "1/minute")
    client.get(unread_count_url)

    response = client.get(unread_count_url)

    assert response.json()["type"] == "throttled_error"
    assert response.json()["code"] == "throttled"
    assert 0 < int(response.headers["Retry-After"]) <= 60
    assert left(response) == {"minute": (0, int(response.headers["Retry-After"]))}
    assert response.headers["RateLimit-Policy"] == '"minute";q=1;w=60'


def test_who_heeds_the_headers_never_gets_a_429(project: Project, unread_count_url: str) -> None:
    client = limited(project, "3/second")
    statuses = []
    for _ in range(8):
        response = client.get(unread_count_url)
        statuses.append(response.status_code)
        remaining, seconds = left(response)["second"]
        if remaining == 0:
            time.sleep(seconds)

    assert statuses == [200] * 8


def test_a_refused_call_is_not_counted(project: Project, unread_count_url: str) -> None:
    client = limited(project, "2/second", "100/hour")
    answers = [client.get(unread_count_url) for _ in range(5)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert left(answers[-1])["hour"][0] == 100 - (5 - len(refused))


def test_at_the_same_instant_no_more_than_the_quota_get_through(
    project: Project, unread_count_url: str
) -> None:
    client = limited(project, "5/minute")
    client.get(unread_count_url)

    responses = at_once(*[lambda: client.get(unread_count_url)] * 8)

    assert sorted(response.status_code for response in responses) == [200] * 4 + [429] * 4


def test_each_key_is_counted_for_itself(project: Project, unread_count_url: str) -> None:
    one, other = (limited(project, "1/minute") for _ in range(2))

    assert one.get(unread_count_url).status_code == 200
    assert other.get(unread_count_url).status_code == 200


@pytest.mark.parametrize("own", [["2/minute"], []], ids=["its-own", "everybodys"])
def test_both_secrets_of_a_key_have_one_quota(
    settings: Any, project: Project, unread_count_url: str, own: list[str]
) -> None:
    settings.RATE_LIMIT = [Rate(2, 60)]
    api_key, old = ApiKey.issue(project=project, label="test", scopes=["*"], rate_limits=own)
    new, _ = api_key.rotate(overlap=timedelta(hours=1))
    clients = [ApiClient(secret) for secret in (old, new)]

    # Each secret's first call is counted where its record is loaded, the next ones in Redis.
    statuses = [client.get(unread_count_url).status_code for client in clients * 2]

    assert statuses == [200, 200, 429, 429]


def test_a_refusal_of_rights_is_counted_too_and_comes_first(
    project: Project, neighbour: Project, unread_count_url: str, tickets_url: str
) -> None:
    client = limited(project, "1/minute", scopes=("ticket:read",))

    assert client.get(unread_count_url).status_code == 200
    assert client.post(tickets_url, {}).status_code == 403
    assert client.get(unread_count_url).status_code == 429


def test_the_limit_comes_before_the_method(project: Project, unread_count_url: str) -> None:
    client = limited(project, "1/minute")
    client.get(unread_count_url)

    assert client.post(unread_count_url, {}).status_code == 429


def test_a_changed_limit_holds_at_once(project: Project, unread_count_url: str) -> None:
    api_key, secret = ApiKey.issue(project=project, label="test", scopes=["*"])
    client = ApiClient(secret)
    client.get(unread_count_url)

    api_key.rate_limits = ["1/minute"]
    api_key.save()

    # One was used before.
    assert client.get(unread_count_url).status_code == 429


def test_agents_are_not_limited(project: Project, unread_count_url: str) -> None:
    agent = User.objects.create(email=f"agent-{project.pk}@example.com")
    Membership.objects.create(project=project, user=agent)
    client = ApiClient()
    client.client.force_login(agent)

    response = client.get(unread_count_url)

    assert response.status_code == 200
    assert "RateLimit" not in response.headers


def test_the_limit_costs_no_round_trip_of_its_own(
    reader: ApiClient, unread_count_url: str, round_trips: list[Any]
) -> None:
    reader.get(unread_count_url)
    round_trips.clear()

    with statements() as found:
        reader.get(unread_count_url)

    assert found == []
    assert len(round_trips) == 1


def test_without_redis_calls_are_let_through(
    redis_server: Server, project: Project, unread_count_url: str
) -> None:
    client = limited(project, "1/minute")
    redis_server.stop()

    assert [client.get(unread_count_url).status_code for _ in range(3)] == [200] * 3


# --- Keys that are none, and log-ins -------------------------------------------


def test_an_address_may_try_so_many_keys_that_are_none(
    unread_count_url: str, reader: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "BAD_KEYS", 3)

    def attempt() -> Any:
        client = ApiClient(key_format.new_key())
        client.client.defaults["REMOTE_ADDR"] = "192.0.2.1"
        return client.get(unread_count_url)

    responses = [attempt() for _ in range(5)]

    assert [response.status_code for response in responses] == [401, 401, 401, 429, 429]
    assert "Retry-After" in responses[-1].headers
    reader.client.defaults["REMOTE_ADDR"] = "192.0.2.1"
    assert reader.get(unread_count_url).status_code == 200


@pytest.mark.parametrize("path", ["/login", "/admin/login/"])
def test_an_address_may_try_so_many_passwords(
    project: Project, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "WRONG_PASSWORDS", 2)
    email = f"agent-{project.pk}@example.com"
    User.objects.create_superuser(email, "a right password")

    def log_in(password: str, address: str) -> Any:
        client = Client(REMOTE_ADDR=address)
        return client.post(path, {"username": email, "password": password})

    address = {"/login": "192.0.2.2", "/admin/login/": "198.19.0.3"}[path]
    for _ in range(2):
        assert log_in("wrong", address).status_code == 200
    refused = log_in("a right password", address)

    assert refused.status_code == (429 if path == "/login" else 200)
    assert b"Too many attempts" in refused.content
    assert log_in("a right password", "192.0.2.4").status_code == 302


def test_tries_that_come_at_once_are_counted_like_others(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "WRONG_PASSWORDS", 4)
    body = {"username": f"agent-{project.pk}@example.com", "password": "wrong"}

    def log_in() -> int:
        return Client(REMOTE_ADDR="192.0.2.6").post("/login", body).status_code

    assert sorted(at_once(*[log_in] * 12)) == [200] * 4 + [429] * 8


def test_log_ins_that_succeed_are_not_counted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "WRONG_PASSWORDS", 1)
    email = f"agent-{project.pk}@example.com"
    User.objects.create_user(email, "a right password")
    body = {"username": email, "password": "a right password"}

    statuses = [Client(REMOTE_ADDR="192.0.2.5").post("/login", body).status_code for _ in "123"]

    assert statuses == [302, 302, 302]


# --- Rates ---------------------------------------------------------------------


def test_a_command_makes_a_key_with_limits_of_its_own(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command(
        "create_api_key",
        project=str(project.pk),
        label="batch",
        scopes="ticket:read",
        rate_limit="480/minute, 9000/hour",
    )

    api_key = ApiKey.objects.get(project=project)
    assert api_key.rate_limits == ["480/minute", "9000/hour"]


@pytest.mark.parametrize(
    "rates", ["many", "0/minute", "10/week", "1.5/minute", "10/minute,", "10/minute,20/minute"]
)
def test_a_rate_that_is_none_makes_no_key(project: Project, rates: str) -> None:
    with pytest.raises(CommandError, match="rate_limits"):
        call_command(
            "create_api_key",
            project=str(project.pk),
            label="batch",
            scopes="ticket:read",
            rate_limit=rates,
        )

    assert not ApiKey.objects.filter(project=project).exists()


def test_a_rate_is_read_and_written_alike() -> None:
    assert parse_rate("480/minute") == Rate(480, 60)
    assert str(parse_rate("480/minute")) == "480/minute"


def test_two_rates_of_one_window_are_refused() -> None:
    with pytest.raises(ValueError, match="two rates a minute"):
        parse_rates(["10/minute", "100/hour", "20/minute"])


def test_a_service_may_allow_everybody_less(
    settings: Any, project: Project, client_for: ClientFor, unread_count_url: str
) -> None:
    settings.RATE_LIMIT = [Rate(2, 60)]
    client = client_for(project, "ticket:read")

    assert [client.get(unread_count_url).status_code for _ in range(3)] == [200, 200, 429]
