"""DELETE …/tickets/{id}."""

from conversations.models import Message, Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import refusal


def test_a_ticket_goes_with_its_messages(
    writer: ApiClient, project: Project, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket(message="Hi")
    writer.post(f"{tickets_url}/1/reply", {"message": "Hello"})

    response = writer.delete(f"{tickets_url}/{ticket['id']}")

    assert (response.status_code, response.content) == (204, b"")
    assert not Ticket.objects.in_project(project.pk).exists()
    assert not Message.objects.filter(project=project).exists()


def test_a_deleted_ticket_is_not_found_in_any_way(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    url = f"{tickets_url}/{make_ticket()['id']}"
    writer.delete(url)

    assert refusal(writer.get(url))[0] == 404
    assert refusal(writer.get(f"{url}/messages"))[0] == 404
    assert refusal(writer.delete(url))[0] == 404
    assert writer.get(tickets_url).json()["count"] == 0


def test_a_ticket_is_deleted_by_its_number_and_the_others_stay(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket(message="Hi")
    other = make_ticket(message="Ho")

    assert writer.delete(f"{tickets_url}/1").status_code == 204

    assert writer.get(tickets_url).json()["results"] == [other]


def test_deleting_an_unread_ticket_lowers_the_unread_count(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, unread_count_url: str
) -> None:
    make_ticket(message="Hi")
    assert writer.get(unread_count_url).json() == {"count": 1}

    writer.delete(f"{tickets_url}/1")

    assert writer.get(unread_count_url).json() == {"count": 0}


def test_a_ticket_of_another_project_can_not_be_deleted(
    client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    stranger = client_for(neighbour, "*")

    response = stranger.delete(f"/api/projects/@current/conversations/tickets/{ticket['id']}")

    assert refusal(response) == (404, "not_found", None)
    assert Ticket.objects.filter(pk=ticket["id"]).exists()


def test_an_unknown_parameter_deletes_nothing(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    ticket = make_ticket()

    response = writer.delete(f"{tickets_url}/1", force="true")

    assert refusal(response) == (400, "unknown_parameter", "force")
    assert Ticket.objects.filter(pk=ticket["id"]).exists()
