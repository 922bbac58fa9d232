"""The project itself over HTTP."""

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from projects.models import Project, to_be_changed
from projects.project.serializers import ProjectSerializer, project_json
from projects.views import ProjectEndpoint


class ProjectViewSet(ProjectEndpoint):
    """The project of the path."""

    required_scopes = {"retrieve": "project:read", "partial_update": "project:write"}
    project: Project

    def find(self) -> None:
        projects = Project.objects.filter(pk=self.project_id)
        if self.request.method == "PATCH":
            projects = to_be_changed(projects)
        project = projects.first()
        if project is None:
            raise NotFound("There is no such project.")
        self.project = project

    @extend_schema(operation_id="project_retrieve", tags=["project"], responses=ProjectSerializer)
    def retrieve(self, request: Request) -> Response:
        """The project's settings; its secrets are in no answer."""
        return Response(project_json(self.project))

    @extend_schema(
        operation_id="project_partial_update",
        tags=["project"],
        request=ProjectSerializer,
        responses=ProjectSerializer,
    )
    def partial_update(self, request: Request) -> Response:
        changes = self.read_body(ProjectSerializer, self.project)
        self.project.change(changes)
        return Response(project_json(self.project))
