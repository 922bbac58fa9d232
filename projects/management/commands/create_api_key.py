from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from projects.management.base import (
    ServiceCommand,
    clean,
    find_project,
    read_duration,
    read_scopes,
)
from projects.models import SCOPES, ApiKey


class Command(ServiceCommand):
    help = f"Makes an API key and shows it, this once. Scopes: {', '.join(SCOPES)}."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--project", required=True, metavar="ID")
        parser.add_argument("--label", required=True, help="what the key is for")
        parser.add_argument("--scopes", required=True, help="separated by commas")
        parser.add_argument("--expires-in", metavar="DURATION", help="e.g. 12h or 90d; else never")
        parser.add_argument(
            "--rate-limit",
            metavar="RATES",
            default="",
            help="e.g. 480/minute, or several with commas; else what RATE_LIMIT says",
        )
        super().add_arguments(parser)

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        scopes = read_scopes(options["scopes"])
        expires_at = None
        if options["expires_in"] is not None:
            expires_at = timezone.now() + read_duration(options["expires_in"])
        api_key, secret = ApiKey.issue(
            project=find_project(options["project"]),
            label=clean(ApiKey(), "label", options["label"].strip()),
            scopes=scopes,
            expires_at=expires_at,
            rate_limits=clean(ApiKey(), "rate_limits", _rates(options["rate_limit"])),
        )
        return {
            "id": api_key.pk,
            "key": secret,
            "scopes": api_key.scopes,
            "expires_at": api_key.expires_at,
            "rate_limits": api_key.rate_limits,
        }

    def in_words(self, answer: dict[str, Any]) -> str:
        expires_at = answer["expires_at"]
        return (
            f"API key {answer['id']}: {answer['key']}\n"
            f"Scopes:  {', '.join(answer['scopes'])}\n"
            f"Expires: {expires_at.isoformat(' ', 'seconds') if expires_at else 'never'}\n"
            "Keep it now: only its digest is stored, and it can not be shown again."
        )


def _rates(text: str) -> list[str]:
    return [rate.strip() for rate in text.split(",")] if text else []
