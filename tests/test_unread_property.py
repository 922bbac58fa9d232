"""Whatever happens in whatever order, the counts are what a recount gives."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from conversations.models import Status, Ticket
from projects.models import ApiKey, Project
from tests.api import ApiClient
from tests.conftest import tickets_url_of
from tests.recount import recount, unread_by_customer, unread_by_team

STATUSES = st.sampled_from(Status.values)


class UnreadCounts(RuleBasedStateMachine):
    """A project whose tickets see every operation, with a reader who looks after each."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.project = Project.objects.create(name="Shop")
        _, key = ApiKey.issue(project=self.project, label="test", scopes=["ticket:write"])
        self.api = ApiClient(key)
        self.url = tickets_url_of(self.project)

    @rule(target=tickets, status=STATUSES, message=st.none() | st.just("Hi"))
    def create(self, status: str, message: str | None) -> Any:
        body = {"status": status} | ({"message": message} if message else {})
        return self._ok(self.api.post(self.url, body)).json()["id"]

    @rule(
        ticket=tickets,
        author_type=st.sampled_from(["customer", "customer", "support", "AI"]),
        is_private=st.booleans(),
    )
    def post(self, ticket: str, author_type: str, is_private: bool) -> None:
        # A note is the team's.
        is_private = is_private and author_type != "customer"
        body = {"content": "Hi", "author_type": author_type, "is_private": is_private}
        self._ok(self.api.post(f"{self.url}/{ticket}/messages", body))

    @rule(ticket=tickets)
    def read(self, ticket: str) -> None:
        assert self._ok(self.api.get(f"{self.url}/{ticket}")).json()["unread_team_count"] == 0

    @rule(ticket=tickets)
    def look(self, ticket: str) -> None:
        self._ok(self.api.get(f"{self.url}/{ticket}", mark_read="false"))

    @rule(ticket=tickets)
    def mark_unread(self, ticket: str) -> None:
        self._ok(self.api.post(f"{self.url}/{ticket}/mark_unread"))

    @rule(ticket=tickets, status=STATUSES)
    def set_status(self, ticket: str, status: str) -> None:
        self._ok(self.api.patch(f"{self.url}/{ticket}", {"status": status}))

    @rule(ticket=tickets, until=st.none() | st.just("2999-01-01T00:00:00Z"))
    def snooze(self, ticket: str, until: str | None) -> None:
        self._ok(self.api.patch(f"{self.url}/{ticket}", {"snoozed_until": until}))

    @rule(ticket=consumes(tickets))
    def delete(self, ticket: str) -> None:
        self._ok(self.api.delete(f"{self.url}/{ticket}"))

    @rule(enabled=st.booleans(), reopens=st.booleans())
    def set_up_project(self, enabled: bool, reopens: bool) -> None:
        self.project.conversations_enabled, self.project.reopen_on_reply = enabled, reopens
        self.project.save(update_fields=["conversations_enabled", "reopen_on_reply"])

    @invariant()
    def the_endpoint_says_what_a_recount_gives(self) -> None:
        expected = {"count": recount(self.project)}
        url = f"{self.url}/unread_count"
        # The first answer may be computed, the second is cached.
        assert [self._ok(self.api.get(url)).json() for _ in range(2)] == [expected] * 2

    @invariant()
    def each_ticket_says_what_a_recount_gives(self) -> None:
        for ticket in Ticket.objects.filter(project=self.project):
            public = ticket.messages.filter(deleted_at=None, is_private=False).order_by("seq")
            last = public.last()
            assert ticket.unread_team_count == unread_by_team(ticket)
            assert ticket.unread_customer_count == unread_by_customer(ticket)
            assert ticket.message_count == public.count()
            assert ticket.last_message_at == (last and last.created_at)

    def _ok(self, response: Any) -> Any:
        assert response.status_code < 300, response.content
        return response


TestUnreadCounts = UnreadCounts.TestCase
TestUnreadCounts.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
