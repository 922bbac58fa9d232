"""What the service's commands have in common: how they read, answer and refuse."""

import json
import re
from abc import abstractmethod
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, OperationalError, models, transaction
from django.db.utils import ProgrammingError
from psycopg import errors as postgres

from projects.models import SCOPES, ApiKey, Project
from rest.json import timestamp

_ID = re.compile(r"[0-9]{1,19}")
_MAX_ID = 2**63 - 1
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MAX_DURATION = timedelta(days=36_500)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class ServiceCommand(BaseCommand):
    """A command that does all that it is asked or nothing, and answers in words or as JSON.

    `answer` does it, in one transaction; whatever it can not do is a `CommandError`.
    """

    # A command that goes through everything opens smaller ones: locks are not held for long.
    in_one_transaction = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer as JSON, for programs")

    def handle(self, *args: Any, **options: Any) -> str:
        try:
            with transaction.atomic() if self.in_one_transaction else nullcontext():
                answer = self.answer(options)
        except (OperationalError, ProgrammingError, IntegrityError) as error:
            raise CommandError(_explain(error)) from error
        except OSError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            return json.dumps(answer, default=timestamp)
        return self.in_words(answer)

    @abstractmethod
    def answer(self, options: dict[str, Any]) -> Any:
        """Does it, and returns what `--json` prints."""

    @abstractmethod
    def in_words(self, answer: Any) -> str:
        """The answer for a person."""


def _explain(error: Exception) -> str:
    if isinstance(error.__cause__, postgres.UndefinedTable | postgres.UndefinedColumn):
        return "The database lacks this version's tables. Run `manage.py migrate` first."
    if isinstance(error, OperationalError):
        return f"The database can not be used: {error}"
    if isinstance(error, IntegrityError):
        return f"Somebody else changed the same thing meanwhile; nothing was done. ({error})"
    raise error


# Reading arguments. They come as text and are read here, not by argparse, whose
# refusals have another form and another exit code.


def find_project(named: Any) -> Project:
    project = Project.objects.filter(pk=_read_id(named)).first()
    if project is None:
        raise CommandError(f"There is no project {shown(named)}.")
    return project


def find_api_key(named: Any) -> ApiKey:
    """The key with this id, locked until the command is done."""
    api_key = ApiKey.objects.select_for_update().filter(pk=_read_id(named)).first()
    if api_key is None:
        raise CommandError(f"There is no API key {shown(named)}.")
    return api_key


def _read_id(named: Any) -> int:
    if not _ID.fullmatch(str(named)):
        raise CommandError(f"{shown(named)} is not an id: ids are whole numbers.")
    # No row has a number beyond those of the column, which the database would refuse.
    return min(int(named), _MAX_ID)


def read_duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if not found:
        raise CommandError(
            f"{shown(text)} is not a duration: give a number with s, m, h or d, as in 12h or 90d."
        )
    duration = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta(0) < duration <= _MAX_DURATION:
        raise CommandError(
            f"{shown(text)} is no usable duration: it must be more than nothing and at most "
            f"{_MAX_DURATION.days}d."
        )
    return duration


def read_scopes(text: str) -> list[str]:
    scopes = [scope.strip() for scope in text.split(",")]
    for scope in scopes:
        if scope not in SCOPES:
            raise CommandError(f"There is no scope {shown(scope)}. Scopes: {', '.join(SCOPES)}.")
    return scopes


def clean(instance: models.Model, name: str, value: Any) -> Any:
    """The value as the field `name` of the instance takes it, after all of its checks."""
    field: Any = type(instance)._meta.get_field(name)
    texts = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if any(_UNSTORABLE.search(text) for text in texts):
        raise CommandError(f"{name} {shown(value)} has characters that can not be stored.")
    if isinstance(value, str) and not field.blank and not value.strip():
        raise CommandError(f"{name} {shown(value)} is blank.")
    try:
        return field.clean(value, instance)
    except ValidationError as error:
        reasons = " ".join(error.messages)
        raise CommandError(f"{name} {shown(value)} can not be: {reasons}") from None


def shown(value: Any) -> str:
    """The value as a message quotes it: in quotation marks, escaped, and not at any length."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]} ..."
