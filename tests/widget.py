"""A customer's browser: what the widget sends, without the widget."""

import hashlib
import hmac
import itertools
import uuid
from typing import Any

from projects.models import Project
from tests.api import ApiClient

WIDGET = "/api/conversations/v1/widget"
_ADDRESSES = itertools.count()


class Browser(ApiClient):
    """Calls the widget API of a project with the credentials of one customer."""

    def __init__(self, project: Project, identity: str | None = None, **headers: str) -> None:
        headers.setdefault("x-conversations-token", project.public_token)
        super().__init__(None, **headers)
        # Another address each, since an hour of tests would use up that of all.
        number = next(_ADDRESSES)
        self.client.defaults["REMOTE_ADDR"] = f"198.18.{number // 250 % 250}.{number % 250 + 1}"
        self.session_id = str(uuid.uuid4())
        self.credentials: dict[str, Any] = {"widget_session_id": self.session_id}
        if identity is not None:
            self.credentials = {
                "identity_distinct_id": identity,
                "identity_hash": identity_hash(project, identity),
            }

    def send(self, text: str = "Hi", **fields: Any) -> Any:
        """The response to a message."""
        body = {"message": text, "distinct_id": "anonymous-1", **self.credentials, **fields}
        return self.post(f"{WIDGET}/message", body)

    def sent(self, text: str = "Hi", **fields: Any) -> Any:
        """The answer to a message that is taken."""
        response = self.send(text, **fields)
        assert response.status_code == 200, response.content
        return response.json()

    def poll(self, ticket_id: str, **query: Any) -> Any:
        return self.get(f"{WIDGET}/messages/{ticket_id}", **self.credentials, **query)

    def news(self, ticket_id: str, **query: Any) -> Any:
        """The answer to a poll that is allowed."""
        response = self.poll(ticket_id, **query)
        assert response.status_code == 200, response.content
        return response.json()

    def texts(self, ticket_id: str, **query: Any) -> list[str]:
        return [message["content"] for message in self.news(ticket_id, **query)["messages"]]

    def see(self, ticket_id: str) -> Any:
        return self.post(f"{WIDGET}/messages/{ticket_id}/read", self.credentials)

    def tickets(self, **query: Any) -> Any:
        return self.get(f"{WIDGET}/tickets", **self.credentials, **query)


def identity_hash(project: Project, distinct_id: str) -> str:
    """What the project's own server signs, as its documentation says."""
    return hmac.new(
        project.identity_secret.encode(), distinct_id.encode(), hashlib.sha256
    ).hexdigest()
