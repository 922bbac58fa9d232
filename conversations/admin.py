"""Tickets and messages in Django's admin site: to read only, since writing has side effects."""

import re
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from conversations.models import Event, Message, Ticket
from rest.fields import UUID_FORM

_NUMBER = re.compile(r"#?([0-9]{1,9})")


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    # The newest first: ids sort by time, and their index makes the first page cheap.
    ordering = ("-id",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Ticket)
class TicketAdmin(ReadOnlyAdmin):
    list_display = (
        "ticket_number",
        "project",
        "status",
        "unread_team_count",
        "priority",
        "channel_source",
        "distinct_id",
        "created_at",
        "updated_at",
    )
    list_filter = ("status", "priority", "channel_source", "project")
    list_select_related = ("project",)
    search_fields = ("ticket_number", "distinct_id")
    search_help_text = "A ticket's number, or the customer's whole distinct id."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [*(field.name for field in Ticket._meta.concrete_fields), "conversation"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Ticket], search_term: str
    ) -> tuple[QuerySet[Ticket], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(distinct_id=term)
        if number := _NUMBER.fullmatch(term):
            found |= Q(ticket_number=number[1])
        return queryset.filter(found), False

    @admin.display(description="Messages")
    def conversation(self, ticket: Ticket) -> str:
        url = reverse("admin:conversations_message_changelist")
        return format_html('<a href="{}?ticket__id__exact={}">Read them</a>', url, ticket.pk)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "project",
        "ticket",
        "author_type",
        "author_name",
        "is_private",
        "beginning",
        "created_at",
        "deleted_at",
    )
    list_filter = ("author_type", "is_private", "project")
    list_select_related = ("project", "ticket")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [field.name for field in Message._meta.concrete_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    @admin.display(description="Content")
    def beginning(self, message: Message) -> str:
        return Truncator(message.content).chars(80)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "project", "type", "ticket_number", "by")
    list_filter = ("type", "project")
    list_select_related = ("project",)
    search_fields = ("ticket_id",)
    search_help_text = "A ticket's whole UUID."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [field.name for field in Event._meta.concrete_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = queryset.filter(ticket_id=term) if UUID_FORM.fullmatch(term) else queryset.none()
        return found, False

    @admin.display(description="Actor")
    def by(self, event: Event) -> str:
        return str(event.actor["name"] or event.actor["type"])
