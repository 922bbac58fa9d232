"""Whatever happens in whatever order, the counts are what a recount gives."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from conversations.messages.counters import comparisons
from conversations.models import Status, Ticket
from conversations.tickets.totals import wrong_totals
from projects.models import ApiKey, Project
from tests.api import ApiClient
from tests.conftest import tickets_url_of
from tests.recount import recount, unread_by_customer, unread_by_team

BELOW = st.sampled_from(["messages", "notes"])
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

    @rule(ticket=tickets, data=st.data(), below=BELOW)
    def delete_message(self, ticket: str, data: Any, below: str) -> None:
        if message := self._any_message(ticket, data):
            self._ok(self.api.delete(f"{self.url}/{ticket}/{below}/{message['id']}"))

    @rule(ticket=tickets, data=st.data(), below=BELOW, name=st.sampled_from(["content", "message"]))
    def edit_message(self, ticket: str, data: Any, below: str, name: str) -> None:
        if message := self._any_message(ticket, data):
            text = data.draw(st.sampled_from(["Hi", "Hello", "x" * 600]))
            url = f"{self.url}/{ticket}/{below}/{message['id']}"
            response = self.api.patch(url, {name: text})
            refused = message["author_type"] == "customer" and message["content"] != text
            assert response.status_code == (400 if refused else 200)

    @rule(chosen=st.lists(tickets, min_size=1, max_size=4), status=STATUSES)
    def bulk_set_status(self, chosen: list[str], status: str) -> None:
        self._ok(self.api.post(f"{self.url}/bulk_update_status", {"ids": chosen, "status": status}))

    @rule(
        chosen=st.lists(tickets, min_size=1, max_size=4),
        action=st.sampled_from(["add", "remove", "set"]),
        tags=st.lists(st.sampled_from(["a", "b", "c"]), max_size=2),
    )
    def bulk_tag(self, chosen: list[str], action: str, tags: list[str]) -> None:
        body = {"ids": chosen, "action": action, "tags": tags}
        self._ok(self.api.post(f"{self.url}/bulk_update_tags", body))

    @rule(chosen=st.lists(tickets, min_size=1, max_size=4))
    def bulk_assign(self, chosen: list[str]) -> None:
        self._ok(self.api.post(f"{self.url}/bulk_assign", {"ids": chosen, "assignee": None}))

    @rule(ticket=tickets)
    def the_customer_reads(self, ticket: str) -> None:
        row = Ticket.objects.get(pk=ticket)
        row.customer_read_seq, row.unread_customer_count = row.last_seq, 0
        row.save(update_fields=["customer_read_seq", "unread_customer_count"])

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
            assert ticket.last_message_text == (last and last.content[:500])

    @invariant()
    def the_check_of_the_counters_finds_nothing_wrong(self) -> None:
        for batch in comparisons(project_id=self.project.pk, batch_size=3):
            assert [one for one in batch if one.differing] == []
        assert wrong_totals(self.project.pk) == []

    def _any_message(self, ticket: str, data: Any) -> Any:
        messages = self._ok(self.api.get(f"{self.url}/{ticket}/messages")).json()["results"]
        return data.draw(st.sampled_from(messages)) if messages else None

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
