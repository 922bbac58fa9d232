"""The agents of a project, and its roles with theirs."""

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet

from projects.models import Membership, Role, User


def members_of(project_id: int) -> QuerySet[User]:
    return User.objects.filter(memberships__project_id=project_id)


def with_member_ids(project_id: int, roles: QuerySet[Role]) -> QuerySet[Role]:
    """Who has left the project is still in the role, for the day they come back."""
    members = (
        Membership.objects.filter(project_id=project_id, user__roles=OuterRef("pk"))
        .order_by("user_id")
        .values("user_id")
    )
    return roles.annotate(member_ids=ArraySubquery(members))
