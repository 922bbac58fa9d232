"""The messages of a ticket over HTTP."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.messages import verbs
from conversations.messages.serializers import (
    MessageListQuery,
    MessageSerializer,
    ReplySerializer,
    message_json,
)
from conversations.models import AuthorType
from conversations.tickets.views import TicketEndpoint
from rest.fields import QueryParameters
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
        message = verbs.post_message(ticket=self.ticket, **fields)
        return Response(message_json(message), status=201)


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
