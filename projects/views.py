"""What every endpoint of a project has in common."""

from typing import Any

from projects.keys import KeyRecord
from rest.views import Endpoint


class ProjectEndpoint(Endpoint):
    """An endpoint under /api/projects/{project_id}/.

    `required_scopes` names the scope of each action; see `MayActOnProject`.
    """

    is_repeatable = True
    required_scopes: dict[str, str] = {}
    project_id: int
    cached: dict[str, bytes | None]

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.cached = {}
        return super().initialize_request(request, *args, **kwargs)

    def whose_idempotency_key(self) -> str:
        """The API key's, whose rotation keeps its id, or the agent's in this project."""
        if isinstance(self.request.auth, KeyRecord):
            return f"key:{self.request.auth.id}"
        return f"agent:{self.request.user.pk}:{self.project_id}"

    def cached_with_key(self) -> list[str]:
        """Cache keys whose values the action needs: they come with the key's record,
        in the same round trip, and lie in `self.cached`."""
        return []
