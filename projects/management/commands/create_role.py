from typing import Any

from django.core.management.base import CommandError, CommandParser

from projects.management.base import ServiceCommand, clean, find_project, shown
from projects.members.verbs import NameTaken, NotAnAgent, add_role, find_member
from projects.models import Role, User


class Command(ServiceCommand):
    help = "Makes a role of a project: a group of its agents that tickets can be assigned to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--project", required=True, metavar="ID")
        parser.add_argument(
            "--member",
            action="append",
            default=[],
            metavar="EMAIL",
            help="an agent of the project; may be repeated",
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        project = find_project(options["project"])
        name = clean(Role(), "name", options["name"].strip())
        members = [_find_agent(project.pk, email) for email in options["member"]]
        try:
            role = add_role(project=project, name=name, members=members)
        except NameTaken as error:
            raise CommandError(f"Project {project.pk} has a role {shown(name)} already.") from error
        return {"id": str(role.pk), "name": role.name}

    def in_words(self, answer: dict[str, Any]) -> str:
        return f"Role {answer['id']}, {answer['name']}"


def _find_agent(project_id: int, email: str) -> User:
    try:
        return find_member(project_id, clean(User(), "email", email.lower()))
    except NotAnAgent as error:
        raise CommandError(str(error)) from error
