"""Who may use the widget API of a project, and whose tickets open to whom."""

import json
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from conversations.models import Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.jobs import run_jobs
from tests.service import Service
from tests.test_queries import round_trips as _round_trips
from tests.test_queries import statements
from tests.threads import InBackground, wait_until_blocked
from tests.widget import WIDGET, Browser, identity_hash

round_trips = _round_trips
NOBODY = str(uuid.UUID(int=7))
CALLS: dict[str, tuple[str, str, Any]] = {
    "message": ("POST", "message", {"message": "Hi", "distinct_id": "a"}),
    "poll": ("GET", f"messages/{NOBODY}", None),
    "read": ("POST", f"messages/{NOBODY}/read", {}),
    "tickets": ("GET", "tickets", None),
    "restore request": ("POST", "restore/request", {}),
    "restore": ("POST", "restore", {}),
}
each_call = pytest.mark.parametrize("call", CALLS)


def make(browser: Browser, call: str, **headers: str) -> Any:
    method, path, body = CALLS[call]
    query = browser.credentials if method == "GET" else None
    if body is not None:
        body = json.dumps({**browser.credentials, **body}).encode()
    return browser.request(method, f"{WIDGET}/{path}", body, query=query, **headers)


# --- The project -------------------------------------------------------------


@each_call
def test_without_a_token_it_is_a_403(project: Project, call: str) -> None:
    browser = Browser(project)
    del browser.headers["x-conversations-token"]

    assert make(browser, call).status_code == 403


@each_call
@pytest.mark.parametrize("token", ["cvp_unknown", "", "caf\u00e9", "x" * 5000], ids=str.__len__)
def test_a_wrong_token_is_a_403(project: Project, call: str, token: str) -> None:
    browser = Browser(project, **{"x-conversations-token": token})

    response = make(browser, call)

    assert response.status_code == 403
    assert response.json()["error"] == response.json()["detail"]
    assert response.json()["type"] == "authentication_error"


@each_call
def test_with_conversations_off_it_is_a_403(project: Project, call: str) -> None:
    browser = Browser(project)
    make(browser, call)
    project.conversations_enabled = False
    project.save()

    assert make(browser, call).status_code == 403


def test_an_api_key_is_no_token(project: Project, client_for: ClientFor) -> None:
    key = client_for(project, "*")
    browser = Browser(project, **{"x-conversations-token": key.headers["authorization"]})

    assert browser.send().status_code == 403


def test_a_token_is_no_api_key(project: Project, tickets_url: str) -> None:
    response = ApiClient(project.public_token).get(tickets_url)

    assert response.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "message"), ("POST", "tickets"), ("DELETE", f"messages/{NOBODY}"), ("PUT", "restore")],
)
def test_another_method_is_a_405(project: Project, method: str, path: str) -> None:
    response = Browser(project).request(method, f"{WIDGET}/{path}")

    assert response.status_code == 405
    assert response.json()["error"]


def test_a_path_that_is_not_there_is_a_404_of_the_same_shape(project: Project) -> None:
    response = Browser(project).get(f"{WIDGET}/nothing")

    assert (response.status_code, response.json()["error"]) == (404, response.json()["detail"])


def test_a_final_slash_changes_nothing(project: Project) -> None:
    browser = Browser(project)

    assert browser.get(f"{WIDGET}/tickets/", **browser.credentials).status_code == 200


# --- The page ----------------------------------------------------------------


@pytest.fixture
def shop(project: Project) -> Project:
    """A project whose widget is for one page alone."""
    project.widget_domains = ["shop.example.com"]
    project.save()
    return project


@each_call
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example.com",
        "https://shop.example.com:99999",
        "https://shop.example.com:x",
        "https://shop.example.com.evil.example",
        "https://evil-shop.example.com",
        "null",
        "shop.example.com",
        "https://[",
    ],
)
def test_a_page_of_another_domain_is_a_403(shop: Project, call: str, origin: str) -> None:
    assert make(Browser(shop, origin=origin), call).status_code == 403


@pytest.mark.parametrize("call", ["message", "tickets"])
@pytest.mark.parametrize("origin", ["https://shop.example.com", "http://shop.example.com:8080"])
def test_a_page_of_its_domain_may_call(shop: Project, call: str, origin: str) -> None:
    assert make(Browser(shop, origin=origin), call).status_code == 200


def test_where_domains_are_listed_a_call_from_no_page_is_a_403(shop: Project) -> None:
    assert Browser(shop).send().status_code == 403


def test_the_services_own_demo_page_may_call(shop: Project, settings: Any) -> None:
    settings.DEMO_PROJECT = shop.pk

    assert Browser(shop, origin="http://testserver").send().status_code == 200
    assert Browser(shop, referer="http://testserver/demo").tickets().status_code == 200


def test_a_project_that_is_not_the_demos_may_not_be_called_from_there(shop: Project) -> None:
    assert Browser(shop, origin="http://testserver").send().status_code == 403


def test_without_domains_any_page_may_call(project: Project) -> None:
    assert Browser(project, origin="https://anywhere.example").send().status_code == 200


def test_a_domain_that_is_taken_from_the_list_may_call_no_more(shop: Project) -> None:
    browser = Browser(shop, origin="https://shop.example.com")
    assert browser.send().status_code == 200

    shop.widget_domains = ["other.example.com"]
    shop.save()

    assert browser.send().status_code == 403


# --- CORS --------------------------------------------------------------------


@each_call
def test_a_preflight_is_answered_without_a_token(project: Project, call: str) -> None:
    method, path, _ = CALLS[call]

    response = Client().options(
        f"{WIDGET}/{path}",
        headers={
            "origin": "https://shop.example.com",
            "access-control-request-method": method,
            "access-control-request-headers": "content-type,x-conversations-token",
        },
    )

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    allowed = {name.strip() for name in response.headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed == {"content-type", "x-conversations-token", "idempotency-key"}
    assert method in response.headers["Access-Control-Allow-Methods"]
    assert response.headers["Access-Control-Max-Age"] == "7200"


@pytest.mark.parametrize("token", [None, "wrong"])
def test_answers_and_errors_may_be_read_by_any_page(project: Project, token: str | None) -> None:
    browser = Browser(project, origin="https://shop.example.com")
    if token:
        browser.headers["x-conversations-token"] = token

    response = browser.tickets()

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    exposed = response.headers["Access-Control-Expose-Headers"]
    assert {name.strip() for name in exposed.split(",")} == {"Retry-After", "X-Request-ID"}


def test_the_api_of_the_team_is_not_for_other_pages(project: Project, tickets_url: str) -> None:
    response = Client().get(tickets_url, headers={"origin": "https://shop.example.com"})

    assert "Access-Control-Allow-Origin" not in response.headers


# --- Verified identities -----------------------------------------------------


def test_a_verified_customer_opens_a_ticket_of_their_own(
    project: Project, reader: ApiClient, tickets_url: str
) -> None:
    customer = Browser(project, "user_1")

    ticket_id = customer.sent(distinct_id="somebody else")["ticket_id"]

    ticket = reader.get(f"{tickets_url}/{ticket_id}").json()
    assert (ticket["distinct_id"], ticket["identity_verified"]) == ("user_1", True)
    assert ticket["person"]["distinct_ids"] == ["user_1"]


def test_a_verified_customer_needs_no_distinct_id_besides(project: Project) -> None:
    assert Browser(project, "user_1").send(distinct_id=None).status_code == 200


def test_what_a_verified_customer_says_of_themself_names_their_person(
    project: Project, reader: ApiClient, tickets_url: str
) -> None:
    customer = Browser(project, "user_1")

    ticket_id = customer.sent(traits={"email": "ada@example.com", "plan": "pro"})["ticket_id"]

    person = reader.get(f"{tickets_url}/{ticket_id}").json()["person"]
    assert person["properties"] == {"email": "ada@example.com"}
    assert person["is_identified"] is True


def test_a_verified_customer_finds_their_tickets_in_any_browser(project: Project) -> None:
    ticket_id = Browser(project, "user_1").sent()["ticket_id"]

    elsewhere = Browser(project, "user_1")

    assert elsewhere.texts(ticket_id) == ["Hi"]
    assert elsewhere.tickets().json()["count"] == 1
    assert elsewhere.see(ticket_id).status_code == 200


def test_a_hash_is_read_whatever_its_case(project: Project) -> None:
    customer = Browser(project, "user_1")
    customer.credentials["identity_hash"] = customer.credentials["identity_hash"].upper()

    assert customer.send().status_code == 200


FORGED: dict[str, Callable[[Project], str]] = {
    "of another distinct_id": lambda project: identity_hash(project, "user_2"),
    "of another project": lambda project: identity_hash(Project.objects.create(name="X"), "user_1"),
    "zeros": lambda project: "0" * 64,
    "short": lambda project: identity_hash(project, "user_1")[:63],
    "long": lambda project: identity_hash(project, "user_1") + "0",
    "no hex": lambda project: "caf\u00e9",
    "the secret": lambda project: project.identity_secret,
}


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_forged_hash_opens_nothing(project: Project, forged: str, warm: bool) -> None:
    victim = Browser(project, "user_1")
    ticket_id = victim.sent()["ticket_id"]
    if warm:
        victim.news(ticket_id)
    attacker = Browser(project, "user_1")
    attacker.credentials["identity_hash"] = FORGED[forged](project)

    responses = [
        attacker.send(),
        attacker.send(ticket_id=ticket_id),
        attacker.poll(ticket_id),
        attacker.see(ticket_id),
        attacker.tickets(),
    ]

    assert {response.status_code for response in responses} == {403}
    assert Ticket.objects.filter(project=project).count() == 1


def test_a_session_beside_a_forged_hash_does_not_help_it(project: Project) -> None:
    attacker = Browser(project)
    attacker.credentials |= {"identity_distinct_id": "user_1", "identity_hash": "0" * 64}

    assert attacker.tickets().status_code == 403


def test_a_new_secret_ends_the_old_hashes_at_once(project: Project) -> None:
    customer = Browser(project, "user_1")
    ticket_id = customer.sent()["ticket_id"]
    customer.news(ticket_id)

    project.identity_secret = "another"
    project.save()

    assert customer.poll(ticket_id).status_code == 403
    assert Browser(project, "user_1").poll(ticket_id).status_code == 200


def test_an_idle_poll_of_a_verified_customer_costs_no_sql(project: Project) -> None:
    customer = Browser(project, "user_1")
    ticket_id = customer.sent()["ticket_id"]
    after = customer.news(ticket_id)["messages"][0]["created_at"]
    customer.news(ticket_id, after=after)

    with statements() as found:
        customer.news(ticket_id, after=after)

    assert found == []


def test_distinct_ids_that_an_api_key_has_linked_open_as_one(
    project: Project, client_for: ClientFor, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(distinct_id="crm-7", message="Hi")
    customer = Browser(project, "user_1")
    assert customer.poll(ticket["id"]).status_code == 403

    body = {"distinct_ids": ["user_1", "crm-7"], "properties": {}}
    persons = client_for(project, "person:write")
    assert persons.post(f"/api/projects/{project.pk}/persons", body).status_code == 201

    assert customer.poll(ticket["id"]).status_code == 200


def test_what_a_verified_customer_writes_in_a_browsers_ticket_is_theirs_alone(
    project: Project, reader: ApiClient, tickets_url: str
) -> None:
    browser = Browser(project)
    ticket_id = browser.sent(distinct_id="user_1")["ticket_id"]
    customer = Browser(project, "user_1")

    customer.sent("My secret", ticket_id=ticket_id)

    ticket = reader.get(f"{tickets_url}/{ticket_id}").json()
    assert (ticket["distinct_id"], ticket["identity_verified"]) == ("user_1", True)
    assert browser.poll(ticket_id).status_code == 403
    assert browser.tickets().json()["count"] == 0


def test_a_browser_that_logs_in_takes_its_conversation_along(
    project: Project, reader: ApiClient, tickets_url: str
) -> None:
    browser = Browser(project)
    ticket_id = browser.sent(distinct_id="anonymous-1")["ticket_id"]
    identity = {
        "identity_distinct_id": "user_1",
        "identity_hash": identity_hash(project, "user_1"),
    }

    browser.sent("It is me", ticket_id=ticket_id, **identity)

    ticket = reader.get(f"{tickets_url}/{ticket_id}").json()
    assert (ticket["distinct_id"], ticket["identity_verified"]) == ("user_1", True)
    assert Browser(project, "user_1").texts(ticket_id) == ["Hi", "It is me"]


def test_a_poll_that_waits_while_the_ticket_becomes_somebody_elses_is_a_403(
    project: Project, writer: ApiClient, tickets_url: str
) -> None:
    browser = Browser(project)
    ticket_id = browser.sent(distinct_id="user_1")["ticket_id"]
    writer.post(f"{tickets_url}/{ticket_id}/reply", {"message": "So that there is news"})
    with ExitStack() as stack:
        with transaction.atomic():
            Ticket.objects.select_for_update().get(pk=ticket_id)
            poll = stack.enter_context(InBackground(browser.poll, ticket_id))
            wait_until_blocked()
            Ticket.objects.filter(pk=ticket_id).update(widget_session_id=None)
        response = poll.result()

    assert response.status_code == 403


# --- Attacks -----------------------------------------------------------------


@pytest.fixture
def victim(project: Project) -> Browser:
    browser = Browser(project)
    browser.credentials["distinct_id"] = "victim"
    return browser


def test_a_stolen_public_token_opens_no_ticket(project: Project, victim: Browser) -> None:
    ticket_id = victim.sent(traits={"email": "victim@example.com"})["ticket_id"]
    thief = Browser(project)

    assert thief.poll(ticket_id).status_code == 403
    assert thief.tickets().json() == {"count": 0, "results": []}


def test_a_guessed_distinct_id_opens_no_ticket(project: Project, victim: Browser) -> None:
    ticket_id = victim.sent()["ticket_id"]
    guesser = Browser(project)
    guesser.credentials["distinct_id"] = "victim"

    assert guesser.poll(ticket_id).status_code == 403
    assert guesser.tickets().json()["count"] == 0
    assert guesser.send(ticket_id=ticket_id).status_code == 403


def test_a_guessed_email_opens_no_ticket(project: Project, victim: Browser) -> None:
    victim.sent(traits={"email": "victim@example.com"})
    guesser = Browser(project)

    guesser.sent(traits={"email": "victim@example.com"})

    assert guesser.tickets().json()["count"] == 1


def test_a_foreign_and_an_unknown_ticket_differ_in_their_status_alone(
    project: Project, victim: Browser
) -> None:
    ticket_id = victim.sent("A secret", traits={"name": "Ada"})["ticket_id"]

    thief = Browser(project)
    said = []
    for each in (ticket_id, NOBODY):
        body = thief.poll(each).json()
        del body["request_id"], body["attr"], body["type"]
        said.append(body)

    assert said == [
        {"code": "permission_denied", "detail": "Forbidden", "error": "Forbidden"},
        {"code": "not_found", "detail": "Ticket not found", "error": "Ticket not found"},
    ]


def test_a_wrong_hash_costs_the_same_whether_or_not_the_customer_is_here(
    project: Project, round_trips: list[Any]
) -> None:
    """Else its time would tell who has been here lately."""
    online = Browser(project, "user_1")
    ticket_id = online.sent()["ticket_id"]
    online.news(ticket_id)
    costs = []
    for name in ("user_1", "nobody"):
        forger = Browser(project, name)
        forger.credentials["identity_hash"] = "0" * 64
        round_trips.clear()
        with statements() as found:
            forger.poll(ticket_id)
        costs.append((len(found), len(round_trips)))

    assert costs == [(0, 1), (0, 1)]


def test_an_identity_has_no_more_writes_by_naming_many_sessions(project: Project) -> None:
    customer = Browser(project, "user_1")

    statuses = [customer.send(widget_session_id=str(uuid.uuid4())).status_code for _ in range(31)]

    assert statuses == [200] * 30 + [429]


def test_a_hash_of_an_old_secret_gets_no_answer_again(project: Project) -> None:
    customer = Browser(project, "user_1", **{"idempotency-key": "one"})
    customer.sent()

    project.identity_secret = "another"
    project.save()

    assert customer.send().status_code == 403


def say(project: Project, event: str, distinct_id: str, **properties: Any) -> None:
    """What anybody with the public token may send as an event."""
    body = {
        "api_key": project.public_token,
        "event": event,
        "distinct_id": distinct_id,
        "properties": {**properties, "distinct_id": distinct_id},
    }
    response = Client().post("/e/", json.dumps(body), content_type="application/json")
    assert response.status_code == 200
    run_jobs()


@pytest.mark.parametrize(
    ("event", "properties"),
    [
        ("$identify", {"$anon_distinct_id": "victim"}),
        ("$create_alias", {"alias": "victim"}),
        ("$set", {"$set": {"email": "victim@example.com"}}),
    ],
    ids=["identify", "alias", "set"],
)
def test_an_alias_across_two_verified_customers_opens_nothing(
    project: Project, event: str, properties: dict[str, Any]
) -> None:
    ticket_id = Browser(project, "victim").sent(traits={"email": "victim@example.com"})["ticket_id"]
    mallory = Browser(project, "mallory")
    mallory.sent()

    say(project, event, "mallory", **properties)

    assert mallory.poll(ticket_id).status_code == 403
    assert ticket_id not in [ticket["id"] for ticket in mallory.tickets().json()["results"]]


@pytest.mark.parametrize(
    ("event", "properties"),
    [("$identify", {"$anon_distinct_id": "victim"}), ("$create_alias", {"alias": "victim"})],
    ids=["identify", "alias"],
)
def test_an_alias_before_the_victim_was_verified_opens_nothing_either(
    project: Project, event: str, properties: dict[str, Any]
) -> None:
    say(project, event, "mallory", **properties)
    ticket_id = Browser(project, "victim").sent()["ticket_id"]

    mallory = Browser(project, "mallory")
    mallory.sent()

    assert mallory.poll(ticket_id).status_code == 403


# --- Through the server ------------------------------------------------------


def test_the_real_server_answers_a_browser(service: Service, project: Project) -> None:
    body = {"message": "Hi", "distinct_id": "a", **Browser(project).credentials}
    headers = {
        "Content-Type": "application/json",
        "X-Conversations-Token": project.public_token,
        "Origin": "https://shop.example.com",
    }

    with closing(service.connect()) as connection:
        connection.request("POST", f"{WIDGET}/message", json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())

    assert (response.status, answer["ticket_status"]) == (200, "new")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
