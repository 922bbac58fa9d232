"""Who may call, and whom they serve: projects, keys, agents, roles and persons."""

from __future__ import annotations

import secrets
import uuid
import zoneinfo
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Lower
from django.utils import timezone
from uuid_utils.compat import uuid7

from projects import key_format
from rest.json import JSONField

SCOPES = (
    "ticket:read",
    "ticket:write",
    "person:read",
    "person:write",
    "webhook:read",
    "webhook:write",
    "project:read",
    "project:write",
    "*",
)


def new_uuid() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): sorts by time of creation."""
    return uuid7()


# --- Agents ------------------------------------------------------------------


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").lower())

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """An agent, known by email address, which is kept in lower case."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.email

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.email


# --- Projects ----------------------------------------------------------------


def _public_token() -> str:
    return f"cvp_{secrets.token_urlsafe(24)}"


def _identity_secret() -> str:
    return secrets.token_hex(32)


def _known_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError("%(name)s is not a time zone.", params={"name": name})


class Project(models.Model):
    """A team's own room: its tickets, customers and keys are seen from nowhere else."""

    name = models.CharField(max_length=200)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[_known_time_zone])
    conversations_enabled = models.BooleanField(default=True)
    reopen_on_reply = models.BooleanField(
        default=True, help_text="A customer's message reopens a resolved ticket."
    )
    public_token = models.CharField(max_length=64, unique=True, default=_public_token)
    identity_secret = models.CharField(max_length=64, default=_identity_secret)
    widget_enabled = models.BooleanField(default=True)
    widget_greeting_text = models.CharField(max_length=1000, blank=True, default="")
    widget_color = models.CharField(max_length=32, blank=True, default="")
    widget_placeholder_text = models.CharField(max_length=200, blank=True, default="")
    widget_require_email = models.BooleanField(default=False)
    widget_collect_name = models.BooleanField(default=True)
    widget_domains = ArrayField(models.CharField(max_length=253), blank=True, default=list)
    widget_restore_enabled = models.BooleanField(default=True)
    last_ticket_number = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="projects"
    )

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"


class Membership(models.Model):
    """An agent's place in a project: all of its API, without scopes."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_unique")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}"


class Role(models.Model):
    """A group of agents that tickets can be assigned to."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="roles")
    name = models.CharField(max_length=200)
    members = models.ManyToManyField(User, related_name="roles", blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="role_name_unique")]

    def __str__(self) -> str:
        return self.name


# --- API keys ----------------------------------------------------------------


class NotLive(Exception):
    """The key is revoked or expired, so that a new secret would not work either."""


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def in_project(self, project_id: int) -> ApiKeyQuerySet:
        return self.filter(project_id=project_id)

    def with_digest(self, digest: str) -> ApiKeyQuerySet:
        return self.filter(Q(digest=digest) | Q(previous_digest=digest))


class ApiKey(models.Model):
    """A key of one project, known by its SHA-256 alone.

    Rotation replaces the secret of the same row, so that its id, scopes and
    limits stay; the secret before it works until `previous_expires_at`.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="api_keys")
    label = models.CharField(max_length=200)
    scopes = ArrayField(
        models.CharField(max_length=32, choices=[(scope, scope) for scope in SCOPES])
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    previous_digest = models.CharField(max_length=64, unique=True, null=True, editable=False)
    previous_expires_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.label} ({self.pk})"

    @classmethod
    def issue(
        cls,
        *,
        project: Project,
        label: str,
        scopes: Iterable[str],
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which can not be had again."""
        secret = key_format.new_key()
        api_key = cls.objects.create(
            project=project,
            label=label,
            scopes=sorted(set(scopes)),
            digest=key_format.digest(secret),
            expires_at=expires_at,
        )
        return api_key, secret

    @property
    def is_live(self) -> bool:
        is_current = self.expires_at is None or self.expires_at > timezone.now()
        return is_current and self.revoked_at is None

    def rotate(self, *, overlap: timedelta) -> tuple[str, datetime]:
        """A new secret, and until when the one before it works: for `overlap` more.

        A secret that was retired earlier works no more. The caller has locked the
        row. Raises NotLive for a revoked or expired key.
        """
        from projects.keys import forget

        if not self.is_live:
            raise NotLive(f"API key {self.pk} is revoked or expired; a new secret would not work.")
        retired = self.previous_digest
        secret = key_format.new_key()
        ends = timezone.now() + overlap
        self.previous_digest = self.digest
        self.previous_expires_at = min(ends, self.expires_at or ends)
        self.digest = key_format.digest(secret)
        self.save(update_fields=["digest", "previous_digest", "previous_expires_at"])
        if retired:
            forget(retired)
        return secret, self.previous_expires_at

    def revoke(self) -> None:
        """Ends the key at once, for both of its secrets."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])


# --- Persons -----------------------------------------------------------------


class Person(models.Model):
    """A customer, under all the distinct ids that they are known by."""

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="persons")
    properties = JSONField(default=dict, blank=True)
    is_identified = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [
            models.Index(
                "project",
                Lower(KeyTextTransform("email", "properties")),
                name="person_email",
            )
        ]

    def __str__(self) -> str:
        return str(self.pk)


class PersonDistinctId(models.Model):
    """One name that a person is known by; a person may have many, a name has one person."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    person = models.ForeignKey(Person, models.CASCADE, related_name="distinct_id_rows")
    distinct_id = models.CharField(max_length=400)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "distinct_id"], name="distinct_id_unique")
        ]

    def __str__(self) -> str:
        return self.distinct_id
