"""Projects, keys, agents, roles and customers in Django's admin site."""

import io
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Count, QuerySet
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import APIException

from projects import identities, key_format
from projects.agents import LimitedForm
from projects.models import (
    SCOPES,
    ApiKey,
    Membership,
    NotLive,
    Person,
    PersonDistinctId,
    Project,
    Role,
    User,
)
from projects.persons import person_name
from rest.json import differing
from rest.media import StrictJSONParser

ROTATION_OVERLAP = timedelta(hours=1)

admin.site.site_header = admin.site.site_title = "Conversations"


class AdminLoginForm(LimitedForm, AdminAuthenticationForm):
    """Attempts here and at /login are counted together."""


admin.site.login_form = AdminLoginForm


class ServiceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # (generic in the stubs alone)
    """Saves the columns that the form has changed, and no other.

    The row may have changed since the form read it: a project's last ticket number
    counts on, a key is revoked. Writing all columns would undo that.
    """

    show_full_result_count = False
    # Fields that can be chosen once: other rows rely on them.
    fixed: tuple[str, ...] = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        readonly = super().get_readonly_fields(request, obj)
        return (*readonly, *self.fixed) if obj else readonly

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            columns = {field.name for field in obj._meta.concrete_fields}
            obj.save(update_fields=columns.intersection(form.changed_data))
        else:
            obj.save()


# --- Projects ----------------------------------------------------------------


class ProjectForm(forms.ModelForm):  # type: ignore[type-arg]  # (generic in the stubs alone)
    time_zone = forms.TypedChoiceField(
        choices=lambda: [(name, name) for name in sorted(available_timezones())], initial="UTC"
    )
    widget_domains = SimpleArrayField(
        forms.CharField(max_length=253),
        required=False,
        help_text="Separated by commas; empty: any.",
    )


class MembershipInline(admin.TabularInline):  # type: ignore[type-arg]  # (generic in the stubs alone)
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Project)
class ProjectAdmin(ServiceAdmin):
    form = ProjectForm
    list_display = ("id", "name", "time_zone", "conversations_enabled", "created_at")
    list_display_links = ("id", "name")
    search_fields = ("name",)
    ordering = ("id",)
    inlines = (MembershipInline,)
    readonly_fields = ("public_token", "identity_secret", "last_ticket_number", "created_at")

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        # A new project gets its secrets when it is saved: the form would show others.
        return () if obj else self.readonly_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        fields = super().get_readonly_fields(request, obj)
        if self.has_change_permission(request, obj):
            return fields
        return [name for name in fields if name != "identity_secret"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)
        may_see_secret = obj is not None and self.has_change_permission(request, obj)
        return [name for name in fields if may_see_secret or name != "identity_secret"]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        # Or whoever sees the list could ask for the secret, letter by letter.
        return not lookup.startswith("identity_secret") and super().lookup_allowed(
            lookup, value, request
        )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What goes with a project, counted: it may be a million messages.

        Whoever may delete a project may delete what is in it, tickets included,
        which nobody can delete here one by one.
        """
        projects = list(objs)
        counts = {
            str(model._meta.verbose_name_plural): model._default_manager.filter(
                project__in=projects
            ).count()
            for model in _models_in_a_project()
        }
        lines = [f"{count} {name}" for name, count in counts.items() if count]
        listed: list[Any] = [*map(str, projects), lines] if lines else [*map(str, projects)]
        return listed, {"projects": len(projects), **counts}, set(), []


def _models_in_a_project() -> Iterable[Any]:
    for relation in Project._meta.get_fields(include_hidden=True):
        if isinstance(relation, models.ManyToOneRel) and relation.field.name == "project":
            yield relation.related_model


# --- API keys ----------------------------------------------------------------


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # (generic in the stubs alone)
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in SCOPES], widget=forms.CheckboxSelectMultiple
    )

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        is_changed = "expires_at" in self.changed_data
        if is_changed and expires_at is not None and expires_at <= timezone.now():
            raise ValidationError("This is in the past. To end a key, revoke it.")
        return expires_at


@admin.register(ApiKey)
class ApiKeyAdmin(ServiceAdmin):
    """A key's secret is shown once, in the answer to the request that made it."""

    form = ApiKeyForm
    fields = (
        "project",
        "label",
        "scopes",
        "expires_at",
        "rate_limits",
        "created_at",
        "revoked_at",
        "previous_expires_at",
        "last_used_at",
    )
    readonly_fields = ("created_at", "revoked_at", "previous_expires_at", "last_used_at")
    fixed = ("project",)
    list_display = (
        "id",
        "label",
        "project",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
    )
    list_display_links = ("id", "label")
    list_select_related = ("project",)
    list_filter = ("project",)
    search_fields = ("label",)
    ordering = ("-id",)
    autocomplete_fields = ("project",)
    actions = ("rotate", "revoke")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        obj.scopes = sorted(obj.scopes)
        if change:
            return super().save_model(request, obj, form, change)
        secret = key_format.new_key()
        obj.digest = key_format.digest(secret)
        obj.save()
        self._show(request, obj, secret)
        return None

    @admin.action(
        permissions=["change"],
        description="Rotate: a new secret, the old one works for 1 hour more",
    )
    def rotate(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        with transaction.atomic():
            selected = list(queryset.select_for_update(of=("self",))[:2])
            if len(selected) != 1:
                self.message_user(request, "Rotate one key at a time.", messages.ERROR)
                return
            try:
                secret, _ = selected[0].rotate(overlap=ROTATION_OVERLAP)
            except NotLive as error:
                self.message_user(request, str(error), messages.ERROR)
                return
            self.log_change(request, selected[0], "Rotated.")
        self._show(request, selected[0], secret)

    @admin.action(permissions=["change"], description="Revoke: ends the keys at once, and for good")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        with transaction.atomic():
            for api_key in queryset.select_for_update(of=("self",)):
                api_key.revoke()
                self.log_change(request, api_key, "Revoked.")
                self.message_user(request, f"{api_key} is revoked.", messages.SUCCESS)

    def _show(self, request: HttpRequest, api_key: ApiKey, secret: str) -> None:
        # Messages travel in a cookie, so that the secret is not stored here either.
        self.message_user(
            request,
            f"The secret of {api_key} is {secret}. Keep it now: it is not shown again.",
            messages.WARNING,
        )


# --- Agents and roles --------------------------------------------------------


class NewUserForm(AdminUserCreationForm):  # type: ignore[type-arg]  # (generic in the stubs alone)
    class Meta:
        model = User
        fields = ("email",)

    def clean_email(self) -> str:
        # Before the check that the address is new: it is kept in lower case.
        return str(self.cleaned_data["email"]).lower()


class ChangedUserForm(UserChangeForm):  # type: ignore[type-arg]  # (generic in the stubs alone)
    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).lower()


@admin.register(User)
class UserAdmin(ServiceAdmin, DjangoUserAdmin):  # type: ignore[type-arg]  # (generic in the stubs alone)
    form = ChangedUserForm
    add_form = NewUserForm
    list_display = ("email", "first_name", "last_name", "is_active", "is_staff")
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Name", {"fields": ("first_name", "last_name")}),
        (
            "Permissions",
            {
                "fields": (
                    "is_active",
                    "is_staff",
                    "is_superuser",
                    "groups",
                    "user_permissions",
                )
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("email", "usable_password", "password1", "password2"),
            },
        ),
    )
    readonly_fields = ("last_login", "date_joined")


@admin.register(Membership)
class MembershipAdmin(ServiceAdmin):
    list_display = ("user", "project", "created_at")
    list_filter = ("project",)
    list_select_related = ("user", "project")
    search_fields = ("user__email", "project__name")
    ordering = ("project", "user__email")
    autocomplete_fields = ("project", "user")
    fixed = ("project", "user")


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]  # (generic in the stubs alone)
    def clean(self) -> None:
        super().clean()
        stored = None if self.instance._state.adding else self.instance.project
        project = self.cleaned_data.get("project", stored)
        if project is None or "members" not in self.cleaned_data:
            return
        strangers = self.cleaned_data["members"].exclude(memberships__project=project)
        if strangers:
            names = ", ".join(map(str, strangers))
            self.add_error("members", f"Not an agent of {project}: {names}.")


@admin.register(Role)
class RoleAdmin(ServiceAdmin):
    form = RoleForm
    list_display = ("name", "project", "agents")
    list_filter = ("project",)
    list_select_related = ("project",)
    search_fields = ("name",)
    ordering = ("project", "name")
    autocomplete_fields = ("project", "members")
    fixed = ("project",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Role]:
        roles: QuerySet[Role] = super().get_queryset(request)
        return roles.annotate(agents=Count("members"))

    @admin.display(ordering="agents")
    def agents(self, role: Any) -> int:
        return int(role.agents)


# --- Customers ---------------------------------------------------------------


class PropertiesField(forms.JSONField):
    """A JSON object as strictly read as the API reads one."""

    def bound_data(self, data: Any, initial: Any) -> Any:
        # Shown again as it was typed: the base class would read and rewrite it first,
        # which fails on some of what is refused here.
        return InvalidJSONInput(data or "{}")

    def to_python(self, value: Any) -> Any:
        text = str(value or "{}").encode(errors="surrogatepass")
        try:
            properties = StrictJSONParser().parse(io.BytesIO(text))
        except APIException as error:
            raise ValidationError(str(error.detail)) from None
        if not isinstance(properties, dict):
            raise ValidationError("Must be a JSON object.")
        return properties


class PersonForm(forms.ModelForm):  # type: ignore[type-arg]  # (generic in the stubs alone)
    properties = PropertiesField(required=False)

    def clean(self) -> None:
        super().clean()
        # What is typed here is more than a claim.
        properties = self.cleaned_data.get("properties", {})
        news = differing(properties, self.initial.get("properties") or {})
        self.instance.claimed = [
            name for name in self.instance.claimed if name in properties and name not in news
        ]


class DistinctIdFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]  # (generic in the stubs alone)
    """Distinct ids take their project from their person, in which each has one person only."""

    def clean(self) -> None:
        super().clean()
        project_id = self.instance.project_id
        for form in self.forms:
            form.instance.project_id = project_id
            distinct_id = form.cleaned_data.get("distinct_id") if form.is_valid() else None
            rows = PersonDistinctId.objects.filter(project_id=project_id, distinct_id=distinct_id)
            if distinct_id and rows.exclude(pk=form.instance.pk).exists():
                form.add_error("distinct_id", "A person of this project has this distinct id.")


class DistinctIdInline(admin.TabularInline):  # type: ignore[type-arg]  # (generic in the stubs alone)
    model = PersonDistinctId
    formset = DistinctIdFormSet
    fields = ("distinct_id",)
    extra = 1


@admin.register(Person)
class PersonAdmin(ServiceAdmin):
    form = PersonForm
    fields = ("project", "properties", "is_identified", "created_at")
    readonly_fields = ("created_at",)
    fixed = ("project",)
    list_display = ("id", "name", "project", "is_identified", "created_at")
    list_display_links = ("id", "name")
    list_filter = ("project",)
    list_select_related = ("project",)
    # Whole, since only that has an index.
    search_fields = ("distinct_id_rows__distinct_id__exact",)
    search_help_text = "A distinct id, as a whole."
    ordering = ("-id",)
    autocomplete_fields = ("project",)
    inlines = (DistinctIdInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Person]:
        persons: QuerySet[Person] = super().get_queryset(request)
        return persons.prefetch_related("distinct_id_rows")

    def save_model(self, request: HttpRequest, obj: Person, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "properties" in form.changed_data:
            obj.save(update_fields=["claimed"])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        _forget_links([form.instance])
        super().save_related(request, form, formsets, change)
        _forget_links([form.instance])

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # To erase somebody takes more than this row: the API does it, events included.
        return False

    def name(self, person: Person) -> str:
        rows = person.distinct_id_rows.all()
        return person_name(person.properties, [row.distinct_id for row in rows])


def _forget_links(persons: Iterable[Person]) -> None:
    rows = PersonDistinctId.objects.filter(person__in=[person.pk for person in persons])
    for project_id, distinct_id in rows.values_list("project_id", "distinct_id"):
        identities.forget_links(project_id, [distinct_id])
