"""What saved views and macros have in common: kept by a project, known by a short id."""

from typing import Any, ClassVar

from django.db.models import Model
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.named.verbs import add_named, change_named
from projects.models import User
from projects.views import ProjectEndpoint
from rest.fields import QueryParameters, StrictObject
from rest.pagination import Order, PageQuery, paginate


class NamedViewSet(ProjectEndpoint):
    """List, create, retrieve, change and delete by `short_id`, the oldest first."""

    lookup_field = "short_id"
    lookup_value_converter = "str"
    model: ClassVar[Any]
    serializer_class: ClassVar[type[StrictObject]]
    required_scopes = {
        "list": "ticket:read",
        "create": "ticket:write",
        "retrieve": "ticket:read",
        "partial_update": "ticket:write",
        "destroy": "ticket:write",
    }
    query_serializers: dict[str, type[QueryParameters]] = {"list": PageQuery}
    named: Any

    def as_json(self, named: Any) -> dict[str, Any]:
        raise NotImplementedError

    def find(self) -> None:
        if "short_id" in self.kwargs:
            lock = self.request.method not in ("GET", "HEAD")
            self.named = find_named(self.model, self.project_id, self.kwargs["short_id"], lock=lock)

    def list(self, request: Request) -> Response:
        page = paginate(
            self.model.objects.filter(project_id=self.project_id),
            order=Order("created_at"),
            query=self.query,
            request=request,
            scope=f"{self.model._meta.model_name}:{self.project_id}",
            adding=lambda rows: rows.select_related("created_by"),
        )
        return Response(page.body([self.as_json(named) for named in page.rows]))

    def create(self, request: Request) -> Response:
        agent = request.user if isinstance(request.user, User) else None
        body = self.read_body(self.serializer_class)
        named = add_named(self.model, project_id=self.project_id, created_by=agent, **body)
        return Response(self.as_json(named), status=201)

    def retrieve(self, request: Request) -> Response:
        return Response(self.as_json(self.named))

    def partial_update(self, request: Request) -> Response:
        stored = self.as_json(self.named)
        change_named(self.named, **self.read_body(self.serializer_class, self.named, stored))
        return Response(self.as_json(self.named))

    def destroy(self, request: Request) -> Response:
        self.named.delete()
        return Response(status=204)


def find_named(model: Any, project_id: int, short_id: str, *, lock: bool = False) -> Any:
    """The project's view or macro; raises NotFound."""
    rows = model.objects.filter(project_id=project_id).select_related("created_by")
    if lock:
        rows = rows.select_for_update(of=("self",))
    # A NUL in the path can not be looked for in PostgreSQL, and names nothing.
    named: Model | None = rows.filter(short_id=short_id).first() if short_id.isalnum() else None
    if named is None:
        raise NotFound(f"There is no such {model._meta.verbose_name}.")
    return named
