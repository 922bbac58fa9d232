"""Tickets over HTTP."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils.functional import SimpleLazyObject
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import examples, unread
from conversations.events.actors import Actor
from conversations.models import SavedView, Ticket, TicketQuerySet
from conversations.saved_views.filters import TicketListOrViewQuery, read_with_view
from conversations.tickets import bulk, verbs
from conversations.tickets.filters import is_settled, matching, number_of, order_named, ranked
from conversations.tickets.finding import find_ticket, find_to_show
from conversations.tickets.serializers import (
    SHOWN_COLUMNS,
    BulkAssignSerializer,
    BulkStatusSerializer,
    BulkTagsSerializer,
    ChangedTicketsSerializer,
    NewTicketSerializer,
    TagsAction,
    TicketSerializer,
    rows_with_customers,
    with_customers,
)
from conversations.widget import polls
from projects.models import User
from projects.views import ProjectEndpoint
from rest import conditional
from rest.exceptions import invalid
from rest.fields import QueryFlag, QueryParameters, StrictObject
from rest.pagination import base_url, paginate
from rest.schema import EmptyBodySerializer, page_of, with_example


class RetrieveQuery(QueryParameters):
    mark_read = QueryFlag(required=False, help_text="`false` only looks; by default `true`.")


@with_example(response=examples.UNREAD_COUNT)
class UnreadCountSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=0)


class TicketEndpoint(ProjectEndpoint):
    """An endpoint of one ticket, `/tickets/{id}…`: finds it, locked when it is to change."""

    ticket: Ticket

    def find(self) -> None:
        if "id" not in self.kwargs:
            return
        if self.request.method in ("GET", "HEAD"):
            self.ticket = find_to_show(self.request.META, self.project_id, self.kwargs["id"])
        else:
            self.ticket = find_ticket(self.project_id, self.kwargs["id"], lock=True)

    @property
    def actor(self) -> Actor:
        return Actor.of(self.request)

    def told_about(self, response: Response) -> Sequence[UUID]:
        """The ticket, and the person that a whole ticket shows: their address may lead to
        another one by the time when they are erased."""
        told: list[UUID] = []
        if "id" in self.kwargs:
            told.append(self.ticket.pk)
        elif self.action == "create":
            # Of many tickets an answer has the ids alone.
            told.append(response.data["id"])
        if person := response.data.get("person"):
            told.append(person["id"])
        return told

    def before_replay(self, about: Sequence[UUID]) -> None:
        unread.forget(self.project_id)
        polls.forget_those(about)

    @property
    def agent_name(self) -> str | None:
        """How the signed-in agent is called; None for an API key."""
        agent = self.request.user
        return agent.display_name if isinstance(agent, User) else None

    def answer_with(
        self, ticket: Ticket, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        """The ticket under its tag; or that a client which reads has this answer already."""
        body = with_customers(self.project_id, [ticket])[0]
        tag = conditional.etag(ticket.version, body)
        return conditional.answer(self.request, body, tag, status=status, headers=headers)


class TicketViewSet(TicketEndpoint):
    """The tickets of a project."""

    lookup_field = "id"
    lookup_value_converter = "str"
    required_scopes = {
        "list": "ticket:read",
        "create": "ticket:write",
        "retrieve": "ticket:read",
        "update": "ticket:write",
        "partial_update": "ticket:write",
        "destroy": "ticket:write",
        "unread_count": "ticket:read",
        "mark_unread": "ticket:write",
        "bulk_update_status": "ticket:write",
        "bulk_update_tags": "ticket:write",
        "bulk_assign": "ticket:write",
    }
    # Those whose answer has a tag, or which look at one.
    tagged_actions = (
        "create",
        "retrieve",
        "update",
        "partial_update",
        "destroy",
        "mark_unread",
        "unread_count",
    )
    query_serializers: dict[str, type[QueryParameters]] = {
        "list": TicketListOrViewQuery,
        "retrieve": RetrieveQuery,
    }

    def read_query(self, request: Request) -> dict[str, Any]:
        """With `view`, that view's filters, and the request's own instead of them."""
        self.view_filters: dict[str, Any] = {}
        query = super().read_query(request)
        if "view" not in query:
            return query
        view = SavedView.objects.filter(project_id=self.project_id, short_id=query["view"]).first()
        if view is None:
            raise invalid("view", "There is no such view.", "does_not_exist")
        self.view_filters = view.filters
        return read_with_view(view.filters, request.query_params.dict(), context={"view": self})

    def cached_with_key(self) -> list[str]:
        named = self.kwargs["project_id"]
        if self.action == "unread_count" and named.isascii() and named.isdecimal():
            return [unread.cache_key(named)]
        return []

    @extend_schema(responses=page_of(TicketSerializer))
    def list(self, request: Request) -> Response:
        order = order_named(self.query["order_by"])
        tickets = Ticket.objects.in_project(self.project_id)
        # Neither is made where the statement is known already.
        listed: Any = SimpleLazyObject(lambda: ranked(matching(tickets, self.query), order))
        counted: Any = SimpleLazyObject(lambda: number_of(tickets, self.project_id, self.query))
        page = paginate(
            listed,
            order=order,
            query=self.query,
            request=request,
            # A view that was changed meanwhile is another list.
            scope=f"tickets:{self.project_id}:{self.view_filters}",
            adding=TicketQuerySet.with_assignee,
            counted=counted,
            columns=SHOWN_COLUMNS,
            is_settled=is_settled(self.query),
        )
        return Response(page.body(rows_with_customers(self.project_id, page.rows)))

    @extend_schema(request=NewTicketSerializer, responses={201: TicketSerializer})
    def create(self, request: Request) -> Response:
        body = self.read_body(NewTicketSerializer)
        ticket = verbs.open_ticket(project_id=self.project_id, actor=self.actor, **body)
        location = f"{base_url(request)}{request.path}/{ticket.pk}"
        return self.answer_with(ticket, status=201, headers={"Location": location})

    @extend_schema(responses=TicketSerializer)
    def retrieve(self, request: Request) -> Response:
        """Marks the ticket as read by the team, unless `mark_read=false`."""
        ticket: Ticket | None = self.ticket
        marks = request.method == "GET" and self.query.get("mark_read", True)
        if marks and self.ticket.unread_team_count:
            ticket = verbs.mark_read(ticket_id=self.ticket.pk)
        if ticket is None:
            raise NotFound("There is no such ticket.")
        return self.answer_with(ticket)

    @extend_schema(request=TicketSerializer, responses=TicketSerializer)
    def partial_update(self, request: Request) -> Response:
        body = self.read_body(TicketSerializer, self.ticket)
        conditional.check_version(request, self.ticket.version)
        verbs.update_ticket(ticket=self.ticket, actor=self.actor, **body)
        return self.answer_with(self.ticket)

    @extend_schema(request=TicketSerializer, responses=TicketSerializer)
    def update(self, request: Request) -> Response:
        """The same as PATCH: nothing is required."""
        return self.partial_update(request)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request) -> Response:
        """Deletes the ticket with its messages."""
        conditional.check_version(request, self.ticket.version)
        verbs.delete_ticket(ticket=self.ticket, actor=self.actor)
        return Response(status=204)

    @extend_schema(request=EmptyBodySerializer, responses=TicketSerializer)
    @action(detail=True, methods=["post"])
    def mark_unread(self, request: Request) -> Response:
        """Marks the ticket as unread until the team reads it again."""
        self.read_body(StrictObject)
        verbs.mark_unread(ticket=self.ticket)
        return self.answer_with(self.ticket)

    @extend_schema(responses=UnreadCountSerializer)
    @action(detail=False)
    def unread_count(self, request: Request) -> Response:
        """Unread customer messages over the project's unresolved tickets."""
        seen = self.cached.get(unread.cache_key(self.project_id))
        count = unread.count(self.project_id, seen=seen)
        return conditional.answer(request, {"count": count}, f'"{count}"')

    @extend_schema(request=BulkStatusSerializer, responses=ChangedTicketsSerializer)
    @action(detail=False, methods=["post"])
    def bulk_update_status(self, request: Request) -> Response:
        """Gives up to 500 tickets a status, all or none."""
        body = self.read_body(BulkStatusSerializer)
        return _changed(bulk.set_status(project_id=self.project_id, actor=self.actor, **body))

    @extend_schema(request=BulkTagsSerializer, responses=ChangedTicketsSerializer)
    @action(detail=False, methods=["post"])
    def bulk_update_tags(self, request: Request) -> Response:
        """Adds tags to up to 500 tickets, removes them, or replaces all; all tickets or none."""
        body = self.read_body(BulkTagsSerializer)
        change_tags = _CHANGE_TAGS[body.pop("action")]
        try:
            return _changed(change_tags(project_id=self.project_id, actor=self.actor, **body))
        except bulk.TooManyTags as exc:
            raise invalid("tags", str(exc), "max_length") from exc

    @extend_schema(request=BulkAssignSerializer, responses=ChangedTicketsSerializer)
    @action(detail=False, methods=["post"])
    def bulk_assign(self, request: Request) -> Response:
        """Assigns up to 500 tickets to a member, a role or nobody, all or none."""
        body = self.read_body(BulkAssignSerializer)
        return _changed(bulk.assign(project_id=self.project_id, actor=self.actor, **body))


_CHANGE_TAGS = {
    TagsAction.ADD: bulk.add_tags,
    TagsAction.REMOVE: bulk.remove_tags,
    TagsAction.SET: bulk.set_tags,
}


def _changed(ids: Sequence[UUID]) -> Response:
    return Response({"updated": len(ids), "ids": ids})
