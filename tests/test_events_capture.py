"""Events as posthog-js packs them: what is understood, what is refused, and how."""

import base64
import gzip
import json
import secrets
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from projects.models import Person, Project
from projects.persons import find_customers
from rest import leases
from tests.jobs import run_jobs
from tests.service import Service

PATHS = ["/e/", "/e", "/i/v0/e/", "/i/v0/e"]
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@pytest.fixture
def address() -> str:
    """Each test's own, since what limits an address counts for an hour."""
    groups = (secrets.token_hex(2) for _ in range(3))
    return f"2001:{':'.join(groups)}::1"


@pytest.fixture
def page(address: str) -> Client:
    """A page of a customer's, of another origin, which has no CSRF token."""
    return Client(
        raise_request_exception=False,
        enforce_csrf_checks=True,
        headers={"origin": "https://shop.example.com"},
        REMOTE_ADDR=address,
    )


def identify(project: Project, distinct_id: str = "ada", **properties: Any) -> dict[str, Any]:
    return {
        "event": "$identify",
        "properties": {"token": project.public_token, "distinct_id": distinct_id},
        "$set": properties,
    }


def packed(payload: Any) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode()


def send(page: Client, body: bytes, url: str = "/e/", content_type: str = JSON) -> Any:
    response = page.generic("POST", url, body, content_type)
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Content-Type"] == "application/json"
    return response


def taken(response: Any) -> bool:
    return bool(response.status_code == 200 and response.json() == {"status": 1})


def refusal(response: Any) -> tuple[int, str]:
    body = response.json()
    assert body.keys() == {"type", "code", "detail", "attr", "request_id"}
    return response.status_code, body["code"]


def known(project: Project, distinct_id: str = "ada") -> Any:
    """The person with this distinct id, as answers show them once everything is heard."""
    run_jobs()
    found = find_customers(project.pk, distinct_ids=[distinct_id])
    return found.by_distinct_id.get(distinct_id)


# --- Ways to pack ----------------------------------------------------------------


def zipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


def form(body: bytes) -> bytes:
    return b"data=" + quote(base64.b64encode(body)).encode()


PACKINGS: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "json": (bytes, JSON, ""),
    "json as text": (bytes, "text/plain", "?beacon=1"),
    "gzip as text": (zipped, "text/plain", "?ip=0&_=1&ver=1.449.2"),
    "gzip as bytes": (zipped, "application/octet-stream", "?compression=gzip-js"),
    "gzip without a type": (zipped, "", "?compression=gzip-js&retry_count=3"),
    "a form": (form, FORM, "?compression=base64"),
    "a form with a charset": (form, f"{FORM}; charset=UTF-8", "?compression=base64&beacon=1"),
    "a form that is not named": (form, "text/plain", "?compression=base64"),
    "a form of json": (lambda body: b"data=" + quote(body).encode(), FORM, ""),
    "a form of gzip": (lambda body: form(zipped(body)), FORM, ""),
    "a form with a bare plus": (lambda body: b"data=" + base64.b64encode(body), FORM, ""),
    "base64": (base64.b64encode, "text/plain", "?compression=base64"),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_an_event_is_understood_however_it_is_packed(
    page: Client, project: Project, packing: str
) -> None:
    pack, content_type, query = PACKINGS[packing]
    event = identify(project, name="Ada >>>???~~~ 👋 Ä")

    response = send(page, pack(packed(event)), f"/e/{query}", content_type)

    assert taken(response), response.content
    assert known(project)["properties"] == {"name": "Ada >>>???~~~ 👋 Ä"}


@pytest.mark.parametrize("path", PATHS)
def test_every_address_of_the_client_takes_events(
    page: Client, project: Project, path: str
) -> None:
    assert taken(send(page, packed(identify(project)), path))
    assert known(project)


def test_a_batch_may_be_a_list_or_an_object_that_names_the_token(
    page: Client, project: Project
) -> None:
    nameless: dict[str, Any] = {"event": "$identify", "properties": {}, "distinct_id": "grace"}

    assert taken(send(page, packed([identify(project), {**nameless, "distinct_id": "hedy"}])))
    for name in ("api_key", "token"):
        body = {name: project.public_token, "batch": [nameless], "sent_at": "2026-01-01T00:00:00Z"}
        assert taken(send(page, packed(body)))

    assert known(project, "ada")
    assert known(project, "hedy")
    assert known(project, "grace")


def test_one_event_may_name_the_token_itself(page: Client, project: Project) -> None:
    event = {"event": "$identify", "distinct_id": "ada", "api_key": project.public_token}

    assert taken(send(page, packed(event)))
    assert known(project)


@pytest.mark.parametrize(
    "event",
    ["$pageview", "$autocapture", "$groupidentify", "$merge_dangerously", "order", "", None],
)
def test_all_other_events_are_dropped(page: Client, project: Project, event: Any) -> None:
    body = {**identify(project, name="Ada"), "event": event}

    assert taken(send(page, packed(body)))
    assert known(project) is None


def test_a_bad_event_does_not_break_the_others(page: Client, project: Project) -> None:
    token = project.public_token
    bad: list[Any] = [
        None,
        1,
        "x",
        [],
        {},
        {"event": []},
        {"event": "$identify"},
        {"event": "$identify", "distinct_id": {}, "properties": []},
        {"event": "$set", "distinct_id": "x\x00", "properties": {"$set": []}},
        {"event": "$create_alias", "distinct_id": "x", "properties": {"alias": None}},
        {"event": "$set", "distinct_id": "\ud800", "$set": "x"},
    ]

    response = send(
        page, json.dumps({"api_key": token, "batch": [*bad, identify(project, "ada")]}).encode()
    )

    assert taken(response)
    assert known(project)
    assert Person.objects.filter(project=project).count() == 1


def test_an_event_of_another_project_is_dropped(
    page: Client, project: Project, neighbour: Project
) -> None:
    assert taken(send(page, packed([identify(project, "ada"), identify(neighbour, "eve")])))

    assert known(project, "ada")
    assert known(project, "eve") is known(neighbour, "eve") is None


def test_where_there_are_no_conversations_everything_is_dropped(
    page: Client, project: Project
) -> None:
    project.conversations_enabled = False
    project.save()

    assert taken(send(page, packed(identify(project))))
    assert known(project) is None


# --- Refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"1",
        b'"x"',
        b"\x1f\x8b",
        b"\x1f\x8bnonsense",
        zipped(b"nonsense"),
        zipped(b"[]")[:-4],
        b"\xff\xfe",
        b'["\xff"]',
        b"data=",
        b"data=%7B",
        b"data=nonsense!",
        b"data=%ff",
        b"[" * 20_000,
        b"[" + b"1" * 5000 + b"e",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_can_not_be_read_is_a_400(page: Client, body: bytes) -> None:
    for content_type in (JSON, FORM, "text/plain"):
        assert refusal(send(page, body, content_type=content_type)) == (400, "parse_error")


@pytest.mark.parametrize("token", ["cvp_nobody", "", None, 1, ["x"], "x" * 65, "caf\u00e9", "\x00"])
def test_a_token_that_nobody_has_is_a_403(page: Client, token: Any) -> None:
    for body in (
        {"api_key": token, "batch": []},
        [{"event": "$pageview", "properties": {"token": token}}],
        [],
    ):
        response = send(page, packed(body))
        assert refusal(response) == (403, "permission_denied")
        assert response.json()["detail"] == "There is no project with this token."


def test_a_body_above_one_mebibyte_is_refused(page: Client, project: Project) -> None:
    body = packed({**identify(project), "text": "x" * 1024 * 1024})

    assert refusal(send(page, body)) == (413, "request_too_large")
    assert known(project) is None


def test_a_body_that_unpacks_to_much_more_is_refused(page: Client, project: Project) -> None:
    bomb = zlib.compressobj(wbits=31)
    body = bomb.compress(packed(identify(project))[:-1])
    for _ in range(200):
        body += bomb.compress(b" " * 1024 * 1024)
    body += bomb.compress(b"}") + bomb.flush()
    assert len(body) < 1024 * 1024

    for attempt in (body, form(body)):
        assert refusal(send(page, attempt)) == (413, "request_too_large")


def test_a_batch_has_at_most_a_thousand_events(page: Client, project: Project) -> None:
    event = {"event": "$pageview", "properties": {"token": project.public_token}}

    assert taken(send(page, packed([event] * 1000)))
    assert refusal(send(page, packed([event] * 1001))) == (413, "request_too_large")
    assert refusal(send(page, zipped(b"[" + b"[]," * 300_000 + b"1]"))) == (
        413,
        "request_too_large",
    )


@pytest.mark.parametrize("path", [*PATHS, "/flags", "/flags/"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_taken(page: Client, path: str, method: str) -> None:
    response = page.generic(method, path)

    assert response.status_code == 405
    assert response.headers["Allow"] == "POST"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/e/x", "/i/v0", "/i/v1/e/", "/flags/x"])
def test_what_is_not_there_is_not_found_as_json(page: Client, path: str) -> None:
    response = page.post(path)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize("path", [*PATHS, "/flags", "/flags/"])
def test_a_browser_may_ask_beforehand(page: Client, path: str) -> None:
    response = page.options(
        path,
        headers={
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        },
    )

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "content-type" in response.headers["Access-Control-Allow-Headers"]


# --- Limits ----------------------------------------------------------------------


def test_a_distinct_id_makes_thirty_claims_a_minute(page: Client, project: Project) -> None:
    claims = [{**identify(project), "event": "$set", "$set": {f"p{n}": n}} for n in range(31)]

    response = send(page, packed(claims))

    assert refusal(response) == (429, "throttled")
    assert 0 < int(response.headers["Retry-After"]) <= 60
    # What was within the limit has been heard.
    assert len(known(project)["properties"]) == 30
    assert taken(send(page, packed(identify(project, "grace"))))


def test_an_address_makes_a_thousand_claims_an_hour(
    page: Client, project: Project, address: str
) -> None:
    network = f"{':'.join(group.lstrip('0') or '0' for group in address.split(':')[:4])}::/64"
    name = leases.full_key(f"limit:claims:address:{network}")
    leases.call(lambda redis: redis.set(name, 999, px=3_600_000))

    assert taken(send(page, packed(identify(project, "ada"))))
    response = send(page, packed(identify(project, "grace")))

    assert refusal(response) == (429, "throttled")
    assert 60 < int(response.headers["Retry-After"]) <= 3600
    assert known(project, "grace") is None
    # Nothing else is counted.
    assert taken(send(page, packed({**identify(project), "event": "$pageview"})))


def test_at_most_fifty_claims_of_a_batch_are_heard(page: Client, project: Project) -> None:
    assert taken(send(page, packed([identify(project, f"user-{n}") for n in range(60)])))

    run_jobs()
    assert Person.objects.filter(project=project).count() == 50


def test_without_redis_claims_are_heard(
    page: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(command: Any) -> None:
        raise leases.CacheDown

    monkeypatch.setattr(leases, "call", down)

    assert taken(send(page, packed(identify(project))))
    assert known(project)


def test_events_that_say_nothing_of_a_person_cost_no_sql(
    page: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    body = packed([{**identify(project), "event": "$pageview"}] * 100)
    send(page, body)

    with django_assert_num_queries(0):
        assert taken(send(page, body))


def test_where_all_claims_are_above_the_limit_they_cost_no_sql(
    page: Client, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    send(page, packed([identify(project)] * 30))

    with django_assert_num_queries(0):
        assert refusal(send(page, packed(identify(project)))) == (429, "throttled")


# --- Flags -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/flags/?v=2&compression=base64", "/flags?v=2"])
@pytest.mark.parametrize("body", [form(b"{}"), b"", b"\xff"])
def test_there_are_no_feature_flags(
    page: Client, path: str, body: bytes, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        response = send(page, body, path, FORM)

    assert response.status_code == 200
    assert response.json() == {
        "errorsWhileComputingFlags": False,
        "featureFlagPayloads": {},
        "featureFlags": {},
        "flags": {},
    }


# --- The real server -------------------------------------------------------------


def test_the_web_server_hands_over_packed_bodies(service: Service, project: Project) -> None:
    connection = service.connect()
    body = zipped(packed(identify(project, name="Ada")))

    connection.request("POST", "/e/?ip=0", body, {"Content-Type": "text/plain"})
    answer = connection.getresponse()

    assert (answer.status, answer.read()) == (200, b'{"status":1}')
    assert known(project)["properties"] == {"name": "Ada"}
    connection.close()
