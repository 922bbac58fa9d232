import sys
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from projects.agents import set_password_url
from projects.management.base import ServiceCommand, clean, find_project, shown
from projects.members.verbs import add_member
from projects.models import User


class Command(ServiceCommand):
    help = (
        "Makes an agent of a project. Somebody who is an agent of another one already is added, "
        "and keeps their password. Without a password, prints a link to choose one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--project", required=True, metavar="ID")
        parser.add_argument("--name", help="as colleagues see it")
        parser.add_argument(
            "--password-stdin", action="store_true", help="read the password from standard input"
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        project = find_project(options["project"])
        email = clean(User(), "email", options["email"].lower())
        user = User.objects.select_for_update().filter(email=email).first()
        is_new = user is None
        user = user or User(email=email)
        if options["name"] is not None:
            _set_name(user, options["name"].strip())
        if options["password_stdin"]:
            _set_password(user, _read_password())
        elif is_new:
            user.set_unusable_password()
        user.save()
        _, joined = add_member(project=project, user=user)
        if not joined and user.has_usable_password():
            raise CommandError(f"{email} is an agent of project {project.pk} already.")
        answer: dict[str, Any] = {"id": user.pk, "email": user.email}
        if not user.has_usable_password():
            answer["set_password_url"] = set_password_url(user)
        return answer

    def in_words(self, answer: dict[str, Any]) -> str:
        words = f"Agent {answer['id']}, {answer['email']}"
        if "set_password_url" in answer:
            words += f"\nTo choose a password, once: {answer['set_password_url']}"
        return words


def _set_name(user: User, name: str) -> None:
    """The whole name in one field: where a name divides is not ours to guess."""
    if name == user.get_full_name():
        return
    if user.get_full_name():
        raise CommandError(f"{user.email} exists already, and is called {user.get_full_name()!r}.")
    user.first_name = clean(user, "first_name", name)


def _set_password(user: User, password: str) -> None:
    # A mistyped address must not cost somebody else their password.
    if user.pk and user.has_usable_password():
        if not user.check_password(password):
            raise CommandError(f"{user.email} exists already, with another password.")
        return
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise CommandError(f"The password can not be: {' '.join(error.messages)}") from None
    user.set_password(password)


def _read_password() -> str:
    try:
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CommandError("The password on standard input is not UTF-8.") from None
    if not password:
        raise CommandError("There is no password on standard input.")
    if not password.isprintable():
        raise CommandError(
            f"The password on standard input has a character that nobody can type: "
            f"{shown(next(letter for letter in password if not letter.isprintable()))}."
        )
    return password
