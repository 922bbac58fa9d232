"""The one place that decides whether a caller may act on a project."""

from typing import Any

from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from projects.keys import KeyRecord
from projects.models import Membership

NO_ACCESS = "You do not have access to this project."


class MayActOnProject(BasePermission):
    """A key needs its own project and the action's scope; an agent needs a membership.

    Sets `view.project_id`. A project that does not exist is refused like a
    foreign one, so that the two can not be told apart. An action without a
    declared scope is refused to everybody: there is no default. A method that
    the path does not have asks for no scope: it is a 405 a step later.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        named, api_key = view.kwargs["project_id"], request.auth
        if isinstance(api_key, KeyRecord):
            view.project_id = api_key.project_id
            if named not in ("@current", str(view.project_id)):
                raise PermissionDenied(NO_ACCESS)
        elif request.user is not None and request.user.is_authenticated:
            view.project_id = _project_of_agent(request.user.pk, named)
        else:
            raise NotAuthenticated()
        if view.action in view.action_map.values():
            _check_scope(request.auth, view.required_scopes.get(view.action))
            if view.action in view.further_scopes:
                _check_scope(request.auth, view.further_scopes[view.action])
        return True


def _project_of_agent(user_id: int, named: str) -> int:
    """The project that an agent's URL names; `@current` is their only one."""
    memberships = Membership.objects.filter(user_id=user_id).values_list("project_id", flat=True)
    if named == "@current":
        project_ids = list(memberships[:2])
    elif named.isascii() and named.isdecimal() and len(named) < 19:
        project_ids = list(memberships.filter(project_id=int(named)))
    else:
        project_ids = []
    if len(project_ids) != 1:
        raise PermissionDenied(NO_ACCESS)
    return project_ids[0]


def _check_scope(api_key: Any, scope: str | None) -> None:
    if scope is None:
        raise PermissionDenied("This action declares no scope.")
    if isinstance(api_key, KeyRecord) and not api_key.allows(scope):
        raise PermissionDenied(f"API key missing required scope '{scope}'")
