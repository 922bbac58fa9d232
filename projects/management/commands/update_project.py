from typing import Any

import orjson
from django.contrib.postgres.fields import ArrayField
from django.core.management.base import CommandError, CommandParser
from django.db import models

from projects.management.base import ServiceCommand, clean, find_project, shown
from projects.models import Project

SETTINGS = [
    field.name
    for field in Project._meta.concrete_fields
    if field.name in ("name", "time_zone", "conversations_enabled", "reopen_on_reply")
    or field.name.startswith("widget_")
]


class Command(ServiceCommand):
    help = f"Changes settings of a project: {', '.join(SETTINGS)}."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id")
        parser.add_argument(
            "--set",
            required=True,
            action="append",
            metavar="NAME=JSON",
            help="""e.g. reopen_on_reply=false or 'name="Shop"'; may be repeated""",
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        project = find_project(options["id"])
        changes = _read(options["set"])
        for name, value in changes.items():
            setattr(project, name, clean(project, name, value))
        # These columns alone: others, like the last ticket number, change meanwhile.
        project.save(update_fields=list(changes))
        return {"id": project.pk, **{name: getattr(project, name) for name in SETTINGS}}

    def in_words(self, answer: dict[str, Any]) -> str:
        return "\n".join(
            f"{name} = {orjson.dumps(value).decode()}" for name, value in answer.items()
        )


def _read(assignments: list[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise CommandError(f"{shown(assignment)} is not of the form NAME=JSON.")
        if name not in SETTINGS:
            raise CommandError(
                f"There is no setting {shown(name)}. Settings: {', '.join(SETTINGS)}."
            )
        if name in changes:
            raise CommandError(f"{name} is set more than once.")
        changes[name] = _read_value(name, text)
    return changes


def _read_value(name: str, text: str) -> Any:
    wanted = _wanted(name)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise CommandError(f"{name}: {shown(text)} is not JSON. It takes {wanted}.") from None
    if not _fits(name, value):
        raise CommandError(f"{name} can not be {shown(value)}. It takes {wanted}.")
    return value


def _wanted(name: str) -> str:
    field = Project._meta.get_field(name)
    if isinstance(field, models.BooleanField):
        return "true or false"
    if isinstance(field, ArrayField):
        return f"""a list of texts, as in {name}='["example.com"]'"""
    return f"""a text in quotation marks, as in {name}='"..."'"""


def _fits(name: str, value: Any) -> bool:
    field = Project._meta.get_field(name)
    if isinstance(field, models.BooleanField):
        return isinstance(value, bool)
    if isinstance(field, ArrayField):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return isinstance(value, str)
