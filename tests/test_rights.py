"""Who may do what. What each route answers to whom, tests/test_isolation.py tries."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response

from projects.models import SCOPES, Project
from projects.permissions import MayActOnProject
from projects.views import ProjectEndpoint
from tests.conftest import ClientFor
from tests.isolation import Route, project_routes
from tests.refusals import refusal
from tests.routes import with_routes


@pytest.mark.parametrize(
    "scopes", [["ticket:read"], ["ticket:write"], ["*"], ["person:read", "ticket:read"]]
)
def test_a_key_with_the_scope_or_more_is_served(
    client_for: ClientFor, project: Project, tickets_url: str, scopes: list[str]
) -> None:
    """With exactly the scope, tests/test_isolation.py tries every route."""
    assert client_for(project, *scopes).get(tickets_url).status_code == 200


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


def actions() -> Iterator[tuple[Route, str, str]]:
    """Every route of a project, with its methods and their actions."""
    for route in project_routes():
        for method, action in route.view.actions.items():
            yield route, method, action


def test_every_route_of_a_project_is_an_endpoint_with_its_checks() -> None:
    for route in project_routes():
        view = getattr(route.view, "cls", None)
        assert view is not None, f"{route.path} is a plain view, which nothing checks."
        assert issubclass(view, ProjectEndpoint), route
        assert view.permission_classes == [MayActOnProject], route


def test_every_action_of_every_route_declares_a_scope_that_exists() -> None:
    for route, _, action in actions():
        view = route.view.cls
        assert view.required_scopes.get(action) in SCOPES, f"{route} {action}"
        assert view.further_scopes.get(action, "*") in SCOPES, f"{route} {action}"


def test_a_read_scope_is_enough_for_no_write() -> None:
    for route, method, action in actions():
        verb = route.view.cls.required_scopes[action].split(":")[1]
        assert verb == ("read" if method in ("get", "head") else "write"), route


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
