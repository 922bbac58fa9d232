"""The messages of a ticket over HTTP."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.messages import verbs
from conversations.messages.serializers import (
    MessageChangesSerializer,
    MessageListQuery,
    MessageSerializer,
    ReplySerializer,
    message_json,
)
from conversations.models import AuthorType, Message, Ticket
from conversations.tickets.views import TicketEndpoint
from rest.fields import UUID_FORM, QueryParameters
from rest.pagination import Order, paginate
from rest.schema import page_of


class MessageViewSet(TicketEndpoint):
    """Messages and notes, oldest first."""

    required_scopes = {"list": "ticket:read", "create": "ticket:write"}
    query_serializers: dict[str, type[QueryParameters]] = {"list": MessageListQuery}

    @extend_schema(responses=page_of(MessageSerializer))
    def list(self, request: Request) -> Response:
        """Private notes included; marks nothing as read."""
        page = paginate(
            self.ticket.messages.visible(),
            order=Order("seq", unique=True),
            query=self.query,
            request=request,
            scope=f"messages:{self.ticket.pk}",
        )
        return Response(page.body([message_json(message) for message in page.rows]))

    @extend_schema(request=MessageSerializer, responses={201: MessageSerializer})
    def create(self, request: Request) -> Response:
        """A message from the team, an AI, or the customer."""
        return self.post_and_answer(**self.read_body(MessageSerializer))

    def post_and_answer(self, **fields: Any) -> Response:
        if fields["author_type"] == AuthorType.SUPPORT and not fields.get("author_name"):
            fields["author_name"] = self.agent_name
        message = verbs.post_message(ticket=self.ticket, actor=self.actor, **fields)
        return Response(message_json(message), status=201)


@extend_schema(
    parameters=[
        OpenApiParameter(
            "message_id",
            OpenApiTypes.UUID,
            OpenApiParameter.PATH,
            description="The message's UUID.",
        )
    ]
)
class OneMessageViewSet(TicketEndpoint):
    """A message or note, `/tickets/{id}/messages/{message_id}`, to be changed."""

    required_scopes = {"partial_update": "ticket:write", "destroy": "ticket:write"}
    message: Message

    def find(self) -> None:
        # The ticket first: under its lock no other request deletes the message.
        super().find()
        self.message = find_message(self.ticket, self.kwargs["message_id"])

    @extend_schema(request=MessageChangesSerializer, responses=MessageSerializer)
    def partial_update(self, request: Request) -> Response:
        """Edits a message of the team or a note. A customer's message can not be edited."""
        body = self.read_body(MessageChangesSerializer, self.message)
        verbs.edit_message(message=self.message, ticket=self.ticket, actor=self.actor, **body)
        return Response(message_json(self.message))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request) -> Response:
        """Deletes a message or note. The ticket counts as if it had never been there."""
        verbs.delete_message(message=self.message, ticket=self.ticket, actor=self.actor)
        return Response(status=204)


def find_message(ticket: Ticket, named: str) -> Message:
    """The ticket's undeleted message with this UUID; raises NotFound."""
    message = None
    if UUID_FORM.fullmatch(named):
        message = ticket.messages.visible().filter(pk=named).first()
    if message is None:
        raise NotFound("There is no such message.")
    return message


class ReplyViewSet(MessageViewSet):
    """The team's answer, in the form that PostHog's clients send it."""

    required_scopes = {"create": "ticket:write"}

    @extend_schema(request=ReplySerializer, responses={201: MessageSerializer})
    def create(self, request: Request) -> Response:
        """The same as a message with the author type `support`."""
        body = self.read_body(ReplySerializer)
        return self.post_and_answer(
            content=body.pop("message"), author_type=AuthorType.SUPPORT, **body
        )
