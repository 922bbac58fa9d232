"""The settings of a project, its keys, webhooks and team; done by the verbs that the API has."""

from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

from conversations.inbox.clock import local
from conversations.inbox.page import read_query
from conversations.inbox.settings import keys
from conversations.inbox.settings.forms import as_shown, changed, typed, validated
from conversations.inbox.settings.once import first_time
from conversations.inbox.settings.pages import Secret, SettingsPage
from conversations.inbox.settings.projects import PROJECT, WIDGET
from conversations.inbox.settings.webhooks import STATUSES, WEBHOOK, outcome
from conversations.models import Delivery, Webhook
from conversations.webhooks import verbs
from conversations.webhooks.finding import find_delivery, find_webhook
from conversations.webhooks.serializers import DeliveryListQuery, WebhookSerializer, webhook_json
from conversations.widget import posthog_js
from projects.admin import ROTATION_OVERLAP
from projects.members.queries import members_of, with_member_ids
from projects.models import ApiKey, NotLive, Project, Role, to_be_changed
from projects.project.serializers import ProjectSerializer, project_json
from rest.exceptions import Conflict
from rest.fields import QueryParameters
from rest.json import differing
from rest.pagination import Order, base_url

# --- The project -------------------------------------------------------------


class ProjectPage(SettingsPage):
    """Some of the project's settings; every agent may change them, as by the API."""

    template = "inbox/settings/project.html"
    place = "project"
    fields = PROJECT

    def find(self, *, lock: bool = False) -> None:
        if lock:
            project = to_be_changed(Project.objects.filter(pk=self.project_id)).first()
            if project is None:
                raise NotFound("There is no such project.")
            self.project = project

    def page(self) -> dict[str, Any]:
        stored = project_json(self.project)
        entered = typed(self.fields, self.request.POST)
        return {
            "fields": self.controls("save", self.fields, stored, entered),
            "was": as_shown(self.fields, stored),
        }

    def save(self) -> HttpResponse:
        wanted = changed(typed(self.fields, self.request.POST), self.request.POST)
        serializer = ProjectSerializer(self.project, data=wanted, partial=True)
        self.project.change(validated(serializer))
        return self.done("Saved.")

    acts = {"save": save}


class WidgetPage(ProjectPage):
    """How the chat looks, and what makes it appear on a page."""

    template = "inbox/settings/widget.html"
    place = "widget"
    fields = WIDGET

    def page(self) -> dict[str, Any]:
        service = base_url(Request(self.request)).rstrip("/")
        return super().page() | {
            "script": f"{service}{static('array.js')}",
            "service": service,
            "is_installed": posthog_js.VERSION is not None,
        }


# --- API keys ----------------------------------------------------------------


class KeysPage(SettingsPage):
    """For whom the admin site lets manage keys; for others it says who can."""

    template = "inbox/settings/keys.html"
    place = "keys"
    query_class = None

    def page(self) -> dict[str, Any]:
        may_see = keys.may(self.request, "view")
        if not may_see:
            # Without a list there is nothing to ask for.
            read_query(self.request.GET, QueryParameters)
            return {"may_see": False}
        entered = typed(keys.NEW_KEY, self.request.POST)
        return {
            "may_see": True,
            "may_make": keys.may(self.request, "add"),
            "may_change": keys.may(self.request, "change"),
            "fields": self.controls("make", keys.NEW_KEY, {}, entered),
            "overlap_hours": ROTATION_OVERLAP // timedelta(hours=1),
            **self.list_of(
                ApiKey.objects.in_project(self.project_id),
                order=Order("id", descending=True, unique=True),
                scope=f"keys:{self.project_id}",
            ),
        }

    def make(self) -> HttpResponse:
        self._demand("add")
        first_time(self.request.POST.get("form", ""), self.agent)
        body = typed(keys.NEW_KEY, self.request.POST)
        fields = validated(keys.NewKeySerializer(data=body))
        lifetime = fields.pop("expires_in_days")
        api_key, secret = ApiKey.issue(
            project=self.project,
            expires_at=timezone.now() + lifetime if lifetime else None,
            **fields,
        )
        keys.log(self.request, api_key, "Made.")
        return self.show_secret(Secret(f"the key “{api_key.label}”", secret, ""))

    def rotate(self) -> HttpResponse:
        self._demand("change")
        first_time(self.request.POST.get("form", ""), self.agent)
        api_key = self._find_key()
        try:
            secret, until = api_key.rotate(overlap=ROTATION_OVERLAP)
        except NotLive as exc:
            raise Conflict(str(exc)) from exc
        keys.log(self.request, api_key, "Rotated.")
        ends = local(until).strftime("%H:%M")
        note = f"The one before it works until {ends}."
        return self.show_secret(Secret(f"the key “{api_key.label}”", secret, note))

    def revoke(self) -> HttpResponse:
        self._demand("change")
        api_key = self._find_key()
        api_key.revoke()
        keys.log(self.request, api_key, "Revoked.")
        return self.done(f"The key “{api_key.label}” is revoked.")

    def _demand(self, verb: str) -> None:
        if not keys.may(self.request, verb):
            raise PermissionDenied()

    def _find_key(self) -> ApiKey:
        """Locked."""
        named = self.request.POST.get("key", "")
        api_key = None
        if named.isascii() and named.isdecimal() and len(named) < 19:
            rows = ApiKey.objects.in_project(self.project_id).select_for_update()
            api_key = rows.filter(pk=int(named)).first()
        if api_key is None:
            raise NotFound("There is no such key.")
        return api_key

    acts = {"make": make, "rotate": rotate, "revoke": revoke}


# --- Webhooks ----------------------------------------------------------------


class WebhooksPage(SettingsPage):
    template = "inbox/settings/webhooks.html"
    place = "webhooks"

    def page(self) -> dict[str, Any]:
        webhooks = Webhook.objects.kept().filter(project_id=self.project_id)
        entered = typed(WEBHOOK, self.request.POST)
        return {
            # There are at most 50.
            "webhooks": webhooks.order_by("created_at", "pk"),
            "fields": self.controls("make", WEBHOOK, {"enabled": True}, entered),
        }

    def make(self) -> HttpResponse:
        first_time(self.request.POST.get("form", ""), self.agent)
        body = validated(WebhookSerializer(data=typed(WEBHOOK, self.request.POST)))
        try:
            webhook = verbs.add_webhook(project_id=self.project_id, **body)
        except verbs.TooManyWebhooks as exc:
            raise Conflict(str(exc)) from exc
        return self.show_secret(Secret(f"the webhook to {webhook.url}", webhook.secret, ""))

    acts = {"make": make}


class WebhookPage(SettingsPage):
    """One webhook, and what became of the events that it was to be told of."""

    template = "inbox/settings/webhook.html"
    place = "webhooks"
    query_class = None
    webhook: Webhook

    def find(self, *, lock: bool = False) -> None:
        self.webhook = find_webhook(self.project_id, self.kwargs["webhook_id"], lock=lock)

    def page(self) -> dict[str, Any]:
        stored = webhook_json(self.webhook)
        entered = typed(WEBHOOK, self.request.POST)
        return {
            "webhook": self.webhook,
            "fields": self.controls("save", WEBHOOK, stored, entered),
            "was": as_shown(WEBHOOK, stored),
            **self._deliveries(),
        }

    def _deliveries(self) -> dict[str, Any]:
        status = self.request.GET.get("status")
        shown = self.list_of(
            Delivery.objects.of(self.webhook, status),
            order=Order("created_at", descending=True),
            scope=f"deliveries:{self.webhook.pk}",
            query_class=DeliveryListQuery,
            adding=lambda rows: rows.select_related("event"),
        )
        return shown | {
            "deliveries": [(delivery, outcome(delivery)) for delivery in shown["rows"]],
            "statuses": [(value, label, value == status) for value, label in STATUSES],
        }

    def save(self) -> HttpResponse:
        wanted = changed(typed(WEBHOOK, self.request.POST), self.request.POST)
        wanted = differing(wanted, webhook_json(self.webhook))
        changes = validated(WebhookSerializer(self.webhook, data=wanted, partial=True))
        verbs.change_webhook(webhook=self.webhook, changes=changes)
        return self.done("Saved.")

    def rotate(self) -> HttpResponse:
        first_time(self.request.POST.get("form", ""), self.agent)
        try:
            verbs.rotate_secret(webhook=self.webhook)
        except verbs.TooManySecrets as exc:
            raise Conflict(str(exc)) from exc
        note = "For 24 hours both it and the one before it sign."
        return self.show_secret(
            Secret(f"the webhook to {self.webhook.url}", self.webhook.secret, note)
        )

    def delete(self) -> HttpResponse:
        verbs.remove(webhook=self.webhook)
        return self.done(
            "The webhook is deleted.", reverse("inbox-webhooks", args=[self.project_id])
        )

    def replay(self) -> HttpResponse:
        # It leads back to the list, which may have been asked for what there is not.
        if wrong := self._deliveries().get("list_errors"):
            raise ValidationError(wrong)
        delivery = find_delivery(self.webhook, self.request.POST.get("delivery", ""))
        try:
            verbs.replay(delivery=delivery)
        except verbs.Disabled as exc:
            raise Conflict(str(exc)) from exc
        return self.done("It is sent again.", self.request.get_full_path())

    acts = {"save": save, "rotate": rotate, "delete": delete, "replay": replay}


# --- The team ----------------------------------------------------------------


class TeamPage(SettingsPage):
    """Agents and roles, to look at: they are made by `manage.py` and in the admin site."""

    http_method_names = ["get", "head"]
    template = "inbox/settings/team.html"
    place = "team"
    query_class = None

    def page(self) -> dict[str, Any]:
        every_role = Role.objects.filter(project_id=self.project_id).order_by("name")
        roles: Any = with_member_ids(self.project_id, every_role)
        return {
            "roles": [(role, len(role.member_ids)) for role in roles],
            **self.list_of(
                members_of(self.project_id),
                order=Order("email", unique=True),
                scope=f"members:{self.project_id}",
            ),
        }
