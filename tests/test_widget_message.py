"""POST …/widget/message: a customer writes."""

import json
import uuid
from typing import Any

import pytest

from conversations.models import Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.threads import at_once
from tests.widget import WIDGET, Browser


@pytest.fixture
def browser(project: Project) -> Browser:
    return Browser(project)


def test_a_first_message_opens_a_ticket_of_the_widget(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    sent = browser.sent("Where is my order?", distinct_id="user_1")

    ticket = reader.get(f"{tickets_url}/{sent['ticket_id']}", mark_read="false").json()
    assert ticket["channel_source"] == "widget"
    assert ticket["channel_detail"] == "widget_embedded"
    assert ticket["distinct_id"] == "user_1"
    assert ticket["identity_verified"] is False
    assert ticket["status"] == "new"
    assert ticket["unread_team_count"] == 1
    assert ticket["last_message_text"] == "Where is my order?"
    assert ticket["last_message_at"] == sent["created_at"]


def test_the_answer_names_ticket_and_message(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    sent = browser.sent()

    [message] = reader.get(f"{tickets_url}/{sent['ticket_id']}/messages").json()["results"]
    assert sent == {
        "ticket_id": sent["ticket_id"],
        "message_id": message["id"],
        "ticket_status": "new",
        "unread_count": 0,
        "created_at": message["created_at"],
    }


def test_a_message_with_a_ticket_is_appended(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    first = browser.sent("One")

    second = browser.sent("Two", ticket_id=first["ticket_id"])

    assert second["ticket_id"] == first["ticket_id"]
    ticket = reader.get(f"{tickets_url}/{first['ticket_id']}", mark_read="false").json()
    assert (ticket["message_count"], ticket["unread_team_count"]) == (2, 2)


def test_a_message_counts_in_the_unread_count(
    browser: Browser, reader: ApiClient, unread_count_url: str
) -> None:
    assert reader.get(unread_count_url).json() == {"count": 0}

    sent = browser.sent()
    browser.sent(ticket_id=sent["ticket_id"])

    assert reader.get(unread_count_url).json() == {"count": 2}


def test_a_message_reopens_a_resolved_ticket(
    browser: Browser, writer: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent()["ticket_id"]
    writer.patch(f"{tickets_url}/{ticket_id}", {"status": "resolved"})

    assert browser.sent(ticket_id=ticket_id)["ticket_status"] == "open"


def test_traits_are_kept_as_text_and_null_ones_left_out(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    traits = {"name": "Ada", "email": None, "age": 36, "vip": True, "score": 1.5}

    sent = browser.sent(traits=traits)

    ticket = reader.get(f"{tickets_url}/{sent['ticket_id']}").json()
    expected = {"name": "Ada", "age": "36", "vip": "true", "score": "1.5"}
    assert ticket["anonymous_traits"] == expected


def test_later_traits_are_added_to_the_ticket(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent(traits={"name": "Ada", "plan": "free"})["ticket_id"]

    browser.sent(ticket_id=ticket_id, traits={"plan": "pro"})

    ticket = reader.get(f"{tickets_url}/{ticket_id}").json()
    assert ticket["anonymous_traits"] == {"name": "Ada", "plan": "pro"}


def test_traits_that_no_longer_fit_do_not_keep_the_message_out(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent(traits={f"a{number}": 1 for number in range(50)})["ticket_id"]

    browser.sent("Two", ticket_id=ticket_id, traits={"b": 1})

    ticket = reader.get(f"{tickets_url}/{ticket_id}").json()
    assert ticket["message_count"] == 2
    assert "b" not in ticket["anonymous_traits"]


def test_the_visit_is_kept_with_the_ticket(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    context = {"current_url": "https://shop.example.com/", "session_replay_url": None}

    sent = browser.sent(session_id="s-1", session_context=context)

    ticket = reader.get(f"{tickets_url}/{sent['ticket_id']}").json()
    assert ticket["session_id"] == "s-1"
    assert ticket["session_context"] == {"current_url": "https://shop.example.com/"}


def test_without_the_button_the_detail_says_that_a_page_of_its_own_calls(
    project: Project, browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    project.widget_enabled = False
    project.save()

    sent = browser.sent()

    ticket = reader.get(f"{tickets_url}/{sent['ticket_id']}").json()
    assert ticket["channel_detail"] == "widget_api"


def test_the_session_is_in_no_answer_to_the_team(
    browser: Browser, writer: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent()["ticket_id"]

    answers = [
        writer.get(tickets_url),
        writer.get(f"{tickets_url}/{ticket_id}"),
        writer.get(f"{tickets_url}/{ticket_id}/messages"),
        writer.patch(f"{tickets_url}/{ticket_id}", {"status": "open"}),
    ]

    for answer in answers:
        assert browser.session_id.encode() not in answer.content
        assert b"widget_session_id" not in answer.content


def test_unknown_fields_are_ignored(browser: Browser) -> None:
    assert browser.send(colour="red", identity_email=None).status_code == 200


DEEP = json.loads("[" * 30 + "]" * 30)
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("no message", {"message": None}, "message"),
    ("a blank message", {"message": "  "}, "message"),
    ("a long message", {"message": "x" * 10_001}, "message"),
    ("a message that is no text", {"message": 1}, "message"),
    ("NUL in the message", {"message": "a\0b"}, "message"),
    ("no distinct_id", {"distinct_id": None}, "distinct_id"),
    ("an empty distinct_id", {"distinct_id": ""}, "distinct_id"),
    ("a long distinct_id", {"distinct_id": "x" * 401}, "distinct_id"),
    ("no session", {"widget_session_id": None}, "widget_session_id"),
    ("a session that is no UUID", {"widget_session_id": "abc"}, "widget_session_id"),
    (
        "a session that is deep",
        {"widget_session_id": json.loads("[" * 30 + "]" * 30)},
        "widget_session_id",
    ),
    ("half an identity", {"identity_distinct_id": "user_1"}, "identity_hash"),
    ("the other half", {"identity_hash": "0" * 64}, "identity_distinct_id"),
    ("a ticket_id that is no UUID", {"ticket_id": "7"}, "ticket_id"),
    ("traits that are no object", {"traits": []}, "traits"),
    ("a trait that is a list", {"traits": {"a": [1]}}, "traits__a"),
    ("a trait that is an object", {"traits": {"a": {}}}, "traits__a"),
    ("a long trait", {"traits": {"a": "x" * 501}}, "traits__a"),
    ("too many traits", {"traits": dict.fromkeys(map(str, range(51)), 1)}, "traits"),
    ("a trait with a long name", {"traits": {"x" * 201: 1}}, "traits"),
    ("too many traits in all", {"traits": {str(n): "x" * 500 for n in range(40)}}, "traits"),
    ("a context that is no object", {"session_context": "x"}, "session_context"),
    ("a context with a list", {"session_context": {"a": []}}, "session_context__a"),
    ("a large context", {"session_context": {"a": "x" * 20_000}}, "session_context"),
    (
        "a context of many",
        {"session_context": dict.fromkeys(map(str, range(21)), 1)},
        "session_context",
    ),
    ("a long session_id", {"session_id": "x" * 65}, "session_id"),
    ("a filled honeypot", {"_hp": "buy now"}, "_hp"),
]


@pytest.mark.parametrize(
    ("fields", "attr"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_is_wrong_is_named_and_opens_nothing(
    project: Project, browser: Browser, fields: dict[str, Any], attr: str
) -> None:
    response = browser.send(**fields)

    assert response.status_code == 400
    body = response.json()
    assert body["error"] == "Invalid request data"
    assert attr in body["details"]
    assert body["type"] == "validation_error"
    assert attr in [failure["attr"] for failure in body["errors"]]
    assert not Ticket.objects.filter(project=project).exists()


def test_an_empty_honeypot_is_fine(browser: Browser) -> None:
    assert browser.send(_hp="").status_code == 200


def test_a_body_that_is_no_json_is_a_400_with_details(browser: Browser) -> None:
    response = browser.request("POST", f"{WIDGET}/message", b"{nope")

    assert response.status_code == 400
    assert response.json()["error"] == "Invalid request data"
    assert response.json()["code"] == "parse_error"


@pytest.mark.parametrize("depth", [33, 1000, 100_000])
def test_a_body_that_is_too_deep_is_a_400(browser: Browser, depth: int) -> None:
    body = b'{"widget_session_id": ' + b"[" * depth + b"]" * depth + b"}"

    assert browser.request("POST", f"{WIDGET}/message", body).status_code == 400


def test_a_body_over_1_mib_is_a_413(browser: Browser) -> None:
    response = browser.request("POST", f"{WIDGET}/message", b'"' + b"x" * (1 << 20) + b'"')

    assert response.status_code == 413


def test_a_body_that_is_no_object_is_a_400(browser: Browser) -> None:
    assert browser.post(f"{WIDGET}/message", [1]).status_code == 400


# --- Whose ticket ------------------------------------------------------------


def test_a_session_can_not_write_to_the_ticket_of_another(
    project: Project, browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent()["ticket_id"]

    response = Browser(project).send("Let me in", ticket_id=ticket_id)

    assert (response.status_code, response.json()["error"]) == (403, "Forbidden")
    assert reader.get(f"{tickets_url}/{ticket_id}").json()["message_count"] == 1


def test_an_unknown_ticket_is_a_404(browser: Browser) -> None:
    response = browser.send(ticket_id=str(uuid.uuid4()))

    assert (response.status_code, response.json()["error"]) == (404, "Ticket not found")


def test_a_ticket_of_another_project_is_a_404(neighbour: Project, browser: Browser) -> None:
    ticket_id = Browser(neighbour).sent()["ticket_id"]

    assert browser.send(ticket_id=ticket_id).status_code == 404


def test_a_ticket_that_the_team_made_is_no_sessions(
    browser: Browser, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(distinct_id="anonymous-1")

    assert browser.send(ticket_id=ticket["id"]).status_code == 403


def test_a_session_does_not_change_the_distinct_id_of_its_ticket(
    browser: Browser, reader: ApiClient, tickets_url: str
) -> None:
    ticket_id = browser.sent(distinct_id="anonymous-1")["ticket_id"]

    browser.sent(ticket_id=ticket_id, distinct_id="user_1")

    ticket = reader.get(f"{tickets_url}/{ticket_id}").json()
    assert (ticket["distinct_id"], ticket["identity_verified"]) == ("anonymous-1", False)


# --- Idempotency -------------------------------------------------------------


def test_a_repeated_message_is_taken_once(
    project: Project, browser: Browser, reader: ApiClient, unread_count_url: str
) -> None:
    browser.headers["idempotency-key"] = "one"

    first, second = browser.send(), browser.send()

    assert first.content == second.content
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert Ticket.objects.filter(project=project).count() == 1
    assert reader.get(unread_count_url).json() == {"count": 1}


def test_messages_at_the_same_instant_with_one_key_open_one_ticket(
    project: Project, browser: Browser
) -> None:
    browser.headers["idempotency-key"] = "one"
    twin = Browser(project)
    twin.headers, twin.credentials = browser.headers, browser.credentials

    responses = at_once(*[browser.send, twin.send] * 4)

    assert {response.status_code for response in responses} <= {200, 409}
    taken = [response for response in responses if response.status_code == 200]
    assert len({response.content for response in taken}) == 1
    assert Ticket.objects.filter(project=project).count() == 1


def test_the_key_of_another_message_is_a_422(browser: Browser) -> None:
    browser.headers["idempotency-key"] = "one"
    browser.sent("One")

    response = browser.send("Two")

    assert response.status_code == 422
    assert response.json()["code"] == "idempotency_key_reused"


def test_two_sessions_may_choose_the_same_key(project: Project, browser: Browser) -> None:
    other = Browser(project)
    browser.headers["idempotency-key"] = other.headers["idempotency-key"] = "one"

    assert browser.sent()["ticket_id"] != other.sent()["ticket_id"]


def test_a_refused_message_is_not_kept_for_its_key(browser: Browser) -> None:
    browser.headers["idempotency-key"] = "one"

    assert browser.send("").status_code == 400
    assert browser.send("Now with a text").status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\tb"])
def test_a_key_that_is_none_is_a_400(browser: Browser, key: str) -> None:
    browser.headers["idempotency-key"] = key

    response = browser.send()

    assert response.status_code == 400
    assert response.json()["attr"] == "Idempotency-Key"


# --- Limits ------------------------------------------------------------------


def test_the_31st_message_of_a_session_in_a_minute_is_a_429(
    project: Project, browser: Browser
) -> None:
    statuses = [browser.send().status_code for _ in range(31)]

    assert statuses == [200] * 30 + [429]
    refused = browser.send()
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json()["type"] == "throttled_error"
    assert Browser(project).send().status_code == 200


def test_an_address_has_a_limit_of_its_own(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projects.write_limits.OF_ADDRESS", 2)
    address = {"REMOTE_ADDR": f"10.1.{project.pk % 250}.{project.pk // 250 % 250}"}
    browsers = [Browser(project) for _ in range(4)]
    for browser in browsers:
        browser.client.defaults.update(address)

    assert [browser.send().status_code for browser in browsers] == [200, 200, 429, 429]


def test_somebody_elses_hash_does_not_use_up_an_identitys_limit(project: Project) -> None:
    customer = Browser(project, "user_1")
    forger = Browser(project, "user_1")
    forger.credentials = {**customer.credentials, "identity_hash": "0" * 64}

    for _ in range(35):
        forger.send()

    assert customer.send().status_code == 200
