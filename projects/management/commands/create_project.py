from typing import Any

from django.core.management.base import CommandParser

from projects.management.base import ServiceCommand, clean
from projects.models import Project


class Command(ServiceCommand):
    help = "Makes a project: a team's own tickets, customers, keys and agents."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--time-zone", default="UTC", help="for dates without one, e.g. Europe/Berlin"
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        project = Project()
        project.name = clean(project, "name", options["name"].strip())
        project.time_zone = clean(project, "time_zone", options["time_zone"])
        project.save()
        return {
            "id": project.pk,
            "name": project.name,
            "public_token": project.public_token,
            "identity_secret": project.identity_secret,
        }

    def in_words(self, answer: dict[str, Any]) -> str:
        return (
            f"Project {answer['id']}, {answer['name']}\n"
            f"Public token     {answer['public_token']} (for the widget; no secret)\n"
            f"Identity secret  {answer['identity_secret']} (for your server alone)\n"
            f"Next: manage.py create_api_key --project {answer['id']} --label ... "
            "--scopes ticket:read,ticket:write"
        )
