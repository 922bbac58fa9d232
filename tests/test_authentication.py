"""Who is calling: API keys and the sessions of agents."""

import string
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from projects import key_format
from projects.models import ApiKey, Membership, Project, User
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.refusals import refusal

NOT_AUTHENTICATED = (401, "not_authenticated", None)
FAILED = (401, "authentication_failed", None)


@pytest.fixture
def issued(project: Project) -> tuple[ApiKey, str]:
    return ApiKey.issue(project=project, label="CI", scopes=["ticket:write"])


def another_last_character(key: str) -> str:
    return key[:-1] + ("0" if key[-1] != "0" else "1")


def refused_keys() -> dict[str, str]:
    """Headers that hold no key, or one that nobody has been given."""
    unknown = key_format.new_key()
    return {
        "malformed": "Bearer nonsense",
        "empty": "",
        "scheme alone": "Bearer",
        "scheme and blank": "Bearer ",
        "no scheme": unknown,
        "another scheme": f"Token {unknown}",
        "basic": "Basic YW5uOnNlY3JldA==",
        "two keys": f"Bearer {unknown} {unknown}",
        "mistyped": f"Bearer {another_last_character(unknown)}",
        "too long": f"Bearer {unknown}0",
        "not ascii": "Bearer cvk_\N{SNOWMAN}",
        "unknown": f"Bearer {unknown}",
    }


def test_a_request_without_credentials_is_told_how_to_bring_them(tickets_url: str) -> None:
    response = ApiClient().get(tickets_url)

    assert refusal(response) == NOT_AUTHENTICATED
    assert response.json()["type"] == "authentication_error"
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", refused_keys())
def test_a_key_that_nobody_has_is_refused(tickets_url: str, name: str) -> None:
    response = ApiClient(authorization=refused_keys()[name]).get(tickets_url)

    assert refusal(response) == FAILED
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_all_refused_keys_get_one_and_the_same_body(project: Project, tickets_url: str) -> None:
    revoked, revoked_secret = ApiKey.issue(project=project, label="old", scopes=["*"])
    revoked.revoke()
    past = timezone.now() - timedelta(seconds=1)
    _, expired = ApiKey.issue(project=project, label="old", scopes=["*"], expires_at=past)
    headers = [*refused_keys().values(), f"Bearer {revoked_secret}", f"Bearer {expired}"]

    answers = [ApiClient(authorization=header, x_request_id="same") for header in headers]

    assert len({client.get(tickets_url).content for client in answers}) == 1


@pytest.mark.parametrize("prefix", ["Bearer ", "bearer ", "BEARER  "])
def test_the_scheme_is_not_case_sensitive(
    issued: tuple[ApiKey, str], tickets_url: str, prefix: str
) -> None:
    assert ApiClient(authorization=prefix + issued[1]).get(tickets_url).status_code == 200


@pytest.mark.parametrize("place", ["query", "body", "other header", "cookie"])
def test_a_key_counts_in_the_authorization_header_only(
    issued: tuple[ApiKey, str], tickets_url: str, place: str
) -> None:
    client = ApiClient(**({"x_api_key": issued[1]} if place == "other header" else {}))
    if place == "cookie":
        client.client.cookies["authorization"] = issued[1]
    query = {"personal_api_key": issued[1]} if place == "query" else {}
    body = {"personal_api_key": issued[1]} if place == "body" else {}

    assert refusal(client.post(tickets_url, body, **query)) == NOT_AUTHENTICATED


# --- The life of a key ---


def test_a_key_looks_like_a_key(issued: tuple[ApiKey, str]) -> None:
    _, secret = issued

    assert secret.startswith("cvk_")
    assert len(secret) == 40
    assert set(secret[4:]) <= set(string.ascii_letters + string.digits)
    assert key_format.is_well_formed(secret)


def test_a_checksum_is_the_crc_32_of_what_precedes_it_in_base62() -> None:
    key = key_format.new_key()
    alphabet = string.digits + string.ascii_uppercase + string.ascii_lowercase

    number = 0
    for digit in key[-6:]:
        number = number * 62 + alphabet.index(digit)

    assert number == crc_32(key[:-6].encode())


def crc_32(data: bytes) -> int:
    """The bitwise definition, so that the test does not repeat what it tests."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_secret_itself_is_stored_nowhere(issued: tuple[ApiKey, str]) -> None:
    row = ApiKey.objects.filter(pk=issued[0].pk).values().get()

    assert issued[1] not in str(row)


def test_revoking_holds_from_the_next_request_on(
    issued: tuple[ApiKey, str], tickets_url: str
) -> None:
    client = ApiClient(issued[1])
    assert client.get(tickets_url).status_code == 200

    issued[0].revoke()

    assert refusal(client.get(tickets_url)) == FAILED


def test_expiry_holds_though_the_key_was_just_used(
    issued: tuple[ApiKey, str], tickets_url: str
) -> None:
    client = ApiClient(issued[1])
    assert client.get(tickets_url).status_code == 200

    issued[0].expires_at = timezone.now()
    issued[0].save()

    assert refusal(client.get(tickets_url)) == FAILED


def test_a_key_works_until_it_expires(project: Project, tickets_url: str) -> None:
    soon = timezone.now() + timedelta(minutes=1)
    _, secret = ApiKey.issue(project=project, label="x", scopes=["*"], expires_at=soon)

    assert ApiClient(secret).get(tickets_url).status_code == 200


def test_rotation_leaves_both_secrets_valid_for_the_overlap(
    issued: tuple[ApiKey, str], tickets_url: str
) -> None:
    api_key, old = issued

    new, _ = api_key.rotate(overlap=timedelta(hours=1))

    assert new != old
    for secret in (old, new):
        assert ApiClient(secret).get(tickets_url).status_code == 200


def test_the_old_secret_ends_with_the_overlap(issued: tuple[ApiKey, str], tickets_url: str) -> None:
    api_key, old = issued
    assert ApiClient(old).get(tickets_url).status_code == 200

    new, _ = api_key.rotate(overlap=timedelta(0))

    assert refusal(ApiClient(old).get(tickets_url)) == FAILED
    assert ApiClient(new).get(tickets_url).status_code == 200


def test_a_second_rotation_ends_the_first_secret(
    issued: tuple[ApiKey, str], tickets_url: str
) -> None:
    api_key, first = issued
    second, _ = api_key.rotate(overlap=timedelta(hours=1))
    assert ApiClient(first).get(tickets_url).status_code == 200

    third, _ = api_key.rotate(overlap=timedelta(hours=1))

    assert refusal(ApiClient(first).get(tickets_url)) == FAILED
    for secret in (second, third):
        assert ApiClient(secret).get(tickets_url).status_code == 200


def test_revoking_ends_both_secrets_of_a_rotated_key(
    issued: tuple[ApiKey, str], tickets_url: str
) -> None:
    api_key, old = issued
    new, _ = api_key.rotate(overlap=timedelta(hours=1))
    clients = [ApiClient(old), ApiClient(new)]
    assert [client.get(tickets_url).status_code for client in clients] == [200, 200]

    api_key.revoke()

    assert [refusal(client.get(tickets_url)) for client in clients] == [FAILED, FAILED]


def test_changed_scopes_hold_from_the_next_request_on(
    issued: tuple[ApiKey, str], tickets_url: str
) -> None:
    client = ApiClient(issued[1])
    assert client.get(tickets_url).status_code == 200

    issued[0].scopes = ["person:read"]
    issued[0].save()

    assert client.get(tickets_url).status_code == 403


def test_a_key_goes_with_its_project(
    issued: tuple[ApiKey, str], project: Project, tickets_url: str
) -> None:
    client = ApiClient(issued[1])
    assert client.get(tickets_url).status_code == 200

    project.delete()

    assert refusal(client.get(tickets_url)) == FAILED


def test_the_last_use_of_a_key_is_noted_to_the_minute(
    issued: tuple[ApiKey, str], tickets_url: str
) -> None:
    assert issued[0].last_used_at is None
    before = timezone.now()

    ApiClient(issued[1]).get(tickets_url)

    issued[0].refresh_from_db()
    assert issued[0].last_used_at is not None
    assert before <= issued[0].last_used_at <= timezone.now()


# --- Agents ---


@pytest.fixture
def agent(project: Project) -> User:
    user = User.objects.create_user(f"agent-{project.pk}@example.org")
    Membership.objects.create(project=project, user=user)
    return user


def signed_in(user: User, *, csrf: bool = False) -> ApiClient:
    client = ApiClient()
    client.client = Client(raise_request_exception=False, enforce_csrf_checks=csrf)
    client.client.force_login(user)
    return client


def test_an_agent_may_do_everything_in_the_own_project(
    agent: User, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(message="Hi")
    client = signed_in(agent)

    assert client.get(tickets_url).json()["count"] == 1
    assert client.patch(f"{tickets_url}/1", {"status": "open"}).status_code == 200
    assert client.post(f"{tickets_url}/1/reply", {"message": "Hello"}).status_code == 201
    assert client.delete(f"{tickets_url}/1").status_code == 204


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_an_agents_write_needs_the_csrf_token(
    agent: User, make_ticket: MakeTicket, tickets_url: str, method: str
) -> None:
    ticket = make_ticket()
    client = signed_in(agent, csrf=True)
    url = tickets_url if method == "POST" else f"{tickets_url}/1"

    response = client.request(method, url, {"status": "open"})

    assert refusal(response) == (403, "permission_denied", None)
    assert client.get(f"{tickets_url}/1").json() == ticket


def test_an_agents_write_with_the_csrf_token_is_done(agent: User, tickets_url: str) -> None:
    client = signed_in(agent, csrf=True)
    token = "t" * 32
    client.client.cookies["csrftoken"] = token

    response = client.request("POST", tickets_url, {}, x_csrftoken=token)

    assert response.status_code == 201


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data; boundary=b", "application/x-www-form-urlencoded", "text/plain"],
)
def test_an_agents_form_is_the_wrong_media_type_and_changes_nothing(
    agent: User, tickets_url: str, content_type: str
) -> None:
    client = signed_in(agent, csrf=True)
    token = "t" * 32
    client.client.cookies["csrftoken"] = token
    form = b'--b\r\nContent-Disposition: form-data; name="status"\r\n\r\nopen\r\n--b--\r\n'

    response = client.request(
        "POST", tickets_url, form, content_type=content_type, x_csrftoken=token
    )

    assert refusal(response) == (415, "unsupported_media_type", None)
    assert client.get(tickets_url).json()["count"] == 0


def test_a_key_needs_no_csrf_token(issued: tuple[ApiKey, str], tickets_url: str) -> None:
    client = ApiClient(issued[1])
    client.client = Client(enforce_csrf_checks=True)

    assert client.post(tickets_url).status_code == 201


def test_an_inactive_agent_is_nobody(agent: User, tickets_url: str) -> None:
    client = signed_in(agent)
    agent.is_active = False
    agent.save()

    assert refusal(client.get(tickets_url)) == NOT_AUTHENTICATED


@pytest.mark.parametrize("named", ["foreign", "missing", "x", "9" * 30, "\N{SUPERSCRIPT TWO}"])
def test_an_agent_is_refused_elsewhere_in_one_way(
    agent: User, neighbour: Project, named: str
) -> None:
    project_id = {"foreign": neighbour.pk, "missing": 2**62}.get(named, named)

    response = signed_in(agent).get(f"/api/projects/{project_id}/conversations/tickets")

    assert refusal(response) == (403, "permission_denied", None)
    assert response.json()["detail"] == "You do not have access to this project."


def test_an_agent_who_left_the_project_is_refused(agent: User, tickets_url: str) -> None:
    client = signed_in(agent)
    assert client.get(tickets_url).status_code == 200

    Membership.objects.filter(user=agent).delete()

    assert refusal(client.get(tickets_url)) == (403, "permission_denied", None)


def test_the_current_project_of_an_agent_is_their_only_one(
    agent: User, make_ticket: MakeTicket, neighbour: Project
) -> None:
    make_ticket()
    client = signed_in(agent)
    url = "/api/projects/@current/conversations/tickets"
    assert client.get(url).json()["count"] == 1

    Membership.objects.create(project=neighbour, user=agent)

    assert client.get(url).status_code == 403


def test_a_bad_key_is_not_made_good_by_a_session(agent: User, tickets_url: str) -> None:
    client = signed_in(agent)

    response: Any = client.request("GET", tickets_url, authorization="Bearer nonsense")

    assert refusal(response) == FAILED


def test_a_cached_key_expires_on_time(project: Project, unread_count_url: str) -> None:
    """Its record lives longer in the cache than the key does."""
    moment = timezone.now() + timedelta(seconds=1.5)
    _, secret = ApiKey.issue(
        project=project, label="short", scopes=["ticket:read"], expires_at=moment
    )
    client = ApiClient(secret)
    assert client.get(unread_count_url).status_code == 200

    while timezone.now() <= moment:
        pass

    assert client.get(unread_count_url).status_code == 401


def test_a_change_by_who_has_not_seen_the_rotation_holds_at_once(
    project: Project, tickets_url: str
) -> None:
    api_key, _ = ApiKey.issue(project=project, label="test", scopes=["ticket:write"])
    stale = ApiKey.objects.get(pk=api_key.pk)
    secret, _ = api_key.rotate(overlap=timedelta(hours=1))
    client = ApiClient(secret)
    assert client.post(tickets_url).status_code == 201

    stale.scopes = ["ticket:read"]
    stale.save(update_fields=["scopes"])

    assert client.post(tickets_url).status_code == 403
