from typing import Any

from django.core.management.base import CommandParser

from projects.management.base import ServiceCommand, find_project
from projects.models import ApiKey

_FIELDS = ("id", "label", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")


class Command(ServiceCommand):
    help = "Lists the API keys of a project, without their secrets, which nobody knows."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="ID")
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> list[dict[str, Any]]:
        project = find_project(options["project"])
        return list(ApiKey.objects.filter(project=project).order_by("pk").values(*_FIELDS))

    def in_words(self, answer: list[dict[str, Any]]) -> str:
        return "\n".join(map(_line, answer)) or "The project has no API keys."


def _line(api_key: dict[str, Any]) -> str:
    moments = [
        f"{name} {api_key[column].isoformat(' ', 'minutes')}"
        for name, column in (
            ("made", "created_at"),
            ("expires", "expires_at"),
            ("revoked", "revoked_at"),
            ("last used", "last_used_at"),
        )
        if api_key[column]
    ]
    scopes = ",".join(api_key["scopes"])
    return f"{api_key['id']:>6}  {api_key['label']}  [{scopes}]  {', '.join(moments)}"
