"""Who may do what: every route, every kind of caller."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, path
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.models import Ticket
from projects.models import SCOPES, Project
from projects.permissions import MayActOnProject
from projects.views import ProjectEndpoint
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.refusals import refusal
from tests.routes import with_routes

NOBODY = "01990a3c-6f3e-7c52-9d1b-4b8f6f0f2a11"
# Method, path below …/tickets, body, scope, status for who may.
ACTIONS: list[tuple[str, str, Any, str, int]] = [
    ("GET", "", None, "ticket:read", 200),
    ("HEAD", "", None, "ticket:read", 200),
    ("POST", "", {}, "ticket:write", 201),
    ("GET", "/1", None, "ticket:read", 200),
    ("HEAD", "/1", None, "ticket:read", 200),
    ("PATCH", "/1", {}, "ticket:write", 200),
    ("PUT", "/1", {}, "ticket:write", 200),
    ("DELETE", "/1", None, "ticket:write", 204),
    ("GET", "/unread_count", None, "ticket:read", 200),
    ("HEAD", "/unread_count", None, "ticket:read", 200),
    ("POST", "/1/mark_unread", None, "ticket:write", 200),
    ("GET", "/1/messages", None, "ticket:read", 200),
    ("HEAD", "/1/messages", None, "ticket:read", 200),
    ("POST", "/1/messages", {"content": "Hi"}, "ticket:write", 201),
    ("POST", "/1/reply", {"message": "Hi"}, "ticket:write", 201),
    ("POST", "/bulk_update_status", {"ids": [NOBODY], "status": "open"}, "ticket:write", 200),
    (
        "POST",
        "/bulk_update_tags",
        {"ids": [NOBODY], "action": "add", "tags": ["a"]},
        "ticket:write",
        200,
    ),
    ("POST", "/bulk_assign", {"ids": [NOBODY], "assignee": None}, "ticket:write", 200),
    ("GET", "/1/activity", None, "ticket:read", 200),
    ("HEAD", "/1/activity", None, "ticket:read", 200),
    # Who may is told that there is no such message, or macro.
    ("PATCH", f"/1/messages/{NOBODY}", {}, "ticket:write", 404),
    ("DELETE", f"/1/messages/{NOBODY}", None, "ticket:write", 404),
    ("PATCH", f"/1/notes/{NOBODY}", {}, "ticket:write", 404),
    ("DELETE", f"/1/notes/{NOBODY}", None, "ticket:write", 404),
    ("POST", "/1/apply_macro", {"macro": "none"}, "ticket:write", 400),
]
each_action = pytest.mark.parametrize(
    ("method", "below", "body", "scope", "status"),
    ACTIONS,
    ids=[f"{method} {below}" for method, below, *_ in ACTIONS],
)


@each_action
def test_a_key_needs_the_scope_of_the_action(
    client_for: ClientFor,
    project: Project,
    make_ticket: MakeTicket,
    tickets_url: str,
    method: str,
    below: str,
    body: Any,
    scope: str,
    status: int,
) -> None:
    make_ticket()
    enough = {scope, "*", scope.replace("read", "write")}

    for other in [scope for scope in SCOPES if scope not in enough]:
        response = client_for(project, other).request(method, tickets_url + below, body)
        assert response.status_code == 403
        if method != "HEAD":
            assert refusal(response) == (403, "permission_denied", None)
            assert response.json()["type"] == "authentication_error"
            assert response.json()["detail"] == f"API key missing required scope '{scope}'"


@each_action
@pytest.mark.parametrize("key", ["scope", "write", "*", "many"])
def test_a_key_with_the_scope_is_served(
    client_for: ClientFor,
    project: Project,
    make_ticket: MakeTicket,
    tickets_url: str,
    key: str,
    method: str,
    below: str,
    body: Any,
    scope: str,
    status: int,
) -> None:
    make_ticket()
    scopes = {
        "scope": [scope],
        "write": [scope.replace("read", "write")],
        "*": ["*"],
        "many": ["person:read", scope],
    }

    response = client_for(project, *scopes[key]).request(method, tickets_url + below, body)

    assert response.status_code == status


@each_action
def test_a_key_of_another_project_is_refused_everywhere(
    client_for: ClientFor,
    neighbour: Project,
    make_ticket: MakeTicket,
    tickets_url: str,
    method: str,
    below: str,
    body: Any,
    scope: str,
    status: int,
) -> None:
    ticket = make_ticket(message="Hi")
    stranger = client_for(neighbour, "*")

    response = stranger.request(method, tickets_url + below, body)

    assert response.status_code == 403
    stored = Ticket.objects.get(pk=ticket["id"])
    assert (stored.unread_team_count, stored.message_count, stored.last_seq) == (1, 1, 1)


@each_action
def test_nobody_is_served_without_credentials(
    make_ticket: MakeTicket,
    tickets_url: str,
    method: str,
    below: str,
    body: Any,
    scope: str,
    status: int,
) -> None:
    make_ticket()

    assert ApiClient().request(method, tickets_url + below, body).status_code == 401


def test_a_project_that_does_not_exist_is_refused_like_a_foreign_one(
    client_for: ClientFor, project: Project, neighbour: Project
) -> None:
    client = client_for(project, "*")
    named = [neighbour.pk, 2**40, 0, f"0{project.pk}", "nonsense", "@other", "%00", "-1"]

    answers = {
        client.request(
            "GET", f"/api/projects/{name}/conversations/tickets", x_request_id="same"
        ).content
        for name in named
    }

    assert len(answers) == 1
    response = client.get(f"/api/projects/{neighbour.pk}/conversations/tickets")
    assert refusal(response) == (403, "permission_denied", None)


def test_the_project_is_checked_before_the_scope(
    client_for: ClientFor, project: Project, neighbour: Project
) -> None:
    response = client_for(project, "person:read").get(
        f"/api/projects/{neighbour.pk}/conversations/tickets"
    )

    assert response.json()["detail"] == "You do not have access to this project."


def test_a_key_without_any_scope_is_refused(
    client_for: ClientFor, project: Project, tickets_url: str
) -> None:
    assert refusal(client_for(project).get(tickets_url))[0] == 403


# --- No default ---


def endpoints() -> Iterator[tuple[str, type[Any], dict[str, str]]]:
    """Every route below /api/projects/, with its view class and its methods' actions."""

    def walk(patterns: list[Any], before: str) -> Iterator[tuple[str, Any]]:
        for pattern in patterns:
            route = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif isinstance(pattern, URLPattern):
                yield route, pattern.callback

    for route, view in walk(get_resolver().url_patterns, ""):
        if route.startswith("api/projects/"):
            yield route, view.cls, view.actions


def test_every_action_of_every_route_declares_a_scope_that_exists() -> None:
    walked = 0
    for route, view_class, actions in endpoints():
        assert issubclass(view_class, ProjectEndpoint), route
        assert view_class.permission_classes == [MayActOnProject], route
        for action in actions.values():
            assert view_class.required_scopes.get(action) in SCOPES, f"{route} {action}"
            walked += 1
    assert walked >= len([action for action in ACTIONS if action[0] != "HEAD"])


def test_a_read_scope_is_enough_for_no_write() -> None:
    for route, view_class, actions in endpoints():
        for method, action in actions.items():
            verb = view_class.required_scopes[action].split(":")[1]
            assert verb == ("read" if method in ("get", "head") else "write"), route


def test_the_table_has_every_method_of_every_route(tickets_url: str) -> None:
    prefix = "api/projects/<str:project_id>/conversations/tickets"
    routed = {
        (
            method.upper(),
            route.removeprefix(prefix).replace("<str:id>", "1").replace("<str:message_id>", NOBODY),
        )
        for route, _, actions in endpoints()
        # A view learns that it answers HEAD where it answers GET when it is first called.
        for method in {*actions, *(["head"] if "get" in actions else [])}
        if route.startswith(prefix)
    }

    assert routed == {(method, below) for method, below, *_ in ACTIONS}


class Undeclared(ProjectEndpoint):
    def list(self, request: Request) -> Response:
        return Response("never seen")


@pytest.mark.parametrize("scopes", [["*"], list(SCOPES)])
def test_an_action_without_a_declared_scope_is_refused_to_every_key(
    client_for: ClientFor, project: Project, settings: Any, scopes: list[str]
) -> None:
    view = Undeclared.as_view({"get": "list"})
    settings.ROOT_URLCONF = with_routes(path("api/projects/<str:project_id>/undeclared", view))

    response = client_for(project, *scopes).get("/api/projects/@current/undeclared")

    assert refusal(response) == (403, "permission_denied", None)
