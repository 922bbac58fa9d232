"""Who is an agent of a project and who is in its roles: for the commands and for the pages."""

from collections.abc import Iterable

from django.db import transaction

from projects.models import Membership, Project, Role, User


class NotAnAgent(Exception):
    """Only agents of the project can be in its roles."""


class NameTaken(Exception):
    """The project has a role of this name already."""


def add_member(*, project: Project, user: User) -> tuple[Membership, bool]:
    """Their place in the project, and whether it is new."""
    return Membership.objects.get_or_create(project=project, user=user)


def find_member(project_id: int, email: str) -> User:
    """Raises NotAnAgent."""
    agent = User.objects.filter(email=email.lower(), memberships__project_id=project_id).first()
    if agent is None:
        raise NotAnAgent(f"{email.lower()} is not an agent of project {project_id}.")
    return agent


@transaction.atomic
def add_role(*, project: Project, name: str, members: Iterable[User] = ()) -> Role:
    """Raises NameTaken."""
    role, is_new = Role.objects.get_or_create(project=project, name=name)
    if not is_new:
        raise NameTaken(name)
    role.members.set(members)
    return role


@transaction.atomic
def change_role(
    *, role: Role, name: str, joining: Iterable[User] = (), leaving: Iterable[User] = ()
) -> None:
    """Whoever is neither joining nor leaving stays as they are. Raises NameTaken."""
    others = Role.objects.filter(project_id=role.project_id, name=name).exclude(pk=role.pk)
    if others.exists():
        raise NameTaken(name)
    if role.name != name:
        role.name = name
        role.save(update_fields=["name"])
    role.members.add(*joining)
    role.members.remove(*leaving)
