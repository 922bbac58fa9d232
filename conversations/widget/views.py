"""The customer's side over HTTP, called by the chat widget from its customers' pages."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult
from uuid import UUID

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import unread
from conversations.models import Ticket
from conversations.widget import polls, restores, verbs
from conversations.widget.access import (
    Caller,
    Lock,
    check_identity,
    digest_of_credentials,
    identified,
    is_among,
    origin_of,
)
from conversations.widget.errors import add_widget_error
from conversations.widget.jobs import send_restore_link
from conversations.widget.polls import Standing
from conversations.widget.schema import WidgetSchema
from conversations.widget.serializers import (
    DEFAULT_LIST as _LIST,
)
from conversations.widget.serializers import (
    PollQuery,
    WidgetCallerSerializer,
    WidgetNewsSerializer,
    WidgetRestoreAcceptedSerializer,
    WidgetRestoredSerializer,
    WidgetRestoreSerializer,
    WidgetRestoreWishSerializer,
    WidgetSeenSerializer,
    WidgetSendSerializer,
    WidgetSentSerializer,
    WidgetTicketsQuery,
    WidgetTicketsSerializer,
    news_json,
    sent_json,
    widget_ticket_json,
)
from projects import tokens
from projects.tokens import PublicProject
from projects.write_limits import write_limits
from rest import limits
from rest.fields import UUID_FORM
from rest.json import dumps
from rest.limits import Limit
from rest.proxies import client_network
from rest.views import Endpoint

_SAFE = ("GET", "HEAD")


class WidgetEndpoint(Endpoint):
    """An endpoint under /api/conversations/v1/widget/.

    A project is named by its public token, which anybody may know; what opens tickets
    is a `Caller`. Unknown fields and parameters are ignored, as posthog-js may send new
    ones; errors say what they are under `error`, too.
    """

    authentication_classes = []
    permission_classes = []
    schema = WidgetSchema()
    project: PublicProject
    # Stands for the caller in limits and stored answers; see `digest_of_credentials`.
    digest: str | None
    seen: dict[str, bytes | None]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        token = request.META.get("HTTP_X_CONVERSATIONS_TOKEN", "")
        known = tokens.cache_key(token)
        given = _credentials(request)
        self.digest = digest_of_credentials(token, given)
        counted = self._counted(request)
        reading = [known, *self.cached_keys()]
        verdict = limits.once(request.META, lambda: limits.take(counted, reading=reading))
        self.seen = verdict.values
        project = tokens.look_up(token, self.seen.get(known)) if token else None
        if project is None or not project.conversations_enabled:
            raise PermissionDenied("The token is not that of a project with conversations.")
        self.project = project
        origin = origin_of(request.META)
        if project.widget_domains and not (
            is_among(origin, project) or _is_the_demos(origin, project, request)
        ):
            raise PermissionDenied("The widget may not be used on pages of this origin.")
        check_identity(project, given)
        if self.seen and self.seen[known] is None:
            # Until the token was known to be one, the call was not counted. Without Redis
            # nothing is seen, and that the call is let through has been counted.
            verdict = limits.take(counted)
        if verdict.wait:
            raise Throttled(verdict.wait)

    def _counted(self, request: Request) -> list[Limit]:
        if request.method in _SAFE:
            return polls.limits_of(self.digest)
        return write_limits("widget", who=self.digest, network=client_network(request))

    def cached_keys(self) -> list[str]:
        """Cache keys that the action needs, and finds in `self.seen`."""
        return []

    def act(self, request: Request) -> Response:
        # What opens the ticket is in the query or the body, so they come before it is found.
        self.query = self.read_query(request)
        response: Response = getattr(self, str(self.action))(request)
        return response

    def read_query(self, request: Request) -> dict[str, Any]:
        serializer_class = self.query_serializers.get(str(self.action))
        if serializer_class is None:
            return {}
        return _validated(serializer_class(data=request.query_params.dict()))

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        add_widget_error(response.data, response.status_code)
        return response

    def standing_of(self, caller: Caller, ticket_id: UUID) -> Standing:
        """How the caller's ticket stands; raises NotFound and PermissionDenied."""
        standing = polls.standing(ticket_id, self.seen.get(polls.cache_key(ticket_id)))
        if standing is None or standing.project_id != self.project.id:
            raise NotFound("Ticket not found")
        if not caller.opens(standing.lock):
            raise PermissionDenied("Forbidden")
        return standing

    def lock(self, caller: Caller, ticket_id: UUID) -> Ticket:
        """The caller's ticket, locked; raises NotFound and PermissionDenied."""
        # Before the lock, which is not for those who only know an id.
        self.standing_of(caller, ticket_id)
        tickets = Ticket.objects.in_project(self.project.id).select_for_update()
        ticket = tickets.filter(pk=ticket_id).first()
        if ticket is None:
            raise NotFound("Ticket not found")
        if not caller.opens(Lock.of(ticket)):
            raise PermissionDenied("Forbidden")
        return ticket

    @property
    def ticket_id(self) -> UUID:
        named = self.kwargs["ticket_id"]
        if not UUID_FORM.fullmatch(named):
            raise NotFound("Ticket not found")
        return UUID(named)

    def read_widget_body(
        self, request: Request, serializer_class: type[serializers.Serializer[Any]]
    ) -> dict[str, Any]:
        return _validated(serializer_class(data=self.whole_body(request)))


def _validated(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _credentials(request: Request) -> Any:
    """What a request gives of who asks, before it is known to be well formed."""
    if request.method in _SAFE:
        return request.query_params
    try:
        # Read as a whole, it is there for the parser as well.
        return orjson.loads(request._request.body)
    except (ValueError, RequestDataTooBig):
        return {}


def _is_the_demos(page: SplitResult | None, project: PublicProject, request: Request) -> bool:
    """Whether the page is of the service itself, and the project that of its demo page."""
    is_ours = page is not None and (page.scheme, page.netloc) == (
        request.scheme,
        request.get_host(),
    )
    return is_ours and project.id == settings.DEMO_PROJECT


# --- The endpoints -----------------------------------------------------------


class SendView(WidgetEndpoint):
    """`message`: what a customer writes."""

    is_repeatable = True

    def whose_idempotency_key(self) -> str:
        return f"widget:{self.digest}"

    def told_about(self, response: Response) -> Sequence[UUID]:
        return [response.data["ticket_id"]]

    def before_replay(self, about: Sequence[UUID]) -> None:
        unread.forget(self.project.id)
        polls.forget_those(about)

    @extend_schema(
        operation_id="widget_message_create",
        request=WidgetSendSerializer,
        responses={200: WidgetSentSerializer},
    )
    def create(self, request: Request) -> Response:
        """Opens a ticket, or appends to the caller's own."""
        body = self.read_widget_body(request, WidgetSendSerializer)
        caller = identified(self.project, body)
        traits, ticket_id = body.get("traits") or {}, body.get("ticket_id")
        verbs.introduce(project=self.project, caller=caller, traits=traits)
        sent = verbs.send_message(
            project=self.project,
            caller=caller,
            ticket=None if ticket_id is None else self.lock(caller, ticket_id),
            content=body["message"],
            distinct_id=body.get("distinct_id") or "",
            traits=traits,
            session_id=body.get("session_id"),
            session_context=body.get("session_context") or {},
        )
        return Response(sent_json(sent))


class PollView(WidgetEndpoint):
    """`messages/{ticket_id}`: what is new."""

    query_serializers: dict[str, Any] = {"retrieve": PollQuery}

    def cached_keys(self) -> list[str]:
        return [polls.cache_key(self.kwargs["ticket_id"])]

    @extend_schema(operation_id="widget_messages_retrieve", responses=WidgetNewsSerializer)
    def retrieve(self, request: Request) -> Response:
        """The next public messages behind `after`.

        None is skipped, also none of the team that was committed before `after` and in no
        answer yet: such come first, alone, with a `created_at` just behind `after`.
        """
        ticket_id, after = self.ticket_id, self.query.get("after")
        caller = identified(self.project, self.query)
        standing = self.standing_of(caller, ticket_id)
        news: polls.News | None
        if request.method == "HEAD" or standing.has_nothing_after(after):
            # Nobody gets to see what the answer to a HEAD would show.
            news = polls.News(standing.status, standing.unread, [], has_more=False)
        else:
            news = polls.fetch(
                ticket_id=ticket_id, caller=caller, after=after, limit=self.query["limit"]
            )
        if news is None:
            raise PermissionDenied("Forbidden")
        return Response(news_json(ticket_id, news))


class SeenView(WidgetEndpoint):
    """`messages/{ticket_id}/read`: the customer has seen what polls returned."""

    @extend_schema(
        operation_id="widget_messages_read_create",
        request=WidgetCallerSerializer,
        responses={200: WidgetSeenSerializer},
    )
    def create(self, request: Request) -> Response:
        """Marks what polls have returned as seen; what came since stays unread."""
        ticket_id = self.ticket_id
        caller = identified(self.project, self.read_widget_body(request, WidgetCallerSerializer))
        count = polls.mark_seen(ticket=self.lock(caller, ticket_id))
        return Response({"success": True, "unread_count": count})


class TicketsView(WidgetEndpoint):
    """`tickets`: the caller's conversations."""

    query_serializers: dict[str, Any] = {"retrieve": WidgetTicketsQuery}

    @extend_schema(operation_id="widget_tickets_list", responses=WidgetTicketsSerializer)
    def retrieve(self, request: Request) -> Response | HttpResponse:
        """Newest first."""
        caller = identified(self.project, self.query)
        key = polls.list_key(self.project.id, caller)
        # What the widget asks for again and again while it shows the list.
        is_first_page = (self.query["limit"], self.query["offset"]) == (_LIST, 0)
        if key is not None and is_first_page and "status" not in self.query:
            page = polls.first_page(key, lambda: dumps(self._page(caller)))
            return HttpResponse(page, content_type="application/json")
        return Response(self._page(caller))

    def _page(self, caller: Caller) -> dict[str, Any]:
        tickets = Ticket.objects.in_project(self.project.id).of_caller(
            session_id=caller.session_id, distinct_ids=caller.distinct_ids
        )
        if "status" in self.query:
            tickets = tickets.filter(status=self.query["status"])
        start, limit = self.query["offset"], self.query["limit"]
        rows = tickets.order_by("-created_at", "-pk")[start : start + limit]
        return {"count": tickets.count(), "results": [widget_ticket_json(row) for row in rows]}


class RestoreRequestView(WidgetEndpoint):
    """`restore/request`: a link by mail."""

    @extend_schema(
        operation_id="widget_restore_request_create",
        request=WidgetRestoreWishSerializer,
        responses={200: WidgetRestoreAcceptedSerializer},
    )
    def create(self, request: Request) -> Response:
        """Mails a link that opens the address's conversations, if there are any.

        The answer is the same, and takes the same time, if there are none.
        """
        body = self.read_widget_body(request, WidgetRestoreWishSerializer)
        origin, page = origin_of(request.META), restores.page_of(body["request_url"])
        is_here = is_among(page, self.project) or (
            _is_the_demos(page, self.project, request)
            and page is not None
            and page.path == reverse("demo")
        )
        if page is None or origin is None or not is_here or _place(page) != _place(origin):
            raise PermissionDenied("The request_url is not that of a page that may use the widget.")
        if not self.project.widget_restore_enabled:
            raise PermissionDenied("Conversations of this project can not be restored.")
        restore = restores.request_restore(
            project_id=self.project.id, email=body["email"], request_url=body["request_url"]
        )
        send_restore_link.defer(restore_id=str(restore.pk))
        return Response({"ok": True})


def _place(page: SplitResult) -> tuple[str, str | None, int | None]:
    return page.scheme, page.hostname, page.port or {"http": 80, "https": 443}.get(page.scheme)


class RestoreView(WidgetEndpoint):
    """`restore`: the link was followed."""

    @extend_schema(
        operation_id="widget_restore_create",
        request=WidgetRestoreSerializer,
        responses={200: WidgetRestoredSerializer},
    )
    def create(self, request: Request) -> Response:
        """Gives the tickets of the mail's address to this session. A token works once."""
        body = self.read_widget_body(request, WidgetRestoreSerializer)
        session_id = body["widget_session_id"]
        status, ticket_ids = restores.redeem(
            project_id=self.project.id, token=body["restore_token"], session_id=session_id
        )
        if status != "success":
            return Response({"status": status})
        return Response(
            {
                "status": status,
                "widget_session_id": session_id,
                "migrated_ticket_ids": ticket_ids,
            }
        )
