"""Where a stream begins: with a request like any other, checked like any other.

The view answers in both processes. That of the web server can not hold connections open
by the thousand, so there it says that it is the wrong one; in the stream process
`conversations.stream.app` takes over from what the view has found out.
"""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import MethodNotAllowed, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import examples, unread
from conversations.events import feed
from conversations.stream import SCOPE
from conversations.stream.frames import example
from conversations.stream.opening import Opening, StreamRequest
from projects.callers import caller_of
from projects.views import ProjectEndpoint
from rest.exceptions import CursorExpired, Misdirected, invalid
from rest.fields import UUID_FORM
from rest.schema import ErrorSerializer

_ATTR = "Last-Event-ID"
# By then one of the others may have ended, if only because its client is found to be gone.
_RETRY_SECONDS = 30


class TooManyStreams(Throttled):
    default_detail = "This API key or agent has too many streams open."
    extra_detail_singular = extra_detail_plural = "Try again in {wait} seconds."


class StreamViewSet(ProjectEndpoint):
    """What happens in a project, as it happens."""

    required_scopes = {"stream": SCOPE}
    http_method_names = ["get"]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # The framework lets an action for GET answer HEAD, which would never end.
        if request.method == "HEAD":
            raise MethodNotAllowed("HEAD")

    @extend_schema(
        operation_id="events_stream",
        parameters=[
            OpenApiParameter(
                _ATTR,
                OpenApiTypes.UUID,
                OpenApiParameter.HEADER,
                description="The last event seen. Without it: what happens from now on.",
            )
        ],
        responses={
            (200, "text/event-stream"): OpenApiResponse(
                OpenApiTypes.STR, "Events, without end.", examples=[example(examples.EVENT)]
            ),
            410: OpenApiResponse(ErrorSerializer, "`Last-Event-ID` is older than what is kept."),
            421: OpenApiResponse(ErrorSerializer, "The proxy asked a process that has no streams."),
        },
    )
    def stream(self, request: Request) -> Response:
        """Server-Sent Events (WHATWG HTML, section 9.2): each event of the project with its
        `id`, its type as `event`, and as `data` the JSON that `events_list` shows; and
        `unread_count`, without an id, with `{"count": n}`, first and whenever it changes.

        Who comes again with the last id as `Last-Event-ID`, as browsers do by themselves,
        misses none and gets none twice. A comment every 15 seconds shows that the stream
        lives. It ends when its key or session does, when its client reads too slowly, and
        when the service stops; then come again. A key or an agent can have no more than
        100 at once (or what the setting STREAMS_PER_CALLER says); beyond that, 429."""
        asked = request._request
        if not isinstance(asked, StreamRequest):
            raise Misdirected()
        caller = caller_of(request, self.project_id)
        # First, so that the count includes what is not told as an event.
        end = feed.now()
        opening = Opening(
            project_id=self.project_id,
            caller=caller,
            place=self._place_of(request.headers.get(_ATTR)) or end,
            end=end,
            count=unread.count(self.project_id),
        )
        # Last: what was taken here and did not begin would never be given back.
        if not asked.take_room(caller):
            raise TooManyStreams(_RETRY_SECONDS)
        asked.opening = opening
        return Response()

    def _place_of(self, last_event_id: str | None) -> feed.Place | None:
        if last_event_id is None:
            return None
        if not UUID_FORM.fullmatch(last_event_id):
            raise invalid(_ATTR, "It is no UUID.")
        try:
            return feed.place_of(self.project_id, UUID(last_event_id))
        except feed.UnknownEvent as exc:
            raise invalid(_ATTR, str(exc), "does_not_exist") from exc
        except feed.NoLongerKept as exc:
            raise CursorExpired() from exc
