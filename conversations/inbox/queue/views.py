"""The list of tickets: what is to be done, and many of them at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from django.contrib import messages
from django.db.models import Func, IntegerField, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django_htmx.http import push_url, trigger_client_event
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

from conversations.inbox.page import AgentPage, InboxPage, failures, repeated
from conversations.inbox.people import Assignable, as_assignee, assignable
from conversations.inbox.queue.controls import (
    FROM_VIEW,
    PLACE,
    TO_DO,
    UNRESOLVED,
    address_of,
    controls,
    further_controls,
    given,
    order_control,
)
from conversations.inbox.queue.keeping import Keeping, keeping
from conversations.inbox.queue.rows import rows_of
from conversations.inbox.tags import read_tags
from conversations.models import SavedView, Status, Ticket, TicketQuerySet
from conversations.named.verbs import add_named, change_named
from conversations.named.views import find_named
from conversations.saved_views.filters import (
    TicketListOrViewQuery,
    as_filters,
    parameters_with_view,
    read_with_view,
)
from conversations.saved_views.serializers import SavedViewSerializer
from conversations.tickets import bulk
from conversations.tickets.filters import matching, number_of, order_named, ranked
from conversations.tickets.serializers import (
    MAX_BULK,
    BulkAssignSerializer,
    BulkStatusSerializer,
    BulkTagsSerializer,
    TagsAction,
    load_persons,
)
from projects.models import Project
from rest.exceptions import invalid
from rest.fields import QueryParameters
from rest.pagination import Page, paginate
from rest.transactions import committed

# What is said of something that was done, and where to.
Done = tuple[str, str]

# In the sidebar; further ones are reached by their address, and are there then.
MAX_VIEWS = 50


@dataclass(frozen=True)
class Link:
    """A list in the sidebar."""

    label: str
    address: str
    is_current: bool
    unread: int | None = None


@dataclass(frozen=True)
class Problem:
    """What is wrong with a parameter; without a label it has no control."""

    name: str
    label: str | None
    errors: list[str]


class ProjectsPage(AgentPage):
    """Leads to the agent's project, or to a choice of them."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if len(self.projects) == 1:
            return redirect(unresolved_of(self.projects[0].pk))
        choices = [(project, unresolved_of(project.pk)) for project in self.projects]
        return self.show("inbox/projects.html", {"choices": choices})


def unresolved_of(project_id: int) -> str:
    return address_of(reverse("inbox-queue", args=[project_id]), TO_DO)


class ListPage(InboxPage):
    """What the list and its sidebar have in common."""

    @property
    def path(self) -> str:
        return reverse("inbox-queue", args=[self.project_id])

    def links(self, parameters: dict[str, str]) -> list[Link]:
        """Lists that every project has."""
        lists: list[tuple[str, dict[str, str]]] = [
            ("Unresolved", TO_DO),
            ("Unread", {**TO_DO, "unread": "true"}),
            ("Mine", {**TO_DO, "assignee": "me"}),
            ("Unassigned", {**TO_DO, "assignee": "unassigned"}),
            # A deadline passes, however long somebody has put the ticket aside.
            ("Overdue", {"status": UNRESOLVED, "sla": "breached", "order_by": "sla_due_at"}),
            ("Snoozed", {"snoozed": "true", "order_by": "snoozed_until"}),
            ("All tickets", {}),
        ]
        return [
            Link(label, address_of(self.path, filters), filters == parameters)
            for label, filters in lists
        ]

    def views(self) -> list[SavedView]:
        """Those of the sidebar, and the one that the address names."""
        parameters = self.request.GET
        named = parameters.get("view") or parameters.get("current", "")
        every = SavedView.objects.filter(project_id=self.project_id).order_by("created_at", "pk")
        shown = Q(pk__in=every.values("pk")[:MAX_VIEWS])
        # A NUL can not be looked for in PostgreSQL, and names nothing.
        return list(every.filter(shown | Q(short_id=named) if named.isalnum() else shown))

    def view_links(
        self, views: list[SavedView], current: str | None, numbers: dict[str, int] | None = None
    ) -> list[Link]:
        return [
            Link(
                view.name,
                address_of(self.path, {"view": view.short_id}),
                view.short_id == current,
                (numbers or {}).get(view.short_id),
            )
            for view in views
        ]


class QueuePage(ListPage):
    """The tickets that an address asks for, by the API's own parameters."""

    query_class: type[QueryParameters] | None = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        """`asked` is all of the address, `filters` what of that the API knows."""
        super().setup(request, *args, **kwargs)
        self.asked = given(request.GET)
        self.repeated = repeated(request.GET, TicketListOrViewQuery)
        # What the links of a page and its cursor are made of.
        request.GET = QueryDict(urlencode(self.asked))
        self.filters = {name: text for name, text in self.asked.items() if name != FROM_VIEW}

    def get(self, request: HttpRequest, project_id: int) -> HttpResponse:
        if not self.htmx or self.htmx.history_restore_request:
            return self.show_list("inbox/queue/page.html")
        is_other = self.htmx.trigger == "filters"
        response = self.show_list("inbox/queue/list.html", is_other=is_other)
        if is_other:
            push_url(response, address_of(self.path, self.asked))
        return response

    def post(self, request: HttpRequest, project_id: int) -> HttpResponse:
        """Keeps the list as a view, or changes the view that it shows."""
        act = request.POST.get("act", "")
        try:
            if act not in self.acts:
                raise invalid("act", "There is no such action.")
            said, address = committed(lambda: self.acts[act](self))
        except ValidationError as exc:
            further = {"keep_errors": failures(exc), "kept_act": act}
            name = request.POST.get("name", "")
            return self.show_list("inbox/queue/page.html", 400, kept_name=name, **further)
        messages.success(request, said)
        return redirect(address)

    def _keep(self) -> Done:
        body = self._read_view(None, name=self.request.POST.get("name", ""), filters=self._wanted())
        view = add_named(SavedView, project_id=self.project_id, created_by=self.agent, **body)
        return "Saved as a view.", self._address_of_view(view)

    def _rename(self) -> Done:
        view = self._view_to_change()
        change_named(view, **self._read_view(view, name=self.request.POST.get("name", "")))
        return "Renamed.", address_of(self.path, self.asked)

    def _change_filters(self) -> Done:
        view = self._view_to_change()
        change_named(view, **self._read_view(view, filters=self._wanted(view)))
        return "Saved.", self._address_of_view(view)

    def _delete(self) -> Done:
        view = self._view_to_change()
        view.delete()
        return "The view is deleted.", unresolved_of(self.project_id)

    acts: ClassVar[dict[str, Callable[..., Done]]] = {
        "keep": _keep,
        "rename": _rename,
        "change": _change_filters,
        "delete": _delete,
    }

    def _view_to_change(self) -> SavedView:
        short_id = self.asked.get("view") or self.asked.get(FROM_VIEW, "")
        try:
            view: SavedView = find_named(SavedView, self.project_id, short_id, lock=True)
        except NotFound as exc:
            raise invalid("view", "There is no such view.", "does_not_exist") from exc
        return view

    def _wanted(self, view: SavedView | None = None) -> dict[str, Any]:
        """What the list asks for, as a view keeps it; for the API to judge."""
        return as_filters(_to_keep(self.parameters(view or self.view_of_address([]))))

    def _read_view(self, view: SavedView | None, **fields: Any) -> dict[str, Any]:
        serializer = SavedViewSerializer(
            view, data=fields, partial=view is not None, context={"view": self}
        )
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def _address_of_view(self, view: SavedView) -> str:
        return address_of(self.path, {"view": view.short_id})

    def show_list(self, template: str, status: int = 200, **further: Any) -> HttpResponse:
        """The list, or what is wrong with what the address asks for; then without tickets."""
        views, among = self.views(), assignable(self.project_id)
        errors: dict[str, list[str]] = {}
        page: Page[Ticket] | None = None
        view = None
        try:
            view = self.view_of_address(views)
            page = self._page(view)
        except ValidationError as exc:
            errors, status = failures(exc), 400
        parameters = self.parameters(view)
        links = self.links(self.asked)
        view_links = self.view_links(views, self.asked.get("view"))
        context = {
            "errors": errors,
            "page": page,
            "is_new": page is not None and page.count == 0 and self._is_new(),
            "keeping": self._keeping(view, views, is_valid=page is not None),
            "links": links,
            "view_links": view_links,
            "list_name": next((a.label for a in (*links, *view_links) if a.is_current), None),
            "address": address_of(self.path, self.asked),
            "first_page": address_of(self.path, _without_place(self.asked)),
            "everywhere": self._everywhere(),
            **self._places(page),
            **_filter_context(parameters, errors, among),
            "among": among,
            "statuses": Status.choices,
            "most": MAX_BULK,
            **self._rows(page, among),
        }
        return self.show(template, context | further, status=status)

    def view_of_address(self, views: list[SavedView]) -> SavedView | None:
        """The view that the list shows or was before it was changed; it may be none of the
        sidebar. Raises ValidationError where the list needs it and it is not there."""
        name = "view" if "view" in self.asked else FROM_VIEW
        if name not in self.asked:
            return None
        for view in views:
            if view.short_id == self.asked[name]:
                return view
        try:
            found: SavedView = find_named(SavedView, self.project_id, self.asked[name])
        except NotFound as exc:
            if name == FROM_VIEW:
                return None
            raise invalid("view", "There is no such view.", "does_not_exist") from exc
        return found

    def parameters(self, view: SavedView | None) -> dict[str, str]:
        """What the list asks for, whether the address says so or its view."""
        if view is None or "view" not in self.asked:
            return self.filters
        return parameters_with_view(view.filters, self.filters)

    def _keeping(
        self, view: SavedView | None, views: list[SavedView], *, is_valid: bool
    ) -> Keeping:
        wanted = _to_keep(self.parameters(view))
        return keeping(view, wanted, views, is_valid=is_valid)

    def check_address(self) -> None:
        """Raises ValidationError where the list would be refused; reads no ticket."""
        self._page(self.view_of_address([]), of=Ticket.objects.none())

    def _page(self, view: SavedView | None, *, of: TicketQuerySet | None = None) -> Page[Ticket]:
        """Of all tickets of the project, or of others."""
        if self.repeated:
            raise ValidationError(self.repeated)
        context = {"view": self}
        filters: dict[str, Any] = {}
        if view is not None and "view" in self.asked:
            filters = view.filters
            query = read_with_view(filters, self.filters, context=context)
        else:
            serializer = TicketListOrViewQuery(data=self.filters, context=context)
            serializer.is_valid(raise_exception=True)
            query = dict(serializer.validated_data)
        everything = Ticket.objects.in_project(self.project_id) if of is None else of
        order = order_named(query["order_by"])
        tickets = ranked(matching(everything, query), order)
        return paginate(
            tickets,
            order=order,
            query=query,
            request=Request(self.request),
            scope=f"tickets:{self.project_id}:{filters}",
            adding=TicketQuerySet.with_assignee,
            counted=number_of(everything, self.project_id, query) if of is None else None,
        )

    def _is_new(self) -> bool:
        """Whether nobody has ever written; asked for where the agent has filtered nothing else."""
        if self.asked.keys() - {"status", "snoozed"}:
            return False
        return not Ticket.objects.in_project(self.project_id).exists()

    def _everywhere(self) -> str | None:
        """The same search in all tickets, where this one is not of them all."""
        search = {"search": self.asked.get("search", "")}
        filters = self.filters.keys() - {"order_by", *PLACE}
        return address_of(self.path, search) if search.keys() < filters else None

    def _rows(self, page: Page[Ticket] | None, among: list[Assignable]) -> dict[str, Any]:
        if page is None:
            return {"rows": []}
        tickets = list(page.rows)
        load_persons(self.project_id, tickets)
        return {"rows": rows_of(tickets, among, timezone.now())}

    def _places(self, page: Page[Ticket] | None) -> dict[str, Any]:
        """Links to the pages beside this one, on this host whatever PUBLIC_URL says."""
        if page is None:
            return {}
        offset = int(self.asked.get("offset", "0"))
        return {
            "next": page.next and f"{self.path}?{urlsplit(page.next).query}",
            "previous": page.previous and f"{self.path}?{urlsplit(page.previous).query}",
            "first_row": offset + 1,
            "last_row": offset + len(page.rows),
        }


def _to_keep(parameters: dict[str, str]) -> dict[str, str]:
    """Of a list's parameters those that are filters, or their order."""
    return {name: text for name, text in parameters.items() if name not in ("view", *PLACE)}


def _without_place(parameters: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if name not in PLACE}


def _filter_context(
    parameters: dict[str, str], errors: dict[str, list[str]], among: list[Assignable]
) -> dict[str, Any]:
    first, further = controls(parameters, errors, among), further_controls(parameters, errors)
    order = order_control(parameters, errors)
    labels = {control.name: control.label for control in (*first, *further, order)}
    labels["search"] = "Search"
    return {
        "controls": first,
        "further": further,
        "is_further": any(control.value or control.errors for control in further),
        "is_further_wrong": any(control.errors for control in further),
        "order": order,
        "search": parameters.get("search", ""),
        "search_errors": errors.get("search", []),
        "problems": [Problem(name, labels.get(name), texts) for name, texts in errors.items()],
    }


class CurrentQuery(QueryParameters):
    """Which of the views the list shows."""

    current = serializers.CharField(required=False, allow_blank=True)


class SavedViewsPage(ListPage):
    """The saved views of the sidebar with their unread numbers, which a list can be shown without:
    they cost more, the more is unread."""

    query_class = CurrentQuery

    def get(self, request: HttpRequest, project_id: int) -> HttpResponse:
        views = self.views()
        numbers = self._numbers(views)
        links = self.view_links(views, request.GET.get("current"), numbers)
        return self.show("inbox/queue/views.html", {"view_links": links})

    def _numbers(self, views: list[SavedView]) -> dict[str, int]:
        """For each view the part of the project's unread count that is in it.

        One query, and one more for each view that searches. A view that the list would
        refuse has no number.
        """
        if not self.project.conversations_enabled:
            return {}
        unread = Ticket.objects.in_project(self.project_id).unresolved().with_unread()
        total = Func("unread_team_count", function="SUM", output_field=IntegerField())
        sums: dict[str, Any] = {}
        for view in views:
            try:
                query = read_with_view(view.filters, {}, context={"view": self})
            except ValidationError:
                continue
            tickets = matching(unread, query, counting=True).order_by().values(total=total)
            sums[f"view_{view.short_id}"] = Coalesce(Subquery(tickets), 0)
        if not sums:
            return {}
        rows: Any = Project.objects.filter(pk=self.project_id).values(**sums)
        return {name.removeprefix("view_"): number for name, number in rows.get().items()}


class BulkPage(QueuePage):
    """One change to all tickets that are selected in the list."""

    http_method_names = ["post"]

    def page_of_form(self) -> str:
        return address_of(self.path, self.asked)

    def post(self, request: HttpRequest, project_id: int) -> HttpResponse:
        ids, act = request.POST.getlist("ids"), request.POST.get("act", "")
        try:
            self.check_address()
        except ValidationError:
            # The list says itself what is wrong with it.
            return self._refused(ids, {})
        try:
            changed = committed(lambda: self._change(act, ids))
        except ValidationError as exc:
            return self._refused(ids, failures(exc))
        if not self.htmx:
            return redirect(address_of(self.path, self.asked))
        said = f"{changed} of {len(ids)} ticket{'s' if len(ids) != 1 else ''} changed."
        response = self.show_list("inbox/queue/changed.html", said=said)
        return trigger_client_event(response, "inbox:changed", {})

    def _refused(self, ids: list[str], errors: dict[str, list[str]]) -> HttpResponse:
        form = self.request.POST
        return self.show_list(
            "inbox/queue/changed.html" if self.htmx else "inbox/queue/page.html",
            400,
            bulk_errors=errors,
            entered={name: form.get(name, "") for name in ("status", "tags", "assignee")},
            selected=ids,
        )

    def _change(self, act: str, ids: list[str]) -> int:
        form = self.request.POST
        if act == "status":
            body = self._read(BulkStatusSerializer, ids, status=form.get("status", ""))
            return len(bulk.set_status(project_id=self.project_id, actor=self.actor, **body))
        if act == "assign":
            assignee = as_assignee(form.get("assignee", ""))
            body = self._read(BulkAssignSerializer, ids, assignee=assignee)
            return len(bulk.assign(project_id=self.project_id, actor=self.actor, **body))
        if act not in _CHANGE_TAGS:
            raise invalid("act", "There is no such action.")
        tags = read_tags(form.get("tags", ""))
        if not tags:
            raise invalid("tags", "Which tags? Separate them by commas.", "required")
        body = self._read(BulkTagsSerializer, ids, action=act, tags=tags)
        change_tags = _CHANGE_TAGS[body.pop("action")]
        try:
            return len(change_tags(project_id=self.project_id, actor=self.actor, **body))
        except bulk.TooManyTags as exc:
            raise invalid("tags", str(exc), "max_length") from exc

    def _read(
        self, serializer_class: type[serializers.Serializer[Any]], ids: list[str], **fields: Any
    ) -> dict[str, Any]:
        serializer = serializer_class(
            data={"ids": ids, **fields}, context={"project_id": self.project_id}
        )
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


_CHANGE_TAGS = {TagsAction.ADD: bulk.add_tags, TagsAction.REMOVE: bulk.remove_tags}
