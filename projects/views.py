"""What every endpoint of a project has in common."""

from typing import Any

from rest_framework.exceptions import Throttled
from rest_framework.request import Request

from projects.keys import KeyRecord
from rest.limits import Verdict
from rest.views import Endpoint


class ProjectEndpoint(Endpoint):
    """An endpoint under /api/projects/{project_id}/.

    `required_scopes` names the scope of each action, and `further_scopes` the second one of
    those that need two; see `MayActOnProject`.
    """

    is_repeatable = True
    is_limited = True
    required_scopes: dict[str, str] = {}
    further_scopes: dict[str, str] = {}
    project_id: int
    # Whether the API key may call now; an agent always may.
    verdict: Verdict

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.verdict = Verdict(0, {})
        return super().initialize_request(request, *args, **kwargs)

    def check_throttles(self, request: Request) -> None:
        if self.verdict.wait:
            raise Throttled(self.verdict.wait)

    def finalize_response(self, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(*args, **kwargs)
        for name, value in self.verdict.headers().items():
            response.headers[name] = value
        return response

    @property
    def cached(self) -> dict[str, bytes | None]:
        """What Redis had of `cached_with_key`."""
        return self.verdict.values

    def whose_idempotency_key(self) -> str:
        """The API key's, whose rotation keeps its id, or the agent's in this project."""
        if isinstance(self.request.auth, KeyRecord):
            return f"key:{self.request.auth.id}"
        return f"agent:{self.request.user.pk}:{self.project_id}"

    def cached_with_key(self) -> list[str]:
        """Cache keys whose values the action needs: they come with the key's record,
        in the same round trip, and lie in `self.cached`."""
        return []
