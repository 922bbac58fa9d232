"""What every endpoint of a project has in common."""

from typing import Any

from rest.views import Endpoint


class ProjectEndpoint(Endpoint):
    """An endpoint under /api/projects/{project_id}/.

    `required_scopes` names the scope of each action, and `further_scopes` the second one of
    those that need two; see `MayActOnProject`.
    """

    required_scopes: dict[str, str] = {}
    further_scopes: dict[str, str] = {}
    project_id: int
    cached: dict[str, bytes | None]

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.cached = {}
        return super().initialize_request(request, *args, **kwargs)

    def cached_with_key(self) -> list[str]:
        """Cache keys whose values the action needs: they come with the key's record,
        in the same round trip, and lie in `self.cached`."""
        return []
