"""Who may call, and whom they serve: projects, keys, agents, roles and persons."""

from __future__ import annotations

import re
import secrets
import uuid
import zoneinfo
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, OuterRef, Q, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Left, Lower
from django.utils import timezone
from uuid_utils.compat import uuid7

from projects import key_format
from rest.json import JSONField
from rest.rates import parse_rate, parse_rates
from rest.words import Begin, Lexemes, words

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


_MAX_NAME = 200


class User(AbstractUser):
    """An agent, known by email address, which is kept in lower case."""

    username = None  # type: ignore[assignment]  # (as Django's documentation does it)
    email = models.EmailField(unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]  # (as Django's documentation does it)

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.email

    @property
    def display_name(self) -> str:
        """At most 200 characters, as many as the author of a message has; the two names, and the
        address, may be longer."""
        name = self.get_full_name() or self.email
        return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"


# --- Projects ----------------------------------------------------------------


def _public_token() -> str:
    return f"cvp_{secrets.token_urlsafe(24)}"


def _identity_secret() -> str:
    return secrets.token_hex(32)


def _known_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError("%(name)s is not a time zone.", params={"name": name})


_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def _host_name(name: str) -> None:
    if not _HOST_NAME.fullmatch(name):
        raise ValidationError(
            "%(name)s is not a host name like shop.example.com: lower case, without scheme, "
            "port or path, and in its ASCII form (xn--).",
            params={"name": name},
        )


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
    widget_domains = ArrayField(
        models.CharField(max_length=253, validators=[_host_name]), blank=True, default=list
    )
    widget_restore_enabled = models.BooleanField(default=True)
    last_ticket_number = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="projects"
    )

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"

    def change(self, fields: dict[str, Any]) -> None:
        """Saves these columns alone: others, like the last ticket number, change meanwhile."""
        for name, value in fields.items():
            setattr(self, name, value)
        if fields:
            self.save(update_fields=list(fields))


def to_be_changed(projects: models.QuerySet[Project]) -> models.QuerySet[Project]:
    """Locked, but other rows may refer to them meanwhile, so that no new ticket waits."""
    return projects.select_for_update(no_key=True)


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


def _a_rate(text: str) -> None:
    try:
        parse_rate(text)
    except ValueError as exc:
        raise ValidationError(str(exc)) from exc


def _of_different_windows(texts: list[str]) -> None:
    try:
        parse_rates(texts)
    except ValueError as exc:
        raise ValidationError(str(exc)) from exc


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
    rate_limits = ArrayField(
        models.CharField(max_length=20, validators=[_a_rate]),
        validators=[_of_different_windows],
        blank=True,
        default=list,
        db_default=[],
        help_text="Like 480/minute, separated by commas; empty: what the service allows everybody.",
    )

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
        rate_limits: Iterable[str] = (),
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which can not be had again."""
        secret = key_format.new_key()
        api_key = cls.objects.create(
            project=project,
            label=label,
            scopes=sorted(set(scopes)),
            digest=key_format.digest(secret),
            expires_at=expires_at,
            rate_limits=list(rate_limits),
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


# The properties that name a person, the best first.
NAME_PROPERTIES = (
    "email",
    "Email",
    "$email",
    "name",
    "Name",
    "username",
    "Username",
    "UserName",
)


def names_in(properties: dict[str, Any]) -> Iterator[str]:
    """What the properties call a person, the best first; what is empty names nobody."""
    for name in NAME_PROPERTIES:
        value = properties.get(name)
        if type(value) in (str, int, float) and (text := str(value)).strip():
            yield text


class NamesField(SearchVectorField):  # type: ignore[type-arg]  # (generic in the stubs alone)
    """The words of a person's names: made anew with each row that is written."""

    def pre_save(self, model_instance: Any, add: bool) -> Lexemes:
        names = names_in(model_instance.properties)
        return Lexemes(model_instance.project_id, {word for name in names for word in words(name)})


def address_key(of: Any) -> Left:
    """What addresses of persons are compared by, and the index `person_email` is made of.

    In lower case, by PostgreSQL's idea of it on both sides; and no longer than any
    address is, since an index takes no value beyond 2,700 bytes.
    """
    return Left(Lower(of), 320)


class PersonQuerySet(models.QuerySet["Person"]):
    def in_project(self, project_id: int) -> PersonQuerySet:
        return self.filter(project_id=project_id)

    def known_as(self, project_id: int, distinct_id: str) -> PersonQuerySet:
        rows = PersonDistinctId.objects.filter(project_id=project_id, distinct_id=distinct_id)
        return self.in_project(project_id).filter(pk__in=rows.values("person"))

    def with_address(self, project_id: int, addresses: Iterable[str]) -> PersonQuerySet:
        """Those whose property `email` is one of these, case-insensitively."""
        wanted: Any = [address_key(Value(address)) for address in sorted(set(addresses))]
        return (
            self.in_project(project_id)
            .alias(address=address_key(KeyTextTransform("email", "properties")))
            .filter(address__in=wanted)
        )

    def with_distinct_ids(self) -> PersonQuerySet:
        """Adds all distinct ids of each, the oldest first."""
        names = PersonDistinctId.objects.filter(person=OuterRef("pk")).order_by("pk")
        return self.defer("search").annotate(  # type: ignore[no-redef]  # (declared there as well)
            distinct_ids=ArraySubquery(names.values("distinct_id"))
        )

    def found_by(self, project_id: int, text: str) -> PersonQuerySet:
        """Those that a search finds: each of its words begins a word of what names the
        person, or it is one of their distinct ids.

        The ids are gathered first, and are the only condition: PostgreSQL can not know
        how few they are, and would sooner walk all persons of the project. Both ways
        to an id name the project themselves.
        """
        by_id = PersonDistinctId.objects.filter(project_id=project_id, distinct_id=text)
        found: Any = by_id.values("person")
        if searched := words(text):
            by_name = Person.objects.filter(Begin("search", project_id, searched))
            found = found.union(by_name.values("pk"))
        return self.filter(_IsAnyOf(F("pk"), ArraySubquery(found)))


class _IsAnyOf(Func):
    template = "%(expressions)s)"
    arg_joiner = " = ANY("
    output_field = models.BooleanField()


class Person(models.Model):
    """A customer, under all the distinct ids that they are known by.

    `claimed` names the properties that only a browser's events have said, see
    `projects.persons.claims`; they give way to what an API key or a verified
    identity says.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    project = models.ForeignKey(Project, models.CASCADE, related_name="persons")
    properties = JSONField(default=dict, blank=True)
    claimed = ArrayField(models.TextField(), default=list, db_default=[], editable=False)
    is_identified = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    search = NamesField(null=True, editable=False)

    # Where `with_distinct_ids` has added them.
    distinct_ids: list[str]

    objects = PersonQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                F("project"),
                address_key(KeyTextTransform("email", "properties")),
                name="person_email",
            ),
            models.Index(fields=["project", "created_at", "id"], name="person_created"),
            GinIndex(fields=["search"], name="person_search"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        if update_fields is not None and "properties" in update_fields:
            update_fields = {*update_fields, "search"}
        super().save(*args, update_fields=update_fields, **kwargs)


class PersonDistinctId(models.Model):
    """One name that a person is known by; a person may have many, a name has one person.

    Names of one person with the same `link` are one customer by the word of an API
    key or a verified identity; a name without a link is there by a claim alone.
    `is_identified` once somebody has said that it names a customer, and no mere
    browser: an API key, a verified identity, or a claim. What is known of a row
    that says nothing of the two is that no claim has made it.
    """

    project = models.ForeignKey(Project, models.CASCADE, related_name="+")
    person = models.ForeignKey(Person, models.CASCADE, related_name="distinct_id_rows")
    distinct_id = models.CharField(max_length=400)
    is_identified = models.BooleanField(db_default=True, editable=False)
    link = models.UUIDField(null=True, db_default=RandomUUID(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "distinct_id"], name="distinct_id_unique")
        ]

    def __str__(self) -> str:
        return self.distinct_id


class PendingClaims(models.Model):
    """What a batch of events claims of persons, see `projects.persons.claims`.

    Here until a job has heard it: for seconds, and where that fails for a day.
    """

    id = models.UUIDField(primary_key=True, default=new_uuid, editable=False)
    # Few rows at any time: an index would cost each request more than it ever saves.
    project = models.ForeignKey(Project, models.CASCADE, related_name="+", db_index=False)
    claims = JSONField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return str(self.pk)
