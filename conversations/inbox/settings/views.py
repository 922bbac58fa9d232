"""The settings of a project, its keys, webhooks and team; done by the verbs that the API has."""

from datetime import timedelta
from typing import Any

from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request

from conversations.inbox.clock import local
from conversations.inbox.once import first_time
from conversations.inbox.page import read_query
from conversations.inbox.settings import keys, team
from conversations.inbox.settings.forms import as_shown, changed, typed, validated
from conversations.inbox.settings.pages import Secret, SettingsPage
from conversations.inbox.settings.projects import PROJECT, WIDGET
from conversations.inbox.settings.rights import (
    demand,
    log_added,
    log_changed,
    log_deleted,
    may,
)
from conversations.inbox.settings.webhooks import STATUSES, WEBHOOK, outcome
from conversations.models import Delivery, Webhook
from conversations.webhooks import verbs
from conversations.webhooks.finding import find_delivery, find_webhook
from conversations.webhooks.serializers import DeliveryListQuery, WebhookSerializer, webhook_json
from conversations.widget import posthog_js
from projects.admin import ROTATION_OVERLAP
from projects.members.queries import members_of
from projects.members.verbs import NameTaken, add_member, add_role, change_role
from projects.models import ApiKey, Membership, NotLive, Project, Role, User, to_be_changed
from projects.project.serializers import ProjectSerializer, project_json
from rest.exceptions import Conflict, invalid
from rest.fields import UUID_FORM, QueryParameters
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
        may_see = may(self.request, ApiKey, "view")
        if not may_see:
            # Without a list there is nothing to ask for.
            read_query(self.request.GET, QueryParameters)
            return {"may_see": False}
        entered = typed(keys.NEW_KEY, self.request.POST)
        return {
            "may_see": True,
            "may_make": may(self.request, ApiKey, "add"),
            "may_change": may(self.request, ApiKey, "change"),
            "fields": self.controls("make", keys.NEW_KEY, {}, entered),
            "now": timezone.now(),
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
        log_changed(self.request, api_key, "Made.")
        return self.show_secret(Secret(f"the key “{api_key.label}”", secret, ""))

    def rotate(self) -> HttpResponse:
        self._demand("change")
        first_time(self.request.POST.get("form", ""), self.agent)
        api_key = self._find_key()
        try:
            secret, until = api_key.rotate(overlap=ROTATION_OVERLAP)
        except NotLive as exc:
            raise Conflict(str(exc)) from exc
        log_changed(self.request, api_key, "Rotated.")
        ends = local(until).strftime("%H:%M")
        note = f"The one before it works until {ends}."
        return self.show_secret(Secret(f"the key “{api_key.label}”", secret, note))

    def revoke(self) -> HttpResponse:
        self._demand("change")
        api_key = self._find_key()
        api_key.revoke()
        log_changed(self.request, api_key, "Revoked.")
        return self.done(f"The key “{api_key.label}” is revoked.")

    def _demand(self, verb: str) -> None:
        demand(self.request, ApiKey, verb)

    def _find_key(self) -> ApiKey:
        """Locked."""
        rows = ApiKey.objects.in_project(self.project_id).select_for_update()
        api_key = rows.filter(pk=_number(self.request.POST.get("key", ""))).first()
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
    """Agents and roles; to be changed by whoever may do so in the admin site."""

    template = "inbox/settings/team.html"
    place = "team"
    query_class = None

    def page(self) -> dict[str, Any]:
        entered = typed([*team.NEW_AGENT, *team.NEW_ROLE], self.request.POST)
        new_agent = self.controls("add", team.NEW_AGENT, {}, entered)
        new_role = self.controls("add_role", team.NEW_ROLE, {}, entered)
        return {
            "may_add": may(self.request, Membership, "add"),
            "may_remove": may(self.request, Membership, "delete"),
            "may_add_role": may(self.request, Role, "add"),
            "may_change_role": may(self.request, Role, "change"),
            "may_delete_role": may(self.request, Role, "delete"),
            "new_agent": new_agent,
            "new_role": new_role,
            "fields": [*new_agent, *new_role],
            "roles": self._roles(),
            **self.list_of(
                members_of(self.project_id),
                order=Order("email", unique=True),
                scope=f"members:{self.project_id}",
            ),
        }

    def _roles(self) -> list[team.ShownRole]:
        """With what was typed, in the one whose form was refused."""
        form = self.request.POST
        refused = form.get("role") if self.is_typed("change_role") else None
        within = team.members_by_role(self.project_id)
        roles = []
        for role in Role.objects.filter(project_id=self.project_id).order_by("name"):
            members, is_open = within.get(role.pk, []), str(role.pk) == refused
            roles.append(
                team.ShownRole(
                    role,
                    members,
                    form.get("role_name", "") if is_open else role.name,
                    form.get("role_members", "") if is_open else "\n".join(members),
                    is_open,
                )
            )
        return roles

    def add(self) -> HttpResponse:
        demand(self.request, Membership, "add")
        entered = typed(team.NEW_AGENT, self.request.POST)
        email = validated(team.NewAgentSerializer(data=entered))["email"].lower()
        user = User.objects.filter(email=email).first()
        if user is None:
            raise invalid("email", "Nobody has an account with this address.", "does_not_exist")
        membership, is_new = add_member(project=self.project, user=user)
        if not is_new:
            raise invalid("email", "They are an agent of this project already.", "unique")
        log_added(self.request, membership)
        return self.done(f"{user.display_name} is an agent of this project now.")

    def remove(self) -> HttpResponse:
        demand(self.request, Membership, "delete")
        named = _number(self.request.POST.get("agent", ""))
        rows = Membership.objects.filter(project_id=self.project_id, user_id=named)
        membership = rows.select_related("user").select_for_update(of=["self"]).first()
        if membership is None:
            raise NotFound("There is no such agent.")
        log_deleted(self.request, membership)
        membership.delete()
        is_me = membership.user_id == self.agent.pk
        said = f"{membership.user.display_name} is no agent of this project any more."
        return self.done(said, reverse("inbox") if is_me else None)

    def add_role(self) -> HttpResponse:
        demand(self.request, Role, "add")
        entered = typed(team.NEW_ROLE, self.request.POST)
        name = validated(team.NewRoleSerializer(data=entered))["name"]
        try:
            role = add_role(project=self.project, name=name)
        except NameTaken as exc:
            raise team.name_taken("name") from exc
        log_added(self.request, role)
        return self.done(f"The role “{role.name}” is made.")

    def change_role(self) -> HttpResponse:
        demand(self.request, Role, "change")
        role = self._find_role()
        context = {"project_id": self.project_id}
        entered = typed(team.ROLE, self.request.POST)
        fields = validated(team.RoleSerializer(data=entered, context=context))
        try:
            change_role(
                role=role,
                name=fields["role_name"],
                joining=fields["joining"],
                leaving=fields["leaving"],
            )
        except NameTaken as exc:
            raise team.name_taken("role_name") from exc
        log_changed(self.request, role, "Changed.")
        return self.done(f"The role “{role.name}” is changed.")

    def delete_role(self) -> HttpResponse:
        demand(self.request, Role, "delete")
        role = self._find_role()
        log_deleted(self.request, role)
        role.delete()
        return self.done(f"The role “{role.name}” is deleted.")

    def _find_role(self) -> Role:
        """Locked."""
        named = self.request.POST.get("role", "")
        rows = Role.objects.filter(project_id=self.project_id).select_for_update()
        role = rows.filter(pk=named).first() if UUID_FORM.fullmatch(named) else None
        if role is None:
            raise NotFound("There is no such role.")
        return role

    acts = {
        "add": add,
        "remove": remove,
        "add_role": add_role,
        "change_role": change_role,
        "delete_role": delete_role,
    }


def _number(named: str) -> int:
    """Zero for what can be no row's."""
    return int(named) if named.isascii() and named.isdecimal() and len(named) < 19 else 0
