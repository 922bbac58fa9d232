"""Erasing persons: what goes with them, what stays of their tickets, and the unread count."""

import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.models import Message, Ticket
from projects.models import Person, PersonDistinctId, Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.recount import recount
from tests.threads import InBackground, wait_until_blocked


@pytest.fixture
def url(project: Project) -> str:
    return f"/api/projects/{project.pk}/persons"


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "person:write", "ticket:write")


def make(api: ApiClient, url: str, *distinct_ids: str, **properties: Any) -> Any:
    response = api.post(url, {"distinct_ids": distinct_ids, "properties": properties})
    assert response.status_code in (200, 201), response.content
    return response.json()


@pytest.fixture
def personal(make_ticket: MakeTicket) -> Any:
    """A ticket full of its customer."""

    def make(**fields: Any) -> Any:
        return make_ticket(
            **{
                "distinct_id": "u1",
                "email_from": "ada@example.com",
                "anonymous_traits": {"name": "Ada Lovelace", "email": "ada@example.com"},
                "email_subject": "My order",
                "message": "Hi",
                "tags": ["vip"],
                **fields,
            }
        )

    return make


def test_an_erased_person_is_gone(api: ApiClient, url: str) -> None:
    person = make(api, url, "u1", "u2", email="ada@example.com")

    response = api.delete(f"{url}/{person['id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert api.get(f"{url}/{person['id']}").status_code == 404
    assert api.get(url).json()["count"] == 0
    assert not PersonDistinctId.objects.filter(distinct_id="u1", person=person["id"]).exists()


def test_the_distinct_ids_are_free_for_another(api: ApiClient, url: str) -> None:
    person = make(api, url, "u1", plan="pro")
    api.delete(f"{url}/{person['id']}")

    again = api.post(url, {"distinct_ids": ["u1"]})

    assert again.status_code == 201
    assert again.json()["id"] != person["id"]
    assert again.json()["properties"] == {}


def test_the_tickets_stay_without_anything_of_the_customer(
    api: ApiClient, url: str, tickets_url: str, personal: Any
) -> None:
    person = make(api, url, "u1", "u2", email="ada@example.com")
    tickets = [personal(), personal(distinct_id="u2"), personal(distinct_id="u2")]

    api.delete(f"{url}/{person['id']}")

    now = [api.get(f"{tickets_url}/{t['id']}", mark_read="false").json() for t in tickets]
    for before, after in zip(tickets, now, strict=True):
        assert after["updated_at"] > before["updated_at"]
        assert after == {
            **before,
            "distinct_id": after["distinct_id"],
            "anonymous_traits": {},
            "email_from": None,
            "person": None,
            "updated_at": after["updated_at"],
        }
    # One for each, or they would still tell which tickets were one customer's.
    fresh = {uuid.UUID(ticket["distinct_id"]) for ticket in now}
    assert len(fresh) == 3
    assert {name.version for name in fresh} == {7}


def test_their_tickets_are_not_found_by_the_customer_any_more(
    api: ApiClient, url: str, project: Project, tickets_url: str, personal: Any
) -> None:
    ticket = personal()
    person = make(api, url, "u1")

    api.delete(f"{url}/{person['id']}")

    assert api.get(tickets_url, distinct_ids="u1").json()["count"] == 0
    search = Ticket.objects.values_list("search", flat=True).get(pk=ticket["id"])
    assert "lovelace" not in str(search)
    assert "ada" not in str(search)
    assert f"{project.pk}:order" in str(search)


def test_an_identity_that_was_proved_is_so_no_more(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    person = make(api, url, "u1")
    proved, unknown = make_ticket(distinct_id="u1"), make_ticket(distinct_id="u1")
    Ticket.objects.filter(pk=proved["id"]).update(identity_verified=True)

    api.delete(f"{url}/{person['id']}")

    verified = [
        api.get(f"{tickets_url}/{ticket['id']}").json()["identity_verified"]
        for ticket in (proved, unknown)
    ]
    assert verified == [False, None]


def test_tickets_that_stay_keep_the_unread_count(
    api: ApiClient, url: str, unread_count_url: str, personal: Any
) -> None:
    person = make(api, url, "u1")
    personal()
    assert api.get(unread_count_url).json() == {"count": 1}

    api.delete(f"{url}/{person['id']}")

    assert api.get(unread_count_url).json() == {"count": 1}


def test_with_tickets_they_and_their_messages_go_too(
    api: ApiClient, url: str, tickets_url: str, personal: Any, project: Project
) -> None:
    person = make(api, url, "u1", "u2")
    tickets = [personal(), personal(distinct_id="u2")]
    api.post(f"{tickets_url}/{tickets[0]['id']}/reply", {"message": "Hello"})

    response = api.delete(f"{url}/{person['id']}", tickets="true")

    assert response.status_code == 204
    assert api.get(tickets_url).json()["count"] == 0
    assert not Message.objects.filter(project=project).exists()
    assert not Person.objects.filter(project=project).exists()


def test_with_tickets_the_unread_count_falls_at_once(
    api: ApiClient, url: str, unread_count_url: str, personal: Any, project: Project
) -> None:
    person = make(api, url, "u1")
    personal()
    personal(distinct_id="u2")
    assert api.get(unread_count_url).json() == {"count": 2}

    api.delete(f"{url}/{person['id']}", tickets="true")

    assert api.get(unread_count_url).json() == {"count": 1} == {"count": recount(project)}


def test_numbers_of_erased_tickets_are_not_used_again(
    api: ApiClient, url: str, personal: Any, make_ticket: MakeTicket
) -> None:
    person = make(api, url, "u1")
    personal()

    api.delete(f"{url}/{person['id']}", tickets="true")

    assert make_ticket()["ticket_number"] == 2


@pytest.mark.parametrize("tickets", ["true", "false"])
def test_mails_from_the_persons_address_are_theirs(
    api: ApiClient, url: str, tickets_url: str, personal: Any, tickets: str
) -> None:
    person = make(api, url, "u1", email="Ada@example.com")
    mail = personal(distinct_id="mail-1", email_from="ada@EXAMPLE.com")
    assert api.get(f"{tickets_url}/{mail['id']}").json()["person"]["id"] == person["id"]

    api.delete(f"{url}/{person['id']}", tickets=tickets)

    response = api.get(f"{tickets_url}/{mail['id']}")
    if tickets == "true":
        assert response.status_code == 404
    else:
        assert response.json()["email_from"] is None
        assert response.json()["distinct_id"] != "mail-1"


@pytest.mark.parametrize("tickets", ["true", "false"])
def test_tickets_of_others_stay_as_they_are(
    api: ApiClient,
    url: str,
    tickets_url: str,
    personal: Any,
    neighbour: Project,
    client_for: ClientFor,
    tickets: str,
) -> None:
    make(api, url, "older", email="grace@example.com")
    person = make(api, url, "u1", email="grace@example.com")
    make(api, url, "u2", email="ada@example.com")
    others = [
        # Of another person, of nobody, and by an address that the older one has.
        personal(distinct_id="u2", email_from="grace@example.com"),
        personal(distinct_id="nobody", email_from="zoe@example.com"),
        personal(distinct_id="nobody", email_from=None),
        personal(distinct_id="nobody", email_from="grace@example.com"),
    ]
    next_door = client_for(neighbour, "*")
    there = f"/api/projects/{neighbour.pk}/conversations/tickets"
    foreign = next_door.post(there, {"distinct_id": "u1", "email_from": "grace@example.com"})
    before = [api.get(f"{tickets_url}/{ticket['id']}").json() for ticket in others]

    api.delete(f"{url}/{person['id']}", tickets=tickets)

    assert [api.get(f"{tickets_url}/{ticket['id']}").json() for ticket in others] == before
    assert next_door.get(f"{there}/{foreign.json()['id']}").json() == foreign.json()


@pytest.mark.parametrize(
    ("query", "attr", "code"),
    [
        ({"tickets": "yes"}, "tickets", "invalid_choice"),
        ({"tickets": "1"}, "tickets", "invalid_choice"),
        ({"tickets": ""}, "tickets", "invalid_choice"),
        ({"ticket": "true"}, "ticket", "unknown_parameter"),
    ],
)
def test_a_bad_parameter_erases_nothing(
    api: ApiClient, url: str, personal: Any, query: dict[str, str], attr: str, code: str
) -> None:
    person = make(api, url, "u1")
    ticket = personal()

    response = api.delete(f"{url}/{person['id']}", **query)

    body = response.json()
    assert (response.status_code, body["code"], body["attr"]) == (400, code, attr)
    assert api.get(f"{url}/{person['id']}").json() == person
    assert Ticket.objects.filter(pk=ticket["id"], distinct_id="u1").exists()


@pytest.mark.parametrize("tickets", ["true", "false"])
def test_a_message_that_arrives_meanwhile_is_waited_for(
    project: Project,
    api: ApiClient,
    url: str,
    tickets_url: str,
    unread_count_url: str,
    personal: Any,
    client_for: ClientFor,
    tickets: str,
) -> None:
    person, ticket = make(api, url, "u1"), personal()
    other = client_for(project, "*")
    with transaction.atomic():
        api.post(
            f"{tickets_url}/{ticket['id']}/messages",
            {"author_type": "customer", "content": "And?"},
        )
        erasing = InBackground(lambda: other.delete(f"{url}/{person['id']}", tickets=tickets))
        wait_until_blocked()
    with erasing:
        assert erasing.result().status_code == 204

    assert api.get(unread_count_url).json() == {"count": recount(project)}
    kept = list(Ticket.objects.filter(project=project))
    assert len(kept) == (0 if tickets == "true" else 1)
    for row in kept:
        assert (row.unread_team_count, row.last_message_text) == (2, "And?")


def test_erasing_needs_the_scope(
    project: Project, url: str, api: ApiClient, client_for: ClientFor
) -> None:
    person = make(api, url, "u1")

    response = client_for(project, "person:read", "ticket:write").delete(f"{url}/{person['id']}")

    assert response.status_code == 403
    assert response.json()["detail"] == "API key missing required scope 'person:write'"


def test_the_tickets_are_found_by_index(
    project: Project, api: ApiClient, url: str, make_ticket: MakeTicket
) -> None:
    person = make(api, url, "u1", email="ada@example.com")
    Ticket.objects.bulk_create(
        Ticket(
            project=project,
            ticket_number=number,
            distinct_id=f"customer-{number}",
            email_from=f"mail-{number}@example.com",
        )
        for number in range(1, 5001)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE conversations_ticket")
    with CaptureQueriesContext(connection) as captured:
        assert api.delete(f"{url}/{person['id']}").status_code == 204
    (sql,) = [q["sql"] for q in captured.captured_queries if 'FROM "conversations_ti' in q["sql"]]

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "Seq Scan" not in plan
    assert {"ticket_distinct_id", "ticket_email_from"} <= set(plan.replace("\n", " ").split())
