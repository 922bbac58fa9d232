from typing import Any

from django.core.management.base import CommandParser

from projects.management.base import ServiceCommand, find_api_key


class Command(ServiceCommand):
    help = "Ends an API key at once, both of its secrets if it is being rotated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id")
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        api_key = find_api_key(options["id"])
        api_key.revoke()
        return {"id": api_key.pk, "revoked_at": api_key.revoked_at}

    def in_words(self, answer: dict[str, Any]) -> str:
        since = answer["revoked_at"].isoformat(" ", "seconds")
        return f"API key {answer['id']} is revoked since {since}."
