"""The unread count: what it counts, and that every way to change it shows at once."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command

from conversations.models import Ticket
from conversations.tickets.verbs import wake_tickets
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of
from tests.recount import recount
from tests.widget import Browser


def test_a_customer_message_raises_it(
    writer: ApiClient,
    reader: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
) -> None:
    ticket = make_ticket()

    writer.post(f"{tickets_url}/{ticket['id']}/messages", CUSTOMER_MESSAGE)

    assert reader.get(unread_count_url).json() == {"count": 1}


def test_it_adds_up_the_unread_messages_of_all_tickets(
    reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket(message="One")
    make_ticket(message="Two")

    assert reader.get(unread_count_url).json() == {"count": 2}


def test_resolved_tickets_do_not_count(
    reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Thanks!", status="resolved")

    assert reader.get(unread_count_url).json() == {"count": 0}


def test_other_projects_do_not_count(
    reader: ApiClient, unread_count_url: str, neighbour: Project, client_for: ClientFor
) -> None:
    client_for(neighbour, "ticket:write").post(tickets_url_of(neighbour), {"message": "Hi"})

    assert reader.get(unread_count_url).json() == {"count": 0}


def test_it_is_zero_while_conversations_are_disabled(
    reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket, project: Project
) -> None:
    make_ticket(message="Hi")
    reader.get(unread_count_url)

    project.conversations_enabled = False
    project.save()

    assert reader.get(unread_count_url).json() == {"count": 0}


def test_the_sum_over_the_unread_filter_is_the_count(
    reader: ApiClient, tickets_url: str, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    for status in ("new", "open", "pending", "on_hold", "resolved"):
        make_ticket(message="Hi", status=status)

    unread = reader.get(tickets_url, unread="true", status="new,open,pending,on_hold").json()

    total = sum(ticket["unread_team_count"] for ticket in unread["results"])
    assert reader.get(unread_count_url).json() == {"count": total} == {"count": 4}


def test_current_names_the_project_of_the_key(reader: ApiClient, make_ticket: MakeTicket) -> None:
    make_ticket(message="Hi")
    url = "/api/projects/@current/conversations/tickets/unread_count"

    assert [reader.get(url).json() for _ in range(2)] == [{"count": 1}] * 2


# --- Every way to change it --------------------------------------------------

CUSTOMER_MESSAGE = {"author_type": "customer", "content": "Hi"}

# Each starts from a ticket with one unread message and a filled cache. A new way to
# change a ticket belongs here.
WAYS: dict[str, Callable[[ApiClient, str, Any], Any]] = {
    "create with a message": lambda api, url, _: api.post(url, {"message": "Hi"}),
    "create without a message": lambda api, url, _: api.post(url, {}),
    "customer message": lambda api, url, t: api.post(f"{url}/{t}/messages", CUSTOMER_MESSAGE),
    "team message": lambda api, url, t: api.post(f"{url}/{t}/messages", {"content": "Hi"}),
    "reply": lambda api, url, t: api.post(f"{url}/{t}/reply", {"message": "Hi"}),
    "private note": lambda api, url, t: api.post(
        f"{url}/{t}/reply", {"message": "Hm", "is_private": True}
    ),
    "read": lambda api, url, t: api.get(f"{url}/{t}"),
    "look": lambda api, url, t: api.get(f"{url}/{t}", mark_read="false"),
    "head": lambda api, url, t: api.head(f"{url}/{t}"),
    "mark unread": lambda api, url, t: api.post(f"{url}/{t}/mark_unread"),
    "read, then mark unread": lambda api, url, t: (
        api.get(f"{url}/{t}"),
        api.post(f"{url}/{t}/mark_unread"),
    ),
    "resolve": lambda api, url, t: api.patch(f"{url}/{t}", {"status": "resolved"}),
    "resolve by PUT": lambda api, url, t: api.put(f"{url}/{t}", {"status": "resolved"}),
    "resolve and open again": lambda api, url, t: (
        api.patch(f"{url}/{t}", {"status": "resolved"}),
        api.patch(f"{url}/{t}", {"status": "open"}),
    ),
    "resolve, and the customer writes again": lambda api, url, t: (
        api.patch(f"{url}/{t}", {"status": "resolved"}),
        api.post(f"{url}/{t}/messages", CUSTOMER_MESSAGE),
    ),
    "snooze": lambda api, url, t: api.patch(
        f"{url}/{t}", {"snoozed_until": "2999-01-01T00:00:00Z"}
    ),
    "delete": lambda api, url, t: api.delete(f"{url}/{t}"),
    "the widget's first message": lambda api, url, t: _browser_of(url).sent(),
    "the widget's next message": lambda api, url, t: _browser_that_wrote(url, t).sent(ticket_id=t),
    "the widget's next message to a resolved ticket": lambda api, url, t: (
        api.patch(f"{url}/{t}", {"status": "resolved"}),
        _browser_that_wrote(url, t).sent(ticket_id=t),
    ),
    "a repeated message of the widget": lambda api, url, t: _send_twice(url),
    "delete the customer's message": lambda api, url, t: _delete_message(api, url, t),
    "delete the customer's message after reading": lambda api, url, t: (
        api.get(f"{url}/{t}"),
        _delete_message(api, url, t),
    ),
    "mark unread, then delete the customer's message": lambda api, url, t: (
        api.post(f"{url}/{t}/mark_unread"),
        _delete_message(api, url, t),
    ),
    "delete a team message": lambda api, url, t: (
        api.post(f"{url}/{t}/reply", {"message": "Hi"}),
        _delete_message(api, url, t),
    ),
    "delete an AI message": lambda api, url, t: (
        api.post(f"{url}/{t}/messages", {"content": "Hi", "author_type": "AI"}),
        _delete_message(api, url, t),
    ),
    "delete a note": lambda api, url, t: (
        api.post(f"{url}/{t}/reply", {"message": "Hm", "is_private": True}),
        _delete_message(api, url, t, "notes"),
    ),
    "edit a team message": lambda api, url, t: (
        api.post(f"{url}/{t}/reply", {"message": "Hi"}),
        api.patch(_last_message(api, url, t), {"content": "Hello"}),
    ),
    "edit a note": lambda api, url, t: (
        api.post(f"{url}/{t}/reply", {"message": "Hm", "is_private": True}),
        api.patch(_last_message(api, url, t, "notes"), {"message": "Hmm"}),
    ),
    "refused edit of the customer's message": lambda api, url, t: api.patch(
        _last_message(api, url, t), {"content": "Hello"}
    ),
    "bulk resolve": lambda api, url, t: _bulk(api, url, t, "update_status", status="resolved"),
    "bulk resolve and open again": lambda api, url, t: (
        _bulk(api, url, t, "update_status", status="resolved"),
        _bulk(api, url, t, "update_status", status="open"),
    ),
    "refused bulk": lambda api, url, t: api.post(
        f"{url}/bulk_update_status", {"ids": [t, "x"], "status": "resolved"}
    ),
    "bulk tags": lambda api, url, t: _bulk(api, url, t, "update_tags", action="add", tags=["a"]),
    "bulk assign": lambda api, url, t: _bulk(api, url, t, "assign", assignee=None),
    "macro that resolves": lambda api, url, t: _apply_macro(api, url, t, status="resolved"),
    "macro that answers": lambda api, url, t: _apply_macro(api, url, t, content="Hello"),
    "snooze, and it ends": lambda api, url, t: (
        api.patch(f"{url}/{t}", {"snoozed_until": "2999-01-01T00:00:00Z"}),
        Ticket.objects.filter(pk=t).update(snoozed_until=datetime(2026, 1, 1, tzinfo=UTC)),
        wake_tickets(),
    ),
    "check_counters --repair": lambda api, url, t: (
        Ticket.objects.filter(pk=t).update(unread_team_count=7),
        call_command(
            "check_counters",
            "--repair",
            f"--project={Ticket.objects.get(pk=t).project_id}",
            stdout=io.StringIO(),
        ),
    ),
    "refused change": lambda api, url, t: api.patch(
        f"{url}/{t}", {"status": "resolved", "priority": "huge"}
    ),
    "model save": lambda api, url, t: _saved(Ticket.objects.get(pk=t), status="resolved"),
    "model delete": lambda api, url, t: Ticket.objects.get(pk=t).delete(),
    "queryset delete": lambda api, url, t: Ticket.objects.filter(pk=t).delete(),
    "conversations disabled": lambda api, url, t: _saved(
        Ticket.objects.get(pk=t).project, conversations_enabled=False
    ),
    "conversations disabled and enabled": lambda api, url, t: (
        _saved(Ticket.objects.get(pk=t).project, conversations_enabled=False),
        _saved(Ticket.objects.get(pk=t).project, conversations_enabled=True),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_it_is_right_at_once_after(
    way: str,
    writer: ApiClient,
    project: Project,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
) -> None:
    ticket = make_ticket(message="Hi")
    assert writer.get(unread_count_url).json() == {"count": 1}

    WAYS[way](writer, tickets_url, ticket["id"])

    answers = [writer.get(unread_count_url).json() for _ in range(2)]
    assert answers == [{"count": recount(project)}] * 2


def _browser_of(url: str) -> Browser:
    """A customer of the project that this is the URL of."""
    return Browser(Project.objects.get(pk=url.split("/")[3]))


def _browser_that_wrote(url: str, ticket: str) -> Browser:
    browser = _browser_of(url)
    Ticket.objects.filter(pk=ticket).update(widget_session_id=browser.session_id)
    return browser


def _send_twice(url: str) -> None:
    browser = _browser_of(url)
    browser.headers["idempotency-key"] = "one"
    assert browser.sent() == browser.sent()


def _last_message(api: ApiClient, url: str, ticket: str, below: str = "messages") -> str:
    """The address of the ticket's last message or note."""
    last = api.get(f"{url}/{ticket}/messages").json()["results"][-1]
    return f"{url}/{ticket}/{below}/{last['id']}"


def _delete_message(api: ApiClient, url: str, ticket: str, below: str = "messages") -> Any:
    return api.delete(_last_message(api, url, ticket, below))


def _bulk(api: ApiClient, url: str, ticket: str, name: str, **fields: Any) -> Any:
    response = api.post(f"{url}/bulk_{name}", {"ids": [ticket], **fields})
    assert response.status_code == 200, response.content
    return response


def _apply_macro(api: ApiClient, url: str, ticket: str, content: str = "", **actions: str) -> Any:
    body = {"name": "Macro", "content": content, "actions": actions}
    macro = api.post(url.replace("/tickets", "/macros"), body).json()
    response = api.post(f"{url}/{ticket}/apply_macro", {"macro": macro["short_id"]})
    assert response.status_code == 200, response.content
    return response


def _saved(instance: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        setattr(instance, name, value)
    instance.save()
    return instance
