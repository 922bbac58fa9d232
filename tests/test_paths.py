"""One resource under every spelling of its path, without a redirect."""

from typing import Any

import pytest

from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.refusals import refusal


def spellings(project: Project) -> list[str]:
    return [
        f"/api/{word}/{named}/conversations/tickets"
        for word in ("projects", "environments")
        for named in (project.pk, "@current")
    ]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "below", ["/{id}", "/1", "/unread_count", "/1/messages", "?order_by=ticket_number"]
)
def test_a_read_answers_the_same_under_every_spelling(
    reader: ApiClient, project: Project, make_ticket: MakeTicket, slash: str, below: str
) -> None:
    ticket = make_ticket()
    path, _, query = below.format(id=ticket["id"]).partition("?")

    answers = [reader.get(f"{url}{path}{slash}?{query}") for url in spellings(project)]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_write_is_done_under_every_spelling(
    writer: ApiClient, project: Project, slash: str
) -> None:
    for number, url in enumerate(spellings(project), start=1):
        created = writer.post(url + slash)
        one = f"{url}/{number}"
        changed = writer.patch(one + slash, {"status": "open"})
        replied = writer.post(f"{one}/reply{slash}", {"message": "Hi"})
        marked = writer.post(f"{one}/mark_unread{slash}")

        assert created.headers["Location"] == f"http://testserver{url}/{created.json()['id']}"
        statuses = [answer.status_code for answer in (created, changed, replied, marked)]
        assert statuses == [201, 200, 201, 200]
        assert writer.delete(one + slash).status_code == 204


@pytest.mark.parametrize("path", ["/api/docs", "/api/redoc", "/api/schema"])
def test_the_documentation_answers_with_and_without_a_slash(path: str) -> None:
    client = ApiClient()

    assert client.client.get(path).status_code == client.client.get(f"{path}/").status_code == 200


def test_links_and_locations_begin_with_the_public_url(
    writer: ApiClient, tickets_url: str, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://support.example.org"

    response = writer.post(tickets_url)

    expected = f"https://support.example.org{tickets_url}/{response.json()['id']}"
    assert response.headers["Location"] == expected


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api//",
        "/api/nothing",
        "/api/nothing/",
        "/api/projects",
        "/api/projects/",
        "/api/environments/",
        "/api/projects/@current/conversations",
        "/api/projects/@current/conversations/tickets//",
        "/api/projects/@current//conversations/tickets",
        "/api/projects/@current/conversations/tickets/1/nothing",
        "/api/environment/@current/conversations/tickets",
        "/API/projects/@current/conversations/tickets",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_no_path_is_not_found(writer: ApiClient, method: str, path: str) -> None:
    response = writer.client.generic(method, path, headers=writer.headers)

    assert response.status_code == 404
    assert "Location" not in response.headers
    if path.startswith("/api/"):
        assert response.headers["Content-Type"] == "application/json"
        assert refusal(response) == (404, "not_found", None)


def test_a_request_for_a_foreign_host_is_refused_before_a_link_is_made_of_it(
    reader: ApiClient, tickets_url: str
) -> None:
    response = reader.request("GET", tickets_url, host="evil.example")

    assert response.status_code == 400
    assert response.json()["type"] == "invalid_request"
