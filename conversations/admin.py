"""Tickets, messages and events in Django's admin site: to read only, since writing has side
effects. Webhooks are managed there."""

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import Truncator

from conversations.events.models import EventType
from conversations.models import Delivery, Event, Message, Ticket, Webhook
from conversations.webhooks import verbs as webhooks
from conversations.webhooks.addresses import BadUrl, check_url
from conversations.webhooks.models import MAX_WEBHOOKS
from projects.admin import ServiceAdmin
from rest.fields import UUID_FORM

_NUMBER = re.compile(r"#?([0-9]{1,9})")


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # (generic in the stubs alone)
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
        "edited_at",
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


# --- Webhooks ----------------------------------------------------------------


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]  # (generic in the stubs alone)
    event_types = forms.MultipleChoiceField(
        choices=EventType.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None: all of them.",
    )

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"])
        if "url" in self.changed_data:
            try:
                check_url(url)
            except BadUrl as error:
                raise ValidationError(str(error)) from None
        return url

    def clean(self) -> None:
        super().clean()
        project = self.cleaned_data.get("project")
        if project and Webhook.objects.kept().filter(project=project).count() >= MAX_WEBHOOKS:
            self.add_error("project", webhooks.TooManyWebhooks.__doc__ or "")


@admin.register(Webhook)
class WebhookAdmin(ServiceAdmin):
    """A webhook's secret is shown once, in the answer to the request that made it."""

    form = WebhookForm
    fields = (
        "project",
        "url",
        "event_types",
        "description",
        "enabled",
        "created_at",
        "disabled_at",
        "disabled_reason",
        "failing_since",
        "deliveries",
    )
    readonly_fields = fields[-5:]
    fixed = ("project",)
    list_display = ("url", "project", "enabled", "failing_since", "disabled_reason", "created_at")
    list_filter = ("enabled", "project")
    list_select_related = ("project",)
    search_fields = ("url", "description")
    ordering = ("-created_at",)
    autocomplete_fields = ("project",)
    actions = ("rotate",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        return super().get_queryset(request).filter(removed_at__isnull=True)

    def save_model(self, request: HttpRequest, obj: Webhook, form: Any, change: bool) -> None:
        if not change:
            obj.save()
            return self._show(request, obj)
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        with transaction.atomic():
            webhook = Webhook.objects.select_for_update(no_key=True).get(pk=obj.pk)
            webhooks.change_webhook(webhook=webhook, changes=changes)
        return None

    def delete_model(self, request: HttpRequest, obj: Webhook) -> None:
        webhooks.remove(webhook=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        for webhook in queryset:
            webhooks.remove(webhook=webhook)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What goes with a webhook, counted: whoever may delete it may delete its deliveries."""
        found = list(objs)
        count = Delivery.objects.filter(webhook__in=found).count()
        lines: list[Any] = [*map(str, found), [f"{count} deliveries"]]
        return lines, {"webhooks": len(found), "deliveries": count}, set(), []

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # Or whoever sees the list could ask for a secret, letter by letter.
        return "secret" not in lookup and super().lookup_allowed(lookup, value, request)

    @admin.action(
        permissions=["change"],
        description="Rotate: a new secret, the old one signs for 24 hours more",
    )
    def rotate(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        with transaction.atomic():
            selected = list(queryset.select_for_update(of=("self",), no_key=True)[:2])
            if len(selected) != 1:
                self.message_user(request, "Rotate one secret at a time.", messages.ERROR)
                return
            try:
                webhooks.rotate_secret(webhook=selected[0])
            except webhooks.TooManySecrets as error:
                self.message_user(request, str(error), messages.ERROR)
                return
            self.log_change(request, selected[0], "Rotated.")
        self._show(request, selected[0])

    @admin.display(description="Deliveries")
    def deliveries(self, webhook: Webhook) -> str:
        url = reverse("admin:conversations_delivery_changelist")
        return format_html('<a href="{}?webhook__id__exact={}">See them</a>', url, webhook.pk)

    def _show(self, request: HttpRequest, webhook: Webhook) -> None:
        # Messages travel in a cookie, so that no copy of the secret is stored.
        self.message_user(
            request,
            f"The secret of {webhook} is {webhook.secret}. Keep it now: it is not shown again.",
            messages.WARNING,
        )


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "project",
        "webhook",
        "event",
        "status",
        "attempts",
        "response_status",
        "error",
    )
    list_filter = ("status", "project")
    list_select_related = ("project", "webhook", "event")
    search_fields = ("id",)
    search_help_text = "A delivery's whole UUID: its webhook-id."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [field.name for field in Delivery._meta.concrete_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(pk=term) if UUID_FORM.fullmatch(term) else queryset.none(), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        if "secret" in lookup:
            return False
        return lookup == "webhook__id__exact" or super().lookup_allowed(lookup, value, request)
