"""What happened, over HTTP: to one ticket, and in a whole project."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.events import feed
from conversations.events.models import Event
from conversations.events.serializers import (
    EventFeedSerializer,
    EventSerializer,
    FeedQuery,
    event_json,
)
from conversations.tickets.views import TicketEndpoint
from projects.views import ProjectEndpoint
from rest.exceptions import CursorExpired, invalid
from rest.fields import QueryParameters
from rest.pagination import Order, PageQuery, paginate
from rest.schema import ErrorSerializer, page_of

# Of events in one answer, about; one that is larger comes alone.
_MAX_BYTES = 4 * 1024 * 1024


class ActivityViewSet(TicketEndpoint):
    """Who changed a ticket and its messages, when, from what to what."""

    required_scopes = {"list": "ticket:read"}
    query_serializers: dict[str, type[QueryParameters]] = {"list": PageQuery}

    @extend_schema(responses=page_of(EventSerializer))
    def list(self, request: Request) -> Response:
        """Oldest first. Ends with the ticket; the project's events go on to tell of it."""
        page = paginate(
            Event.objects.filter(project_id=self.project_id, ticket_id=self.ticket.pk),
            order=Order("position", unique=True),
            query=self.query,
            request=request,
            scope=f"activity:{self.ticket.pk}",
        )
        return Response(page.body([event_json(event) for event in page.rows]))


class EventViewSet(ProjectEndpoint):
    """All that happened in a project."""

    required_scopes = {"list": "ticket:read"}
    query_serializers: dict[str, type[QueryParameters]] = {"list": FeedQuery}

    @extend_schema(
        responses={
            200: EventFeedSerializer,
            410: OpenApiResponse(ErrorSerializer, "`after` is older than what is kept."),
        }
    )
    def list(self, request: Request) -> Response:
        """Oldest first, each exactly once for who goes on with `after` as `next_after` says.
        An event appears when all transactions that ran beside its own have ended.

        There may be fewer than `limit` though more follow: an answer ends before it would
        exceed about 4 MiB. Only one without events is the last."""
        last_seen = self.query["after"]
        try:
            events = feed.after(self.project_id, last_seen, self.query["limit"], _MAX_BYTES)
        except feed.UnknownEvent as exc:
            raise invalid("after", str(exc), "does_not_exist") from exc
        except feed.NoLongerKept as exc:
            raise CursorExpired() from exc
        next_after = events[-1].pk if events else last_seen
        return Response(
            {"results": [event_json(event) for event in events], "next_after": next_after}
        )
