from typing import Any

from django.core.management.base import CommandError, CommandParser

from projects.management.base import ServiceCommand, find_api_key, read_duration
from projects.models import NotLive


class Command(ServiceCommand):
    help = "Gives an API key a new secret; the one until now works for a while more."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id")
        parser.add_argument(
            "--overlap",
            default="1h",
            metavar="DURATION",
            help="how long the old secret still works (default: 1h)",
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        overlap = read_duration(options["overlap"])
        api_key = find_api_key(options["id"])
        try:
            secret, previous_expires_at = api_key.rotate(overlap=overlap)
        except NotLive as error:
            raise CommandError(str(error)) from None
        return {"id": api_key.pk, "key": secret, "previous_expires_at": previous_expires_at}

    def in_words(self, answer: dict[str, Any]) -> str:
        return (
            f"API key {answer['id']}: {answer['key']}\n"
            "The secret until now works until "
            f"{answer['previous_expires_at'].isoformat(' ', 'seconds')}.\n"
            "Keep the new one now: only its digest is stored, and it can not be shown again."
        )
