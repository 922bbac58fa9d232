"""What posthog-js is told when it starts: that there are conversations, and how they look.

Cached under the leases of `rest.leases`, like the records of public tokens, so that a
changed setting is in the next answer.
"""

import hashlib
from typing import Any

from projects import tokens
from projects.models import Project
from rest import leases
from rest.json import dumps

_LIFETIME_MS = 60_000


def look_up(token: str) -> bytes | None:
    """The configuration as JSON, None if no project has the token.

    A round trip to Redis, and a query if it has nothing.
    """
    if not tokens.is_possible(token):
        return None
    return leases.fill(_cache_key(token), lambda: _load(token), lifetime_ms=_LIFETIME_MS)


def forget(token: str) -> None:
    """Drops it when the transaction commits."""
    leases.forget_at_commit(_cache_key(token), lifetime_ms=_LIFETIME_MS)


def _cache_key(token: str) -> str:
    return leases.full_key(f"remote-config:{hashlib.sha256(token.encode()).hexdigest()}")


def _load(token: str) -> bytes | None:
    project = Project.objects.filter(public_token=token).first()
    if project is None:
        return None
    return dumps(
        {
            "hasFeatureFlags": False,
            "supportedCompression": ["gzip", "gzip-js"],
            "conversations": _conversations(project) if project.conversations_enabled else False,
        }
    )


def _conversations(project: Project) -> dict[str, Any]:
    return {
        "enabled": True,
        "widgetEnabled": project.widget_enabled,
        "token": project.public_token,
        # The client has texts of its own where there is none, but shows an empty one.
        "greetingText": project.widget_greeting_text or None,
        "color": project.widget_color or None,
        "placeholderText": project.widget_placeholder_text or None,
        "requireEmail": project.widget_require_email,
        "collectName": project.widget_collect_name,
        # Host names alone, as they are kept: what the client compares with the page's own.
        "domains": project.widget_domains,
    }
