"""POST with an Idempotency-Key: done once, and answered alike however often it comes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from conversations.jobs import prune_answers
from conversations.models import Ticket
from projects.models import ApiKey, Membership, Project, User
from rest import idempotency, leases
from rest.models import StoredAnswer
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.isolation import Room, Route, furnished, names_of, routes
from tests.jobs import enqueue, run_jobs
from tests.refusals import refusal
from tests.threads import InBackground, Pause, at_once
from tests.widget import Browser

# A body for each POST of the project API that may be repeated, by its path below the project.
BODIES: dict[str, Callable[[Room], Any]] = {
    "/conversations/tickets": lambda room: {"message": "Hi"},
    "/conversations/tickets/{id}/messages": lambda room: {"content": "Hi"},
    "/conversations/tickets/{id}/reply": lambda room: {"message": "Hi"},
    "/conversations/tickets/{id}/mark_unread": lambda room: None,
    "/conversations/tickets/{id}/apply_macro": lambda room: {"macro": room.macro.short_id},
    "/conversations/tickets/bulk_update_status": lambda room: {**_ids(room), "status": "open"},
    "/conversations/tickets/bulk_update_tags": lambda room: {
        **_ids(room),
        "action": "add",
        "tags": ["a"],
    },
    "/conversations/tickets/bulk_assign": lambda room: {**_ids(room), "assignee": None},
    "/conversations/views": lambda room: {"name": "Mine", "filters": {}},
    "/conversations/macros": lambda room: {"name": "Thanks", "content": "Thank you!"},
    "/conversations/quick_actions": lambda room: {"name": "Thanks"},
    "/webhooks": lambda room: {"url": "https://example.com/hook"},
    "/webhooks/{webhook_id}/rotate_secret": lambda room: None,
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": lambda room: None,
    "/persons": lambda room: {"distinct_ids": ["a"], "properties": {"name": "Ada"}},
    "/persons/{person_id}/merge": lambda room: {"person": str(room.other_person.pk)},
}
REPEATABLE = [
    route
    for route in routes()
    if getattr(getattr(route.view, "cls", None), "is_repeatable", False) and route.action("POST")
]
OF_PROJECTS = [route for route in REPEATABLE if route.is_of_a_project]


def _ids(room: Room) -> dict[str, Any]:
    return {"ids": [str(room.ticket.pk)]}


@pytest.fixture
def url(project: Project) -> str:
    return f"/api/projects/{project.pk}"


@pytest.fixture
def client(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "*")


def post(client: ApiClient, url: str, body: Any, key: str = "one") -> Any:
    return client.request("POST", url, body, idempotency_key=key)


@pytest.mark.parametrize("route", OF_PROJECTS, ids=lambda route: str(route.title))
def test_each_post_is_done_once_and_answered_alike(client_for: ClientFor, route: Route) -> None:
    assert route.title in BODIES, f"Give `BODIES` a body that a POST of {route.title} takes."
    room = furnished("Shop")
    client, body = client_for(room.project, "*"), BODIES[route.title](room)
    address = route.url(room.project.pk, *[names[0] for names in names_of(route, room)])

    first, second = (post(client, address, body) for _ in range(2))

    assert first.status_code in (200, 201), first.content
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers.get("Location") == first.headers.get("Location")
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"


def test_no_other_post_may_be_repeated_but_the_widgets_message() -> None:
    """Which is tested in tests/test_widget_message.py."""
    others = {route.path for route in REPEATABLE if not route.is_of_a_project}

    assert others == {"api/conversations/v1/widget/message"}


def test_a_repeated_post_opens_one_ticket(
    project: Project, client: ApiClient, tickets_url: str, unread_count_url: str
) -> None:
    for _ in range(3):
        post(client, tickets_url, {"message": "Hi"})

    assert Ticket.objects.filter(project=project).count() == 1
    assert client.get(unread_count_url).json() == {"count": 1}


def test_other_keys_open_others(project: Project, client: ApiClient, tickets_url: str) -> None:
    for key in ("one", "two"):
        post(client, tickets_url, {}, key)

    assert Ticket.objects.filter(project=project).count() == 2


@pytest.mark.parametrize("change", ["body", "path", "query"])
def test_the_key_of_another_request_is_a_422(
    client: ApiClient, tickets_url: str, make_ticket: MakeTicket, change: str
) -> None:
    make_ticket()
    address = f"{tickets_url}/1/messages"
    post(client, address, {"content": "Hi"})

    other = {
        "body": lambda: post(client, address, {"content": "Ho"}),
        "path": lambda: post(client, f"{tickets_url}/1/reply", {"message": "Hi"}),
        "query": lambda: post(client, f"{address}?a=1", {"content": "Hi"}),
    }[change]()

    assert refusal(other) == (422, "idempotency_key_reused", None)


def test_another_method_does_not_look_at_the_key(
    client: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket()
    post(client, tickets_url, {})

    response = client.request(
        "PATCH", f"{tickets_url}/1", {"status": "open"}, idempotency_key="one"
    )

    assert response.status_code == 200


def test_while_the_first_runs_its_twin_is_a_409(
    project: Project, client: ApiClient, tickets_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conversations.tickets import verbs

    pause = Pause(verbs.open_ticket)
    monkeypatch.setattr(verbs, "open_ticket", pause)
    with InBackground(post, client, tickets_url, {}) as first:
        pause.wait_until_reached()
        twin = post(client, tickets_url, {})
        pause.go.set()
        assert first.result().status_code == 201

    assert refusal(twin) == (409, "conflict", None)
    assert Ticket.objects.filter(project=project).count() == 1
    assert post(client, tickets_url, {}).content == first.result().content


def test_of_many_at_once_one_is_done(project: Project, client: ApiClient, tickets_url: str) -> None:
    responses = at_once(*[lambda: post(client, tickets_url, {"message": "Hi"})] * 8)

    assert {response.status_code for response in responses} <= {201, 409}
    assert len({r.content for r in responses if r.status_code == 201}) == 1
    assert Ticket.objects.filter(project=project).count() == 1


def test_a_refused_request_is_not_kept(client: ApiClient, tickets_url: str) -> None:
    assert post(client, tickets_url, {"status": "opne"}).status_code == 400
    assert post(client, tickets_url, {"status": "open"}).status_code == 201


def test_an_answer_is_kept_for_a_day(project: Project, client: ApiClient, tickets_url: str) -> None:
    post(client, tickets_url, {})
    answers = StoredAnswer.objects.filter(about__contains=_ticket_of(project))
    answers.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    post(client, tickets_url, {})
    assert Ticket.objects.filter(project=project).count() == 1

    answers.update(created_at=timezone.now() - idempotency.LIFETIME)
    post(client, tickets_url, {})

    assert Ticket.objects.filter(project=project).count() == 2


def test_answers_are_removed_after_their_time(
    project: Project, client: ApiClient, tickets_url: str
) -> None:
    post(client, tickets_url, {})
    answers = StoredAnswer.objects.filter(about__contains=_ticket_of(project))
    assert answers.exists()
    answers.update(created_at=timezone.now() - idempotency.LIFETIME)

    enqueue(prune_answers)
    run_jobs()

    assert not answers.exists()


def _ticket_of(project: Project) -> list[Any]:
    return [Ticket.objects.filter(project=project).values_list("pk", flat=True).get()]


# --- Whose key ---------------------------------------------------------------


def test_two_api_keys_may_choose_the_same_one(
    project: Project, client_for: ClientFor, tickets_url: str
) -> None:
    numbers = {
        post(client_for(project, "*"), tickets_url, {}).json()["ticket_number"] for _ in range(2)
    }

    assert numbers == {1, 2}


def test_a_rotated_api_key_is_the_same(project: Project, tickets_url: str) -> None:
    api_key, secret = ApiKey.issue(project=project, label="test", scopes=["*"])
    first = post(ApiClient(secret), tickets_url, {})
    with transaction.atomic():
        new_secret, _ = api_key.rotate(overlap=timedelta(0))

    assert post(ApiClient(new_secret), tickets_url, {}).content == first.content


def test_an_agents_keys_are_their_own(project: Project, tickets_url: str) -> None:
    numbers = []
    for name in ("ada", "ada", "grace"):
        agent, _ = User.objects.get_or_create(email=f"{name}-{project.pk}@example.com")
        Membership.objects.get_or_create(project=project, user=agent)
        client = ApiClient()
        client.client.force_login(agent)
        numbers.append(post(client, tickets_url, {}).json()["ticket_number"])

    assert numbers == [1, 1, 2]


def test_a_key_without_the_scope_gets_no_answer_again(project: Project, tickets_url: str) -> None:
    api_key, secret = ApiKey.issue(project=project, label="test", scopes=["*"])
    client = ApiClient(secret)
    post(client, tickets_url, {})
    api_key.scopes = ["ticket:read"]
    api_key.save()

    assert post(client, tickets_url, {}).status_code == 403


# --- What follows from it ----------------------------------------------------


def test_a_ticket_that_is_gone_is_told_of_once_more(
    client: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    """The replay comes before the ticket is looked for."""
    make_ticket()
    first = post(client, f"{tickets_url}/1/messages", {"content": "Hi"})
    client.delete(f"{tickets_url}/1")

    assert post(client, f"{tickets_url}/1/messages", {"content": "Hi"}).content == first.content


DieAfter = Callable[[Callable[[], Any]], None]


@pytest.fixture
def die_after(monkeypatch: pytest.MonkeyPatch) -> DieAfter:
    """The process dies between the commit of this and what it had to forget."""

    def die(*args: Any, **kwargs: Any) -> None:
        raise SystemExit

    def run(write: Callable[[], Any]) -> None:
        with monkeypatch.context() as dying:
            dying.setattr(leases, "forget", die)
            with pytest.raises(SystemExit):
                write()

    return run


def test_a_process_that_dies_between_commit_and_answer_leaves_the_right_count(
    project: Project,
    client: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    die_after: DieAfter,
) -> None:
    """Its write is there and what it had to forget is not forgotten, until the client repeats."""
    assert client.get(unread_count_url).json() == {"count": 0}
    die_after(lambda: post(client, tickets_url, {"message": "Hi"}))
    assert Ticket.objects.filter(project=project).count() == 1

    answer = post(client, tickets_url, {"message": "Hi"})

    assert answer.headers["Idempotency-Replayed"] == "true"
    assert client.get(unread_count_url).json() == {"count": 1}


def test_a_process_that_dies_over_a_customers_message_leaves_the_right_count(
    project: Project, client: ApiClient, unread_count_url: str, die_after: DieAfter
) -> None:
    browser = Browser(project, **{"idempotency-key": "one"})
    assert client.get(unread_count_url).json() == {"count": 0}
    die_after(browser.send)
    assert client.get(unread_count_url).json() == {"count": 0}

    browser.sent()

    assert client.get(unread_count_url).json() == {"count": 1}


@pytest.mark.parametrize("by", ["team", "customer"])
def test_a_process_that_dies_over_a_message_keeps_it_from_no_widget(
    project: Project, client: ApiClient, tickets_url: str, die_after: DieAfter, by: str
) -> None:
    browser = Browser(project)
    first = browser.sent()
    seen = {"ticket_id": first["ticket_id"], "after": first["created_at"]}

    def write() -> Any:
        if by == "team":
            return post(client, f"{tickets_url}/{first['ticket_id']}/reply", {"message": "And?"})
        browser.headers["idempotency-key"] = "one"
        return browser.send("And?", ticket_id=first["ticket_id"])

    def shown() -> tuple[list[str], str]:
        return browser.texts(**seen), browser.tickets().json()["results"][0]["last_message"]

    assert shown() == ([], "Hi")
    die_after(write)
    assert shown() == ([], "Hi")

    assert write().headers["Idempotency-Replayed"] == "true"

    assert shown() == (["And?"], "And?")


@pytest.mark.parametrize("tickets", ["", "?tickets=true"])
def test_erasing_a_person_drops_what_was_told_of_them(
    project: Project, client: ApiClient, url: str, tickets_url: str, tickets: str
) -> None:
    person = {"distinct_ids": ["ada"], "properties": {"name": "Ada"}}
    made = post(client, f"{url}/persons", person, "person").json()
    ticket = post(client, tickets_url, {"distinct_id": "ada", "message": "Hi"}, "ticket").json()
    post(client, f"{tickets_url}/{ticket['id']}/reply", {"message": "Dear Ada"}, "reply")
    stored = StoredAnswer.objects.filter(about__overlap=[made["id"], ticket["id"]])
    assert stored.count() == 3

    client.delete(f"{url}/persons/{made['id']}{tickets}")

    assert not stored.exists()


@pytest.mark.parametrize("below", ["", "/1/mark_unread", "/1/apply_macro"])
def test_erasing_a_person_drops_what_their_former_tickets_told_of_them(
    client: ApiClient, url: str, tickets_url: str, below: str
) -> None:
    """It was their address that led from the ticket to them, and they have another now."""
    ada = {"distinct_ids": ["ada"], "properties": {"name": "Ada", "email": "ada@example.com"}}
    person = client.post(f"{url}/persons", ada).json()
    sent: dict[str, Any] = {"email_from": "ada@example.com"}
    if below:
        client.post(tickets_url, sent)
        macro = client.post(f"{url}/conversations/macros", {"name": "M", "content": "Hello"})
        sent = {"macro": macro.json()["short_id"]} if "macro" in below else {}
    answer = post(client, f"{tickets_url}{below}", sent).json()
    assert answer["person"]["id"] == person["id"]
    stored = StoredAnswer.objects.filter(about__contains=[answer["id"]])
    assert stored.exists()
    moved = {"properties": {"email": "lovelace@example.com"}}
    assert client.patch(f"{url}/persons/{person['id']}", moved).status_code == 200

    client.delete(f"{url}/persons/{person['id']}")

    assert not stored.exists()


def test_merging_drops_what_was_told_of_the_person_that_is_no_more(
    client: ApiClient, url: str
) -> None:
    one, other = (
        post(client, f"{url}/persons", {"distinct_ids": [each], "properties": {}}, each).json()
        for each in ("x", "y")
    )

    client.post(f"{url}/persons/{one['id']}/merge", {"person": other["id"]})

    assert not StoredAnswer.objects.filter(about__contains=[other["id"]]).exists()


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "caf\u00e9", "a\tb"])
def test_a_key_that_is_none_is_a_400(client: ApiClient, tickets_url: str, key: str) -> None:
    assert refusal(post(client, tickets_url, {}, key)) == (400, "invalid_input", "Idempotency-Key")


@pytest.mark.parametrize("key", ["x", "x" * 255, "a b", "{}~!"])
def test_any_printable_key_will_do(client: ApiClient, tickets_url: str, key: str) -> None:
    assert post(client, tickets_url, {}, key).status_code == 201
