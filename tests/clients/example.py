"""A ticket from its creation to its deletion, with a generated Python client.

openapi-python-client generate --path openapi.yaml --meta none --output-path conversations_client
API=http://127.0.0.1:8000 KEY=cvk_… python example.py
"""

import os

from conversations_client import AuthenticatedClient
from conversations_client.api.tickets import (
    tickets_create,
    tickets_destroy,
    tickets_list,
    tickets_messages_list,
    tickets_partial_update,
    tickets_reply_create,
    tickets_retrieve,
    tickets_unread_count_retrieve,
)
from conversations_client.models import (
    ErrorType,
    MessagePage,
    NewTicketRequest,
    PatchedTicketRequest,
    ReplyRequest,
    Ticket,
    TicketPage,
    TicketPriority,
    TicketsListOrderBy,
    TicketStatus,
    UnreadCount,
)

# The project that the key belongs to.
PROJECT = "@current"


def main(url: str, key: str) -> None:
    with AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        ticket = create(client)
        find(client, ticket)
        answer(client, ticket)
        change(client, ticket)
        delete(client, ticket)


def create(client: AuthenticatedClient) -> Ticket:
    body = NewTicketRequest(
        distinct_id="user_1", message="Where is my order?", tags=["Delivery"], priority=None
    )
    ticket = tickets_create.sync(PROJECT, client=client, body=body)
    # An answer is what was asked for, or an `Error`.
    assert isinstance(ticket, Ticket)
    assert ticket.status is TicketStatus.NEW
    assert ticket.priority is None
    assert ticket.tags == ["delivery"]
    assert ticket.created_at.tzinfo is not None
    assert unread(client) == 1
    return ticket


def find(client: AuthenticatedClient, ticket: Ticket) -> None:
    page = tickets_list.sync(PROJECT, client=client)
    assert isinstance(page, TicketPage)
    assert [found.id for found in page.results] == [ticket.id]

    page = tickets_list.sync(
        PROJECT,
        client=client,
        status=[TicketStatus.NEW, TicketStatus.OPEN],
        tags=["delivery", "returns"],
        unread=True,
        search="order",
        order_by=TicketsListOrderBy.CREATED_AT_DESCENDING,
        limit=10,
    )
    assert isinstance(page, TicketPage)
    assert [found.ticket_number for found in page.results] == [ticket.ticket_number]

    page = tickets_list.sync(PROJECT, client=client, status=[TicketStatus.RESOLVED])
    assert isinstance(page, TicketPage)
    assert page.count == 0


def answer(client: AuthenticatedClient, ticket: Ticket) -> None:
    # Reading a ticket marks it as read.
    read = tickets_retrieve.sync(PROJECT, str(ticket.id), client=client)
    assert isinstance(read, Ticket)
    assert read.last_message_text == "Where is my order?"
    assert unread(client) == 0

    reply = ReplyRequest(message="It left us this morning.")
    tickets_reply_create.sync(PROJECT, str(ticket.ticket_number), client=client, body=reply)
    messages = tickets_messages_list.sync(PROJECT, str(ticket.id), client=client)
    assert isinstance(messages, MessagePage)
    assert [message.content for message in messages.results] == [
        "Where is my order?",
        "It left us this morning.",
    ]


def change(client: AuthenticatedClient, ticket: Ticket) -> None:
    body = PatchedTicketRequest(status=TicketStatus.RESOLVED, priority=TicketPriority.HIGH)
    changed = tickets_partial_update.sync(PROJECT, str(ticket.id), client=client, body=body)
    assert isinstance(changed, Ticket)
    assert changed.priority is TicketPriority.HIGH
    assert changed.resolved_at is not None
    # What a change leaves out stays as it is.
    assert changed.tags == ["delivery"]


def delete(client: AuthenticatedClient, ticket: Ticket) -> None:
    answered = tickets_destroy.sync_detailed(PROJECT, str(ticket.id), client=client)
    assert answered.status_code == 204

    gone = tickets_retrieve.sync(PROJECT, str(ticket.id), client=client)
    assert gone is not None
    assert not isinstance(gone, Ticket)
    assert gone.type_ is ErrorType.INVALID_REQUEST
    assert gone.code == "not_found"


def unread(client: AuthenticatedClient) -> int:
    answer = tickets_unread_count_retrieve.sync(PROJECT, client=client)
    assert isinstance(answer, UnreadCount)
    return answer.count


if __name__ == "__main__":
    main(os.environ["API"], os.environ["KEY"])
