"""The routes /api/projects/{project_id}/members and /roles."""

from django.urls import path

from projects.members.views import MemberViewSet, RoleViewSet

urlpatterns = [
    path("members", MemberViewSet.as_view({"get": "list"}), name="member-list"),
    path("roles", RoleViewSet.as_view({"get": "list"}), name="role-list"),
]
