"""What the pages of the settings have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from conversations.inbox.once import new_form
from conversations.inbox.page import InboxPage, failures, read_query
from conversations.inbox.settings.forms import Field, shown
from rest.exceptions import Conflict
from rest.fields import QueryParameters
from rest.pagination import Order, Page, PageQuery, paginate
from rest.transactions import committed


@dataclass(frozen=True)
class Secret:
    """What is shown in one answer and never again."""

    of: str
    text: str
    note: str


@dataclass(frozen=True)
class Problem:
    """Why something was not done; without a label it is about no control of the page."""

    name: str
    label: str | None
    texts: list[str]


class SettingsPage(InboxPage):
    """A page whose forms say in `act` what they do, and are shown again with what is wrong."""

    http_method_names = ["get", "head", "post"]
    template: str
    place: str
    acts: dict[str, Callable[..., HttpResponse]] = {}
    list_status = 200

    def page(self) -> dict[str, Any]:
        """What the page shows, whatever was done."""
        return {}

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        self.find()
        return self.show_page()

    def find(self, *, lock: bool = False) -> None:
        """Looks up what the address names; raises NotFound."""

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        act = self.acts.get(request.POST.get("act", "save"))
        try:
            if act is None:
                raise ValidationError("There is no such action.")
            return committed(lambda: self._act(act))
        except (ValidationError, Conflict) as exc:
            problem = exc
        self.find()
        return self.show_page(status=problem.status_code, errors=failures(problem))

    def _act(self, act: Callable[..., HttpResponse]) -> HttpResponse:
        self.find(lock=True)
        return act(self)

    def show_page(
        self, *, status: int = 200, errors: dict[str, list[str]] | None = None, **more: Any
    ) -> HttpResponse:
        self.errors = errors or {}
        context: dict[str, Any] = {"place": self.place, "errors": self.errors}
        context["form_id"] = new_form()
        context |= self.page()
        context["problems"] = self._problems(context.get("fields", []))
        return self.show(self.template, context | more, status=max(status, self.list_status))

    def _problems(self, fields: list[Field]) -> list[Problem]:
        """In the order of the form; what is of none of its controls comes first."""
        labels = {field.name: field.label for field in fields if field.errors}
        elsewhere = [name for name in self.errors if name not in labels]
        return [
            Problem(name, labels.get(name), self.errors[name]) for name in (*elsewhere, *labels)
        ]

    def done(self, said: str, to: str | None = None) -> HttpResponse:
        """Leads to the page, on which a reload does nothing again."""
        messages.success(self.request, said)
        return redirect(to or self.request.path)

    def show_secret(self, secret: Secret) -> HttpResponse:
        return self.show_page(secret=secret)

    def is_typed(self, act: str) -> bool:
        """Whether the form of this action is shown again with what is wrong with it."""
        return bool(self.errors) and self.request.POST.get("act", "save") == act

    def controls(
        self, act: str, fields: list[Field], values: dict[str, Any], entered: dict[str, Any]
    ) -> list[Field]:
        """With what was typed where the form of this action was refused."""
        if self.is_typed(act):
            return shown(fields, {**values, **entered}, self.errors)
        return shown(fields, values, {})

    def list_of(
        self,
        rows: QuerySet[Any],
        *,
        order: Order,
        scope: str,
        query_class: type[QueryParameters] = PageQuery,
        adding: Callable[[Any], QuerySet[Any]] | None = None,
    ) -> dict[str, Any]:
        """A page of a list of the API as the address asks for it; or what is wrong with that."""
        try:
            found: Page[Any] = paginate(
                rows,
                order=order,
                query=read_query(self.request.GET, query_class),
                request=Request(self.request),
                scope=scope,
                adding=adding,
            )
        except ValidationError as exc:
            self.list_status = exc.status_code
            return {"rows": [], "list_errors": failures(exc)}
        # On this host, whatever PUBLIC_URL says.
        path = self.request.path
        return {
            "rows": found.rows,
            "count": found.count,
            "next": found.next and f"{path}?{urlsplit(found.next).query}",
            "previous": found.previous and f"{path}?{urlsplit(found.previous).query}",
        }
