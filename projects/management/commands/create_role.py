from typing import Any

from django.core.management.base import CommandError, CommandParser

from projects.management.base import ServiceCommand, clean, find_project, shown
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
        if Role.objects.filter(project=project, name=name).exists():
            raise CommandError(f"Project {project.pk} has a role {shown(name)} already.")
        role = Role.objects.create(project=project, name=name)
        role.members.set(members)
        return {"id": str(role.pk), "name": role.name}

    def in_words(self, answer: dict[str, Any]) -> str:
        return f"Role {answer['id']}, {answer['name']}"


def _find_agent(project_id: int, email: str) -> User:
    address = clean(User(), "email", email.lower())
    agent = User.objects.filter(email=address, memberships__project_id=project_id).first()
    if agent is None:
        raise CommandError(f"{address} is not an agent of project {project_id}.")
    return agent
