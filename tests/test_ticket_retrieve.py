"""GET …/tickets/{id}."""

from typing import Any

import pytest

from conversations.models import Ticket
from projects.models import Person, PersonDistinctId, Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import refusal


def test_a_ticket_is_found_by_its_id(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(tags=["vip"])

    assert reader.get(f"{tickets_url}/{ticket['id']}").json() == ticket


def test_an_id_may_be_written_in_upper_case(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket()

    assert reader.get(f"{tickets_url}/{ticket['id'].upper()}").json() == ticket


def test_a_ticket_is_found_by_its_number(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket()
    second = make_ticket()

    assert reader.get(f"{tickets_url}/2").json() == second


@pytest.mark.parametrize(
    "named",
    [
        "7",
        "0",
        "-1",
        "01",
        "1.0",
        "%231",
        "1e0",
        "9" * 10,
        "9" * 5000,
        "\N{ARABIC-INDIC DIGIT ONE}",
        "0192f0c1-2b3c-7d4e-8f50-617283940a1b",
        "0192f0c12b3c7d4e8f50617283940a1b",
        "%00",
        "%ff",
        "null",
    ],
)
def test_what_names_no_ticket_is_not_found(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, named: str
) -> None:
    make_ticket()

    assert refusal(reader.get(f"{tickets_url}/{named}")) == (404, "not_found", None)


def test_a_ticket_of_another_project_is_not_found(
    client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    stranger = client_for(neighbour, "*")

    response = stranger.get(f"/api/projects/@current/conversations/tickets/{ticket['id']}")

    assert refusal(response) == (404, "not_found", None)


def test_reading_clears_what_was_unread(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi")

    read = reader.get(f"{tickets_url}/{ticket['id']}").json()

    assert read == {**ticket, "unread_team_count": 0}
    assert reader.get(f"{tickets_url}/{ticket['id']}").json() == read


def test_reading_lowers_the_unread_count(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, unread_count_url: str
) -> None:
    ticket, _ = make_ticket(message="Hi"), make_ticket(message="Ho")
    assert reader.get(unread_count_url).json() == {"count": 2}

    reader.get(f"{tickets_url}/{ticket['id']}")

    assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_message_after_the_reading_is_unread_again(
    reader: ApiClient, writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    url = f"{tickets_url}/{make_ticket(message='Hi')['id']}"
    reader.get(url)

    writer.post(f"{url}/messages", {"author_type": "customer", "content": "Hello?"})

    assert reader.get(url, mark_read="false").json()["unread_team_count"] == 1


def test_the_team_reading_leaves_the_customers_count_alone(
    reader: ApiClient, writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    url = f"{tickets_url}/{make_ticket(message='Hi')['id']}"
    writer.post(f"{url}/reply", {"message": "Hello"})

    assert reader.get(url).json()["unread_customer_count"] == 1


def test_looking_without_marking_changes_nothing(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, unread_count_url: str
) -> None:
    ticket = make_ticket(message="Hi")

    assert reader.get(f"{tickets_url}/{ticket['id']}", mark_read="false").json() == ticket
    assert reader.get(unread_count_url).json() == {"count": 1}


def test_mark_read_true_is_the_default_said_aloud(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi")

    response = reader.get(f"{tickets_url}/{ticket['id']}", mark_read="true")

    assert response.json()["unread_team_count"] == 0


def test_head_marks_nothing(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, unread_count_url: str
) -> None:
    ticket = make_ticket(message="Hi")

    response = reader.head(f"{tickets_url}/{ticket['id']}")

    assert (response.status_code, response.content) == (200, b"")
    assert reader.get(unread_count_url).json() == {"count": 1}


@pytest.mark.parametrize("value", ["no", "False", "0", ""])
def test_a_mark_read_that_means_nothing_is_refused_and_marks_nothing(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, value: str
) -> None:
    ticket = make_ticket(message="Hi")

    response = reader.get(f"{tickets_url}/{ticket['id']}", mark_read=value)

    assert refusal(response) == (400, "invalid_choice", "mark_read")
    assert Ticket.objects.get(pk=ticket["id"]).unread_team_count == 1


def test_a_filter_of_the_list_is_unknown_here(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket()

    response = reader.get(f"{tickets_url}/1", status="open")

    assert refusal(response) == (400, "unknown_parameter", "status")


def test_the_customers_secret_is_in_no_answer(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket()

    assert "widget_session_id" not in reader.get(f"{tickets_url}/1").json()


def test_a_ticket_says_through_which_channel_it_came(
    reader: ApiClient, project: Project, tickets_url: str
) -> None:
    Ticket.objects.create(
        project=project,
        ticket_number=1,
        distinct_id="ann",
        channel_source="widget",
        channel_detail="widget_embedded",
        identity_verified=False,
    )

    ticket = reader.get(f"{tickets_url}/1").json()

    assert (ticket["channel_source"], ticket["channel_detail"]) == ("widget", "widget_embedded")
    assert ticket["identity_verified"] is False


# --- The person ---


@pytest.mark.parametrize(
    ("properties", "distinct_ids", "name"),
    [
        ({"username": "u", "name": "n", "$email": "e"}, ["a"], "e"),
        ({"email": "a@b.example", "Email": "c@d.example"}, ["a"], "a@b.example"),
        ({"UserName": "u"}, ["a"], "u"),
        ({"email": "", "name": "Ann"}, ["a"], "Ann"),
        ({"email": None, "Name": "Ann"}, ["a"], "Ann"),
        ({}, ["0192f0c1-2b3c-7d4e-8f50-617283940a1b", "ann"], "ann"),
        ({}, ["ann@example.org", "anonymous-aGVsbG8gdGhlcmUgZnJpZW5kIQ"], "ann@example.org"),
        ({}, ["first", "second"], "first"),
    ],
)
def test_a_persons_name_is_what_people_would_call_them(
    reader: ApiClient,
    make_ticket: MakeTicket,
    project: Project,
    tickets_url: str,
    properties: dict[str, Any],
    distinct_ids: list[str],
    name: str,
) -> None:
    person = Person.objects.create(project=project, properties=properties)
    for distinct_id in distinct_ids:
        PersonDistinctId.objects.create(project=project, person=person, distinct_id=distinct_id)
    make_ticket(distinct_id=distinct_ids[-1])

    shown = reader.get(f"{tickets_url}/1").json()["person"]

    assert (shown["name"], shown["distinct_ids"]) == (name, distinct_ids)


def test_a_ticket_shows_the_person_as_it_is_now(
    reader: ApiClient, make_ticket: MakeTicket, project: Project, tickets_url: str
) -> None:
    before = make_ticket(distinct_id="ann")
    person = Person.objects.create(project=project, properties={"name": "Ann"})
    PersonDistinctId.objects.create(project=project, person=person, distinct_id="ann")

    after = reader.get(f"{tickets_url}/1").json()

    assert before["person"] is None
    assert after["person"]["name"] == "Ann"
    assert after["updated_at"] == before["updated_at"]
