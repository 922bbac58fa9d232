"""Who is told of a project's events: managed over the API, by those who may."""

import re
from base64 import b64decode
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from conversations.events.models import EventType
from conversations.models import Delivery, Webhook
from conversations.webhooks import verbs
from projects.models import Project
from rest.json import timestamp
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import failures, refusal
from tests.threads import at_once
from tests.webhooks import running_receiver, send, subscribe, webhooks_url_of

URL = "https://example.com/hook"
NOBODY = "01990a3c-6f3e-7c52-9d1b-4b8f6f0f2a11"


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "webhook:write", "ticket:read")


@pytest.fixture
def url(project: Project) -> str:
    return webhooks_url_of(project)


@pytest.fixture
def webhook(api: ApiClient, project: Project) -> Any:
    return subscribe(api, project, URL)


# --- Made, changed, deleted --------------------------------------------------


def test_a_webhook_is_made_for_all_events_unless_told_otherwise(api: ApiClient, url: str) -> None:
    response = api.post(url, {"url": URL})

    assert response.status_code == 201
    body = response.json()
    assert (body["url"], body["event_types"], body["enabled"]) == (URL, [], True)
    assert (body["description"], body["disabled_at"], body["disabled_reason"]) == ("", None, None)


def test_event_types_come_back_each_once(api: ApiClient, url: str) -> None:
    wanted = ["message.created", "ticket.created", "message.created"]

    body = api.post(url, {"url": URL, "event_types": wanted}).json()

    assert body["event_types"] == ["ticket.created", "message.created"]


def test_every_type_can_be_wanted(api: ApiClient, url: str) -> None:
    body = api.post(url, {"url": URL, "event_types": EventType.values}).json()

    assert body["event_types"] == EventType.values


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({}, "required", "url"),
        ({"url": None}, "null", "url"),
        ({"url": 5}, "invalid_input", "url"),
        ({"url": "example.com"}, "invalid_input", "url"),
        ({"url": "https://a:b@example.com"}, "invalid_input", "url"),
        ({"url": "http://169.254.169.254/"}, "invalid_input", "url"),
        ({"url": "https://example.com/" + "x" * 2000}, "invalid_input", "url"),
        ({"url": URL, "event_types": ["ticket.read"]}, "invalid_choice", "event_types__0"),
        ({"url": URL, "event_types": "ticket.created"}, "not_a_list", "event_types"),
        ({"url": URL, "event_types": None}, "null", "event_types"),
        ({"url": URL, "enabled": "yes"}, "invalid_input", "enabled"),
        ({"url": URL, "description": "x" * 501}, "max_length", "description"),
        ({"url": URL, "colour": "red"}, "unknown_field", "colour"),
    ],
)
def test_what_can_not_be_a_webhook_is_refused(
    api: ApiClient, url: str, body: Any, code: str, attr: str
) -> None:
    assert failures(api.post(url, body)) == {(code, attr)}
    assert api.get(url).json()["count"] == 0


def test_webhooks_are_listed_oldest_first(api: ApiClient, url: str) -> None:
    made = [api.post(url, {"url": f"{URL}/{n}"}).json() for n in range(3)]

    listed = api.get(url, limit=2).json()
    assert [one["url"] for one in listed["results"]] == [one["url"] for one in made[:2]]
    assert listed["count"] == 3
    assert api.get(listed["next"]).json()["results"][0]["url"] == made[2]["url"]


def test_a_project_has_at_most_fifty(
    api: ApiClient, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "MAX_WEBHOOKS", 2)

    made = at_once(*[lambda: api.post(url, {"url": URL}).status_code] * 4)

    assert sorted(made) == [201, 201, 409, 409]
    assert refusal(api.post(url, {"url": URL})) == (409, "conflict", None)


def test_a_webhook_is_changed(api: ApiClient, url: str, webhook: Any) -> None:
    changes = {
        "url": "https://example.com/other",
        "event_types": ["ticket.deleted"],
        "description": "Audit",
        "enabled": False,
    }

    response = api.patch(f"{url}/{webhook['id']}", changes)

    del webhook["secret"]
    assert response.json() == {**webhook, **changes}
    assert api.get(f"{url}/{webhook['id']}").json() == response.json()


def test_an_answer_can_be_sent_back_and_changes_nothing(
    api: ApiClient, url: str, webhook: Any
) -> None:
    response = api.patch(f"{url}/{webhook['id']}", {**webhook, "secret": "whsec_mine"})

    assert response.status_code == 200
    assert {**response.json(), "secret": webhook["secret"]} == webhook
    assert Webhook.objects.get(pk=webhook["id"]).secret == webhook["secret"]


def test_a_stored_url_is_accepted_also_where_it_would_be_refused_now(
    api: ApiClient, url: str, webhook: Any
) -> None:
    Webhook.objects.filter(pk=webhook["id"]).update(url="http://10.0.0.1/")

    response = api.patch(f"{url}/{webhook['id']}", {"url": "http://10.0.0.1/", "enabled": False})

    assert response.status_code == 200


def test_switching_off_by_hand_gives_no_reason(api: ApiClient, url: str, webhook: Any) -> None:
    shown = api.patch(f"{url}/{webhook['id']}", {"enabled": False}).json()

    assert (shown["disabled_at"], shown["disabled_reason"]) == (None, None)


def test_a_deleted_webhook_is_gone_with_its_deliveries(
    api: ApiClient, url: str, webhook: Any, make_ticket: MakeTicket
) -> None:
    make_ticket()

    assert api.delete(f"{url}/{webhook['id']}").status_code == 204

    assert refusal(api.get(f"{url}/{webhook['id']}"))[0] == 404
    send()
    assert not Delivery.objects.filter(webhook_id=webhook["id"]).exists()


def test_deleting_one_twice_at_once_is_no_failure(api: ApiClient, url: str, webhook: Any) -> None:
    gone = at_once(*[lambda: api.delete(f"{url}/{webhook['id']}").status_code] * 4)

    assert set(gone) <= {204, 404}


@pytest.mark.parametrize("name", [NOBODY, "1", "nonsense", "%00"])
def test_one_that_is_not_there_is_not_found(api: ApiClient, url: str, name: str) -> None:
    assert refusal(api.get(f"{url}/{name}"))[:2] == (404, "not_found")


# --- Secrets -----------------------------------------------------------------


def test_a_secret_is_what_the_specification_wants(webhook: Any) -> None:
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]+=*", webhook["secret"])
    assert 24 <= len(b64decode(webhook["secret"].removeprefix("whsec_"))) <= 64


def test_a_secret_is_shown_once(api: ApiClient, url: str, webhook: Any) -> None:
    one = f"{url}/{webhook['id']}"
    answers = [api.get(url), api.get(one), api.patch(one, {"description": "x"})]

    for answer in answers:
        assert "secret" not in answer.content.decode()


def test_each_webhook_has_a_secret_of_its_own(api: ApiClient, project: Project) -> None:
    assert len({subscribe(api, project, URL)["secret"] for _ in range(3)}) == 3


def rotate(api: ApiClient, url: str, webhook: Any) -> Any:
    return api.post(f"{url}/{webhook['id']}/rotate_secret")


def test_a_rotated_secret_is_new_and_shown_once(api: ApiClient, url: str, webhook: Any) -> None:
    response = rotate(api, url, webhook)

    assert response.status_code == 200
    secret = response.json()["secret"]
    assert secret != webhook["secret"]
    assert {**response.json(), "secret": webhook["secret"]} == webhook
    assert "secret" not in api.get(f"{url}/{webhook['id']}").json()


def verifies(secret: str, message: Any) -> bool:
    try:
        Verifier(secret).verify(message.body, message.headers)
    except WebhookVerificationError:
        return False
    return True


def test_both_secrets_sign_for_24_hours(
    api: ApiClient, project: Project, url: str, make_ticket: MakeTicket, settings: Any
) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with running_receiver() as receiver:
        webhook = subscribe(api, project, receiver.url)
        secrets = [webhook["secret"], *(rotate(api, url, webhook).json()["secret"] for _ in "ab")]
        make_ticket()
        send()
        row = Webhook.objects.get(pk=webhook["id"])
        ends = [secret[1] for secret in row.former_secrets]
        row.former_secrets[1][1] = timestamp(timezone.now() - timedelta(seconds=1))
        row.save()
        make_ticket()
        send()
        row.delete()

    first, second = receiver.received
    assert [verifies(secret, first) for secret in secrets] == [True, True, True]
    assert [verifies(secret, second) for secret in secrets] == [False, True, True]
    assert first.headers["webhook-signature"].count(" ") == 2
    assert ends[0] > timestamp(timezone.now() + timedelta(hours=23, minutes=59))


def test_a_secret_is_not_rotated_away_from_receivers_that_have_24_hours(
    api: ApiClient, url: str, webhook: Any
) -> None:
    answers = [rotate(api, url, webhook).status_code for _ in range(5)]

    assert answers == [200, 200, 200, 200, 409]
