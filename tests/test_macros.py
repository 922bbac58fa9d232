"""Macros: kept, validated like the ticket they change, and applied in one go."""

from typing import Any

import pytest

from projects.models import Membership, Project, Role, User
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.test_views import _failure


@pytest.fixture(params=["macros", "quick_actions"])
def macros_url(project: Project, request: pytest.FixtureRequest) -> str:
    return f"/api/projects/{project.pk}/conversations/{request.param}"


SENT = {
    "name": "Sent",
    "content": "Your order left us today.",
    "rich_content": {"type": "doc"},
    "actions": {"status": "pending", "priority": "low", "tags": ["delivery"]},
}


def test_a_macro_comes_back_as_it_was_sent(writer: ApiClient, macros_url: str) -> None:
    made = writer.post(macros_url, SENT)

    assert made.status_code == 201
    assert {name: made.json()[name] for name in SENT} == SENT
    assert writer.get(f"{macros_url}/{made.json()['short_id']}").json() == made.json()
    assert writer.get(macros_url).json()["results"] == [made.json()]


def test_macros_and_quick_actions_are_the_same(writer: ApiClient, project: Project) -> None:
    base = f"/api/projects/{project.pk}/conversations"
    made = writer.post(f"{base}/macros", SENT).json()

    assert writer.get(f"{base}/quick_actions/{made['short_id']}").json() == made


def test_a_macro_may_be_empty_but_for_its_name(writer: ApiClient, macros_url: str) -> None:
    made = writer.post(macros_url, {"name": "Nothing"}).json()

    assert (made["content"], made["rich_content"], made["actions"]) == ("", None, {})


BAD_MACROS: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "blank", "name"),
    ({"name": "x" * 201}, "max_length", "name"),
    ({"content": "x" * 10_001}, "max_length", "content"),
    ({"content": 1}, "invalid_input", "content"),
    ({"rich_content": "x" * 100_001}, "max_length", "rich_content"),
    ({"actions": []}, "invalid_input", "actions"),
    ({"actions": {"mood": "good"}}, "unknown_field", "actions__mood"),
    ({"actions": {"status": "opne"}}, "invalid_choice", "actions__status"),
    ({"actions": {"priority": "huge"}}, "invalid_choice", "actions__priority"),
    ({"actions": {"tags": "urgent"}}, "not_a_list", "actions__tags"),
    ({"actions": {"assignee": {"type": "user", "id": 0}}}, "invalid_input", "actions__assignee"),
    ({"filters": {}}, "unknown_field", "filters"),
]


@pytest.mark.parametrize(("change", "code", "attr"), BAD_MACROS)
def test_what_a_ticket_would_refuse_is_not_kept(
    writer: ApiClient, macros_url: str, change: dict[str, Any], code: str, attr: str
) -> None:
    assert _failure(writer.post(macros_url, {**SENT, **change})) == (400, code, attr)
    assert writer.get(macros_url).json()["count"] == 0


def test_a_macro_is_changed_and_deleted(writer: ApiClient, macros_url: str) -> None:
    macro = writer.post(macros_url, SENT).json()
    url = f"{macros_url}/{macro['short_id']}"

    assert writer.patch(url, {"content": "Sent."}).json() == {**macro, "content": "Sent."}
    assert writer.delete(url).status_code == 204
    assert writer.get(url).status_code == 404


def test_a_macro_may_be_sent_back_though_its_role_is_gone(
    writer: ApiClient, project: Project, macros_url: str
) -> None:
    role = Role.objects.create(project=project, name="Tier 2")
    actions = {"assignee": {"type": "role", "id": str(role.pk)}}
    macro = writer.post(macros_url, {"name": "Pass on", "actions": actions}).json()
    role.delete()

    assert writer.patch(f"{macros_url}/{macro['short_id']}", macro).json() == macro


# --- Applying ----------------------------------------------------------------


@pytest.fixture
def ticket_url(make_ticket: MakeTicket, tickets_url: str) -> str:
    return f"{tickets_url}/{make_ticket(message='Where is it?', tags=['vip'])['id']}"


def test_applying_answers_and_changes_the_ticket(
    writer: ApiClient, macros_url: str, ticket_url: str
) -> None:
    macro = writer.post(macros_url, SENT).json()

    applied = writer.post(f"{ticket_url}/apply_macro", {"macro": macro["short_id"]})

    ticket = applied.json()
    assert applied.status_code == 200
    assert (ticket["status"], ticket["priority"]) == ("pending", "low")
    assert (ticket["message_count"], ticket["unread_customer_count"]) == (2, 1)
    last = writer.get(f"{ticket_url}/messages").json()["results"][-1]
    assert (last["content"], last["rich_content"]) == (SENT["content"], SENT["rich_content"])


def test_applying_adds_tags_to_those_that_are_there(
    writer: ApiClient, macros_url: str, ticket_url: str
) -> None:
    macro = writer.post(macros_url, SENT).json()

    applied = writer.post(f"{ticket_url}/apply_macro", {"macro": macro["short_id"]}).json()

    assert applied["tags"] == ["delivery", "vip"]


def test_without_content_nothing_is_said(
    writer: ApiClient, macros_url: str, ticket_url: str
) -> None:
    macro = writer.post(macros_url, {"name": "Close", "actions": {"status": "resolved"}}).json()

    applied = writer.post(f"{ticket_url}/apply_macro", {"macro": macro["short_id"]}).json()

    assert (applied["status"], applied["message_count"]) == ("resolved", 1)


def test_a_role_is_assigned(
    writer: ApiClient, project: Project, macros_url: str, ticket_url: str
) -> None:
    role = Role.objects.create(project=project, name="Tier 2")
    assignee = {"type": "role", "id": str(role.pk)}
    macro = writer.post(macros_url, {"name": "Pass on", "actions": {"assignee": assignee}}).json()

    applied = writer.post(f"{ticket_url}/apply_macro", {"macro": macro["short_id"]}).json()

    assert applied["assignee"]["role"] == {"name": "Tier 2"}


def test_a_macro_whose_assignee_has_gone_changes_nothing(
    writer: ApiClient, project: Project, macros_url: str, ticket_url: str
) -> None:
    user = User.objects.create_user(f"gone-{project.pk}@example.com", "x")
    membership = Membership.objects.create(project=project, user=user)
    actions = {"status": "pending", "assignee": {"type": "user", "id": user.pk}}
    macro = writer.post(macros_url, {**SENT, "actions": actions}).json()
    before = writer.get(ticket_url, mark_read="false").json()
    membership.delete()

    response = writer.post(f"{ticket_url}/apply_macro", {"macro": macro["short_id"]})

    assert _failure(response) == (400, "invalid_input", "macro__assignee")
    assert writer.get(ticket_url, mark_read="false").json() == before


def test_a_ticket_that_would_get_too_many_tags_is_left_alone(
    writer: ApiClient, macros_url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(tags=[f"tag {number}" for number in range(100)])
    url = f"{tickets_url}/{ticket['id']}"
    macro = writer.post(macros_url, SENT).json()

    response = writer.post(f"{url}/apply_macro", {"macro": macro["short_id"]})

    assert _failure(response)[::2] == (400, "macro")
    assert writer.get(url).json() == ticket


@pytest.mark.parametrize(
    "body", [{}, {"macro": None}, {"macro": 1}, {"macro": "nothing"}, {"x": 1}]
)
def test_an_unknown_macro_is_a_400(writer: ApiClient, ticket_url: str, body: Any) -> None:
    response = writer.post(f"{ticket_url}/apply_macro", body)

    assert (response.status_code, response.json()["type"]) == (400, "validation_error")


def test_a_neighbours_macro_is_unknown(
    writer: ApiClient, ticket_url: str, neighbour: Project, client_for: ClientFor
) -> None:
    theirs = f"/api/projects/{neighbour.pk}/conversations/macros"
    macro = client_for(neighbour, "ticket:write").post(theirs, SENT).json()

    response = writer.post(f"{ticket_url}/apply_macro", {"macro": macro["short_id"]})

    assert _failure(response) == (400, "does_not_exist", "macro")


def test_applying_needs_the_write_scope(reader: ApiClient, ticket_url: str) -> None:
    assert reader.post(f"{ticket_url}/apply_macro", {"macro": "x"}).status_code == 403


def test_applying_to_a_resolved_ticket_leaves_the_unread_count_right(
    writer: ApiClient, macros_url: str, ticket_url: str, unread_count_url: str
) -> None:
    close = writer.post(macros_url, {"name": "Close", "actions": {"status": "resolved"}}).json()
    assert writer.get(unread_count_url).json() == {"count": 1}

    writer.post(f"{ticket_url}/apply_macro", {"macro": close["short_id"]})

    assert writer.get(unread_count_url).json() == {"count": 0}
