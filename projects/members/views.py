"""Whom the tickets of a project can be assigned to, over HTTP: its agents, and their roles."""

from functools import partial
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from projects.members.queries import members_of, with_member_ids
from projects.members.serializers import MemberSerializer, RoleSerializer
from projects.models import Role
from projects.views import ProjectEndpoint
from rest.fields import QueryParameters
from rest.pagination import Order, PageQuery, paginate
from rest.schema import page_of


class MemberViewSet(ProjectEndpoint):
    """The agents of a project, by email address."""

    required_scopes = {"list": "project:read"}
    query_serializers: dict[str, type[QueryParameters]] = {"list": PageQuery}

    @extend_schema(responses=page_of(MemberSerializer))
    def list(self, request: Request) -> Response:
        page = paginate(
            members_of(self.project_id),
            order=Order("email", unique=True),
            query=self.query,
            request=request,
            scope=f"members:{self.project_id}",
        )
        return Response(
            page.body(
                [
                    {"id": user.pk, "email": user.email, "name": user.display_name}
                    for user in page.rows
                ]
            )
        )


class RoleViewSet(ProjectEndpoint):
    """The roles of a project, by name."""

    required_scopes = {"list": "project:read"}
    query_serializers: dict[str, type[QueryParameters]] = {"list": PageQuery}

    @extend_schema(responses=page_of(RoleSerializer))
    def list(self, request: Request) -> Response:
        page = paginate(
            Role.objects.filter(project_id=self.project_id),
            order=Order("name", unique=True),
            query=self.query,
            request=request,
            scope=f"roles:{self.project_id}",
            adding=partial(with_member_ids, self.project_id),
        )
        rows: Any = page.rows
        return Response(
            page.body(
                [{"id": role.pk, "name": role.name, "members": role.member_ids} for role in rows]
            )
        )
