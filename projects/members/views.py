"""Whom the tickets of a project can be assigned to, over HTTP: its agents, and their roles."""

from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from projects.members.serializers import MemberSerializer, RoleSerializer
from projects.models import Membership, Role, User
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
            User.objects.filter(memberships__project_id=self.project_id),
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
            adding=self.with_member_ids,
        )
        rows: Any = page.rows
        return Response(
            page.body(
                [{"id": role.pk, "name": role.name, "members": role.member_ids} for role in rows]
            )
        )

    def with_member_ids(self, roles: QuerySet[Role]) -> QuerySet[Role]:
        """Who has left the project is still in the role, for the day they come back."""
        members = (
            Membership.objects.filter(project_id=self.project_id, user__roles=OuterRef("pk"))
            .order_by("user_id")
            .values("user_id")
        )
        return roles.annotate(member_ids=ArraySubquery(members))
