"""Saved views: kept, validated like the list's parameters, and applied to the list."""

from typing import Any

import pytest

from projects.models import Membership, Project, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket


@pytest.fixture
def views_url(project: Project) -> str:
    return f"/api/projects/{project.pk}/conversations/views"


ALL_FILTERS: dict[str, Any] = {
    "status": ["new", "open"],
    "priority": ["high", "none"],
    "channel": "api",
    "sla": "breached",
    "assignee": ["unassigned", "user:7", {"type": "user", "id": 7}],
    "tags": ["Urgent", "a,b"],
    "tagsMatch": "all",
    "tagsExclude": ["spam"],
    "dateFrom": "-7d",
    "dateTo": "2026-01-31",
    "search": "order",
    "snoozed": False,
    "unread": True,
    "sorting": {"columnKey": "created_at", "order": -1},
}


def test_a_view_comes_back_as_it_was_sent(writer: ApiClient, views_url: str) -> None:
    made = writer.post(views_url, {"name": "Everything", "filters": ALL_FILTERS})

    assert made.status_code == 201
    assert made.json()["filters"] == ALL_FILTERS
    assert writer.get(f"{views_url}/{made.json()['short_id']}").json() == made.json()


def test_a_view_needs_no_filters(writer: ApiClient, views_url: str) -> None:
    assert writer.post(views_url, {"name": "All"}).json()["filters"] == {}


def test_a_view_needs_a_name(writer: ApiClient, views_url: str) -> None:
    assert _failure(writer.post(views_url, {})) == (400, "required", "name")


BAD_FILTERS: list[tuple[Any, str, str]] = [
    ([], "invalid_input", "filters"),
    ("open", "invalid_input", "filters"),
    ({"state": "open"}, "unknown_field", "filters__state"),
    ({"status": "open"}, "invalid_input", "filters__status"),
    ({"status": ["opne"]}, "invalid_choice", "filters__status"),
    ({"status": [1]}, "invalid_input", "filters__status"),
    ({"priority": ["huge"]}, "invalid_choice", "filters__priority"),
    ({"channel": "pigeon"}, "invalid_choice", "filters__channel"),
    ({"channel": ["api"]}, "invalid_input", "filters__channel"),
    ({"sla": "soon"}, "invalid_choice", "filters__sla"),
    ({"assignee": "me"}, "invalid_input", "filters__assignee"),
    ({"assignee": [{"type": "user"}]}, "invalid_input", "filters__assignee"),
    ({"assignee": ["user:1,unassigned"]}, "invalid_input", "filters__assignee"),
    ({"assignee": [{"type": "user", "id": "1"}]}, "invalid_input", "filters__assignee"),
    ({"assignee": [{"type": "role", "id": 1}]}, "invalid_input", "filters__assignee"),
    ({"status": ["new,open"]}, "invalid_input", "filters__status"),
    ({"sorting": {"columnKey": "-created_at", "order": 1}}, "invalid_input", "filters__sorting"),
    ({"tags": "urgent"}, "invalid_input", "filters__tags"),
    ({"tagsMatch": "some"}, "invalid_input", "filters__tagsMatch"),
    ({"dateFrom": 7}, "invalid_input", "filters__dateFrom"),
    ({"search": "x" * 201}, "max_length", "filters__search"),
    ({"snoozed": "yes"}, "invalid_input", "filters__snoozed"),
    ({"unread": 1}, "invalid_input", "filters__unread"),
    ({"sorting": "created_at"}, "invalid_input", "filters__sorting"),
    ({"sorting": {"columnKey": "created_at", "order": 2}}, "invalid_input", "filters__sorting"),
    ({"sorting": {"columnKey": "mood", "order": 1}}, "invalid_choice", "filters__sorting"),
]


@pytest.mark.parametrize(("filters", "code", "attr"), BAD_FILTERS)
def test_a_filter_that_the_list_refuses_is_not_kept(
    writer: ApiClient, views_url: str, filters: Any, code: str, attr: str
) -> None:
    assert _failure(writer.post(views_url, {"name": "Bad", "filters": filters})) == (
        400,
        code,
        attr,
    )
    assert writer.get(views_url).json()["count"] == 0


@pytest.mark.parametrize("key", ["dateFrom", "dateTo"])
def test_a_date_that_means_nothing_is_refused(writer: ApiClient, views_url: str, key: str) -> None:
    response = writer.post(views_url, {"name": "Bad", "filters": {key: "yesterdayish"}})

    assert (response.status_code, response.json()["attr"]) == (400, f"filters__{key}")


def test_a_view_is_renamed_and_keeps_its_filters(writer: ApiClient, views_url: str) -> None:
    view = writer.post(views_url, {"name": "Old", "filters": {"unread": True}}).json()

    changed = writer.patch(f"{views_url}/{view['short_id']}", {"name": "New"}).json()

    assert changed == {**view, "name": "New"}


@pytest.mark.parametrize("filters", [{"search": ""}, {"status": []}, {"dateFrom": None}])
def test_an_empty_control_is_no_filter(
    writer: ApiClient, views_url: str, tickets_url: str, make_ticket: MakeTicket, filters: Any
) -> None:
    number = make_ticket()["ticket_number"]

    assert _numbers(writer, tickets_url, _view(writer, views_url, filters)) == [number]


def test_a_view_may_be_sent_back_by_who_could_not_have_made_it(
    agent: ApiClient, writer: ApiClient, views_url: str
) -> None:
    view = agent.post(views_url, {"name": "Mine", "filters": {"assignee": ["me"]}}).json()

    answer = writer.patch(f"{views_url}/{view['short_id']}", {**view, "name": "Ours"})

    assert answer.json() == {**view, "name": "Ours"}


def test_a_deleted_view_is_gone(writer: ApiClient, views_url: str) -> None:
    url = f"{views_url}/{writer.post(views_url, {'name': 'Old'}).json()['short_id']}"

    assert writer.delete(url).status_code == 204
    assert writer.get(url).status_code == 404


@pytest.mark.parametrize("short_id", ["nothing", "%00", "a" * 500, "-"])
def test_an_unknown_view_is_a_404(writer: ApiClient, views_url: str, short_id: str) -> None:
    assert writer.get(f"{views_url}/{short_id}").status_code == 404


def test_views_of_a_neighbour_are_not_seen(
    writer: ApiClient, views_url: str, neighbour: Project, client_for: ClientFor
) -> None:
    theirs = f"/api/projects/{neighbour.pk}/conversations/views"
    view = client_for(neighbour, "ticket:write").post(theirs, {"name": "Theirs"}).json()

    assert writer.get(views_url).json()["count"] == 0
    assert writer.get(f"{views_url}/{view['short_id']}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_changing_views_needs_the_write_scope(
    reader: ApiClient, writer: ApiClient, views_url: str, method: str
) -> None:
    view = writer.post(views_url, {"name": "Mine"}).json()
    url = views_url if method == "POST" else f"{views_url}/{view['short_id']}"

    assert reader.request(method, url, {"name": "Yours"}).status_code == 403
    assert reader.get(views_url).status_code == 200


def test_a_view_says_which_agent_made_it(
    agent: ApiClient, agent_user: User, views_url: str
) -> None:
    made = agent.post(views_url, {"name": "Mine"})

    assert made.json()["created_by"]["email"] == agent_user.email


# --- The list ----------------------------------------------------------------


def test_the_list_applies_a_view(
    writer: ApiClient, views_url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    wanted = make_ticket(status="open", tags=["urgent", "vip"])
    make_ticket(status="open", tags=["urgent"])
    make_ticket(status="resolved", tags=["urgent", "vip"])
    filters = {"status": ["open"], "tags": ["urgent", "vip"], "tagsMatch": "all"}

    assert _numbers(writer, tickets_url, _view(writer, views_url, filters)) == [
        wanted["ticket_number"]
    ]


def test_a_view_sorts(
    writer: ApiClient, views_url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    numbers = [make_ticket()["ticket_number"] for _ in range(3)]
    view = _view(writer, views_url, {"sorting": {"columnKey": "ticket_number", "order": 1}})

    assert _numbers(writer, tickets_url, view) == numbers


def test_explicit_parameters_override_the_view(
    writer: ApiClient, views_url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket(status="open", tags=["a"])
    pending = make_ticket(status="pending", tags=["a"])
    view = _view(writer, views_url, {"status": ["open"], "tags": ["a"]})

    assert _numbers(writer, tickets_url, view, status="pending") == [pending["ticket_number"]]


def test_explicit_tags_override_the_views_tags_however_they_match(
    writer: ApiClient, views_url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(tags=["b"])
    view = _view(writer, views_url, {"tags": ["a", "c"], "tagsMatch": "all"})

    assert _numbers(writer, tickets_url, view, tags="b") == [ticket["ticket_number"]]


def test_an_unknown_view_is_a_400(writer: ApiClient, tickets_url: str) -> None:
    assert _failure(writer.get(tickets_url, view="nothing")) == (400, "does_not_exist", "view")


def test_a_neighbours_view_is_unknown(
    writer: ApiClient, tickets_url: str, neighbour: Project, client_for: ClientFor
) -> None:
    theirs = f"/api/projects/{neighbour.pk}/conversations/views"
    view = _view(client_for(neighbour, "ticket:write"), theirs, {})

    assert _failure(writer.get(tickets_url, view=view))[2] == "view"


def test_the_links_of_a_list_keep_the_view(
    writer: ApiClient, views_url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    for status in ("open", "new", "open"):
        make_ticket(status=status)
    view = _view(writer, views_url, {"status": ["open"]})

    first = writer.get(tickets_url, view=view, limit=1).json()
    second = writer.get(first["next"].removeprefix("http://testserver")).json()

    assert (first["count"], second["count"], second["next"]) == (2, 2, None)
    assert second["results"][0]["status"] == "open"


def test_a_cursor_of_a_view_that_was_changed_is_refused(
    writer: ApiClient, views_url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    for _ in range(2):
        make_ticket()
    view = _view(writer, views_url, {})
    page = writer.get(tickets_url, view=view, limit=1).json()

    writer.patch(f"{views_url}/{view}", {"filters": {"status": ["open"]}})

    assert _failure(writer.get(page["next"].removeprefix("http://testserver")))[2] == "cursor"


def test_a_view_of_my_tickets_is_each_agents_own(
    agent: ApiClient, agent_user: User, project: Project, views_url: str, tickets_url: str
) -> None:
    mine = {"assignee": {"type": "user", "id": agent_user.pk}}
    number = agent.post(tickets_url, mine).json()["ticket_number"]
    agent.post(tickets_url)
    view = _view(agent, views_url, {"assignee": ["me"]})

    assert _numbers(agent, tickets_url, view) == [number]


@pytest.fixture
def agent_user(project: Project) -> User:
    user = User.objects.create_user(f"agent-{project.pk}@example.com", "x")
    Membership.objects.create(project=project, user=user)
    return user


@pytest.fixture
def agent(agent_user: User) -> ApiClient:
    """A signed-in agent of the project."""
    client = ApiClient()
    client.client.force_login(agent_user)
    return client


def _view(api: ApiClient, url: str, filters: dict[str, Any]) -> str:
    made = api.post(url, {"name": "View", "filters": filters})
    assert made.status_code == 201, made.content
    return str(made.json()["short_id"])


def _numbers(api: ApiClient, url: str, view: str, **query: str) -> list[int]:
    response = api.get(url, view=view, **query)
    assert response.status_code == 200, response.content
    return [ticket["ticket_number"] for ticket in response.json()["results"]]


def _failure(response: Any) -> tuple[int, str, str]:
    return response.status_code, response.json()["code"], response.json()["attr"]
