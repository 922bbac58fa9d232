"""Macros over HTTP; the same under /macros and, as PostHog has them, /quick_actions."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.macros.serializers import (
    ApplyMacroSerializer,
    MacroSerializer,
    check_tags,
    macro_json,
    stored_actions,
)
from conversations.macros.verbs import apply_macro
from conversations.models import Macro
from conversations.named.views import NamedViewSet
from conversations.tickets.serializers import TicketSerializer
from conversations.tickets.views import TicketEndpoint
from rest.exceptions import invalid
from rest.schema import page_of


class MacroViewSet(NamedViewSet):
    """Prepared answers."""

    model = Macro
    serializer_class = MacroSerializer

    def as_json(self, named: Macro) -> dict[str, Any]:
        return macro_json(named)

    @extend_schema(responses=page_of(MacroSerializer))
    def list(self, request: Request) -> Response:
        return super().list(request)

    @extend_schema(request=MacroSerializer, responses={201: MacroSerializer})
    def create(self, request: Request) -> Response:
        return super().create(request)

    @extend_schema(responses=MacroSerializer)
    def retrieve(self, request: Request) -> Response:
        return super().retrieve(request)

    @extend_schema(request=MacroSerializer, responses=MacroSerializer)
    def partial_update(self, request: Request) -> Response:
        return super().partial_update(request)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request) -> Response:
        return super().destroy(request)


class ApplyMacroViewSet(TicketEndpoint):
    """A macro, applied to a ticket."""

    required_scopes = {"create": "ticket:write"}
    tagged_actions = ("create",)

    @extend_schema(request=ApplyMacroSerializer, responses={200: TicketSerializer})
    def create(self, request: Request) -> Response:
        """Answers with the macro's content and does its actions, all of it or nothing."""
        short_id = self.read_body(ApplyMacroSerializer)["macro"]
        macro = Macro.objects.filter(project_id=self.project_id, short_id=short_id).first()
        if macro is None:
            raise invalid("macro", "There is no such macro.", "does_not_exist")
        actions = stored_actions(macro)
        apply_macro(
            ticket=self.ticket,
            actor=self.actor,
            macro=macro,
            actions=actions,
            author_name=self.agent_name,
        )
        check_tags(self.ticket)
        return self.answer_with(self.ticket)
