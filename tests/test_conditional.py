"""ETag, If-None-Match and If-Match on tickets and on the unread count."""

from collections.abc import Callable
from typing import Any

import pytest

from conversations.models import Ticket
from conversations.tickets.verbs import wake_tickets
from projects.models import Project, Role
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import refusal
from tests.threads import at_once
from tests.widget import Browser

STALE = (412, "precondition_failed", None)


@pytest.fixture
def url(tickets_url: str, make_ticket: MakeTicket) -> str:
    return f"{tickets_url}/{make_ticket(message='Hi')['id']}"


def tag_of(client: ApiClient, url: str) -> str:
    return str(client.get(url, mark_read="false").headers["ETag"])


def version_of(client: ApiClient, url: str) -> str:
    return tag_of(client, url).strip('"').partition(".")[0]


# --- What carries a tag ------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda api, url: api.get(url),
        lambda api, url: api.head(url),
        lambda api, url: api.patch(url, {"status": "open"}),
        lambda api, url: api.put(url, {}),
        lambda api, url: api.post(f"{url}/mark_unread"),
        lambda api, url: api.post(url.rpartition("/")[0], {}),
    ],
    ids=["get", "head", "patch", "put", "mark unread", "create"],
)
def test_an_answer_with_a_ticket_has_the_tag_of_what_it_shows(
    writer: ApiClient, url: str, answer: Any
) -> None:
    response = answer(writer, url)

    address = response.headers.get("Location", url)
    assert response.headers["ETag"] == tag_of(writer, address)
    assert response.headers["ETag"].startswith('"')


def test_the_answer_to_a_macro_has_it_too(writer: ApiClient, url: str) -> None:
    body = {"name": "Close", "actions": {"status": "resolved"}}
    macro = writer.post(url.rpartition("/tickets/")[0] + "/macros", body).json()

    response = writer.post(f"{url}/apply_macro", {"macro": macro["short_id"]})

    assert response.headers["ETag"] == tag_of(writer, url)


# --- If-None-Match -----------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", '"other", {}', "W/{}", "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_the_client_has_already_is_a_304(
    writer: ApiClient, url: str, form: str, method: str
) -> None:
    tag = writer.get(url).headers["ETag"]

    response = writer.request(method, url, if_none_match=form.format(tag))

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["ETag"] == tag


@pytest.mark.parametrize("given", ['"other"', "nonsense", "", '"unclosed'])
def test_what_it_does_not_have_is_sent(writer: ApiClient, url: str, given: str) -> None:
    assert writer.request("GET", url, if_none_match=given).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda api, url: api.patch(url, {"tags": ["a"]}),
        lambda api, url: api.post(f"{url}/reply", {"message": "Hello"}),
    ],
    ids=["field", "message"],
)
def test_whatever_changes_what_is_shown_changes_the_tag(
    writer: ApiClient, url: str, change: Any
) -> None:
    tag = writer.get(url).headers["ETag"]

    change(writer, url)

    assert writer.request("GET", url, if_none_match=tag).status_code == 200


def test_another_name_of_the_person_changes_the_tag_and_not_the_version(
    project: Project, client_for: ClientFor, make_ticket: MakeTicket, tickets_url: str
) -> None:
    client = client_for(project, "*")
    url = f"{tickets_url}/{make_ticket(distinct_id='ada')['id']}"
    tag, version = tag_of(client, url), version_of(client, url)

    person = {"distinct_ids": ["ada"], "properties": {"name": "Ada"}}
    client.post(f"/api/projects/{project.pk}/persons", person)

    assert tag_of(client, url) != tag
    assert version_of(client, url) == version


def test_a_conditional_get_marks_as_read_as_any_other(
    writer: ApiClient, url: str, unread_count_url: str
) -> None:
    tag = tag_of(writer, url)

    response = writer.request("GET", url, if_none_match=tag)

    # What it shows has changed by that: nothing is unread any more.
    assert response.status_code == 200
    assert writer.get(unread_count_url).json() == {"count": 0}


def test_the_unread_count_has_a_tag(writer: ApiClient, url: str, unread_count_url: str) -> None:
    tag = writer.get(unread_count_url).headers["ETag"]
    same = writer.request("GET", unread_count_url, if_none_match=tag)
    writer.post(f"{url}/messages", {"author_type": "customer", "content": "Hm?"})
    other = writer.request("GET", unread_count_url, if_none_match=tag)

    assert (same.status_code, same.headers["ETag"]) == (304, tag)
    assert (other.status_code, other.json()) == (200, {"count": 2})


# --- If-Match ----------------------------------------------------------------


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_a_stale_version_changes_nothing(writer: ApiClient, url: str, method: str) -> None:
    tag = tag_of(writer, url)
    writer.patch(url, {"priority": "high"})

    body = None if method == "DELETE" else {"status": "pending"}
    response = writer.request(method, url, body, if_match=tag)

    assert refusal(response) == STALE
    ticket = writer.get(url).json()
    assert (ticket["status"], ticket["priority"]) == ("new", "high")


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("form", ["{}", '"0.x", {}', "*"])
def test_the_version_that_is_there_may_be_changed(
    writer: ApiClient, url: str, method: str, form: str
) -> None:
    tag = tag_of(writer, url)

    body = None if method == "DELETE" else {"status": "pending"}
    response = writer.request(method, url, body, if_match=form.format(tag))

    assert response.status_code == (204 if method == "DELETE" else 200)


@pytest.mark.parametrize("given", ["W/{}", "nonsense", "", '"unclosed', "{}x"])
def test_what_names_no_version_matches_none(writer: ApiClient, url: str, given: str) -> None:
    response = writer.request(
        "PATCH", url, {"status": "open"}, if_match=given.format(tag_of(writer, url))
    )

    assert refusal(response) == STALE


def test_the_answer_to_a_change_has_the_version_for_the_next(writer: ApiClient, url: str) -> None:
    tag = tag_of(writer, url)
    for status in ("open", "pending", "resolved"):
        response = writer.request("PATCH", url, {"status": status}, if_match=tag)
        assert response.status_code == 200
        tag = response.headers["ETag"]


def test_of_two_agents_at_the_same_instant_one_gets_a_412(
    project: Project, client_for: ClientFor, url: str
) -> None:
    agents = [client_for(project, "ticket:write") for _ in range(4)]
    tag = tag_of(agents[0], url)

    def change(number: int) -> int:
        body = {"escalation_reason": str(number)}
        return int(agents[number].request("PATCH", url, body, if_match=tag).status_code)

    statuses = at_once(*[lambda n=n: change(n) for n in range(4)])

    assert sorted(statuses) == [200, 412, 412, 412]


KEEPS: dict[str, Callable[[ApiClient, str], Any]] = {
    "a look": lambda api, url: api.get(url),
    "a customer's message": lambda api, url: api.post(
        f"{url}/messages", {"author_type": "customer", "content": "Hm?"}
    ),
    "a reply": lambda api, url: api.post(f"{url}/reply", {"message": "Hello"}),
    "a note": lambda api, url: api.post(f"{url}/reply", {"message": "Hm", "is_private": True}),
    "mark unread": lambda api, url: api.post(f"{url}/mark_unread"),
    "a change that changes nothing": lambda api, url: api.patch(url, {"status": "new"}),
}


@pytest.mark.parametrize("way", KEEPS)
def test_what_is_no_change_of_its_fields_keeps_the_version(
    writer: ApiClient, url: str, way: str
) -> None:
    tag = tag_of(writer, url)

    KEEPS[way](writer, url)

    response = writer.request("PATCH", url, {"status": "open"}, if_match=tag)
    assert response.status_code == 200


def test_reading_in_the_widget_keeps_the_version(
    project: Project, writer: ApiClient, tickets_url: str
) -> None:
    browser = Browser(project)
    ticket_id = browser.sent()["ticket_id"]
    url = f"{tickets_url}/{ticket_id}"
    writer.post(f"{url}/reply", {"message": "Hello"})
    version = version_of(writer, url)

    browser.news(ticket_id)
    browser.see(ticket_id)

    assert version_of(writer, url) == version


def _bulk(api: ApiClient, url: str, name: str, **fields: Any) -> None:
    tickets_url, _, ticket_id = url.rpartition("/")
    body = {"ids": [ticket_id], **fields}
    assert api.post(f"{tickets_url}/bulk_{name}", body).json()["updated"] == 1


MOVES: dict[str, Callable[[ApiClient, str], Any]] = {
    "status": lambda api, url: api.patch(url, {"status": "pending"}),
    "traits": lambda api, url: api.patch(url, {"anonymous_traits": {"a": 1}}),
    "snooze": lambda api, url: api.patch(url, {"snoozed_until": "2999-01-01T00:00:00Z"}),
    "bulk status": lambda api, url: _bulk(api, url, "update_status", status="pending"),
    "bulk tags": lambda api, url: _bulk(api, url, "update_tags", action="add", tags=["a"]),
    "a customer's message that reopens it": lambda api, url: (
        api.patch(url, {"status": "resolved"}),
        api.post(f"{url}/messages", {"author_type": "customer", "content": "Hm?"}),
    ),
    "a snooze that ends": lambda api, url: _wake(url),
    "its role is deleted": lambda api, url: _lose_role(api, url),
}


def _wake(url: str) -> None:
    Ticket.objects.filter(pk=url.rpartition("/")[2]).update(snoozed_until="2000-01-01T00:00:00Z")
    wake_tickets()


def _lose_role(api: ApiClient, url: str) -> None:
    ticket = Ticket.objects.get(pk=url.rpartition("/")[2])
    role = Role.objects.create(project_id=ticket.project_id, name="Second level")
    Ticket.objects.filter(pk=ticket.pk).update(assignee_role=role)
    role.delete()


@pytest.mark.parametrize("way", MOVES)
def test_a_change_of_its_fields_moves_the_version(writer: ApiClient, url: str, way: str) -> None:
    version = version_of(writer, url)

    MOVES[way](writer, url)

    assert int(version_of(writer, url)) > int(version)


def test_the_precondition_comes_after_the_body(writer: ApiClient, url: str) -> None:
    response = writer.request("PATCH", url, {"status": "opne"}, if_match='"0.x"')

    assert response.status_code == 400


def test_the_ticket_comes_before_the_precondition(writer: ApiClient, tickets_url: str) -> None:
    response = writer.request("PATCH", f"{tickets_url}/99", {"status": "open"}, if_match='"0.x"')

    assert response.status_code == 404
