"""Who is calling: an API key in the Authorization header (agents: Django's session)."""

import re
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from projects import key_format, keys
from projects.keys import KeyRecord
from rest import limits
from rest.limits import Limit, Verdict
from rest.proxies import client_network

# How many keys that are none an address may try in a minute.
BAD_KEYS = 60
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


def bearer_key(request: HttpRequest) -> str | None:
    """The key that the request has, if there can be such a key."""
    bearer = _BEARER.fullmatch(request.META.get("HTTP_AUTHORIZATION", ""))
    return bearer[1] if bearer and key_format.is_well_formed(bearer[1]) else None


def look_up(
    request: HttpRequest, key: str, also: Sequence[str]
) -> tuple[KeyRecord | None, Verdict]:
    """See `keys.look_up`; done, and counted, once for a request that somebody asks it of twice."""
    known: tuple[KeyRecord | None, Verdict] | None = getattr(request, "api_key", None)
    if known is None:
        known = keys.look_up(key_format.digest(key), also)
        request.api_key = known  # type: ignore[attr-defined]  # (as its `user` is attached)
    return known


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`, as in RFC 6750, section 2.1.

    One and the same answer to a malformed, unknown, expired or revoked key: it
    tells a guesser nothing. `request.auth` is the `KeyRecord`.
    """

    def authenticate(self, request: Request) -> tuple[None, KeyRecord] | None:
        if "HTTP_AUTHORIZATION" not in request.META:
            return None
        key = bearer_key(request._request)
        if key is None:
            raise AuthenticationFailed("Invalid API key.")
        view: Any = request.parser_context["view"]
        api_key, verdict = look_up(request._request, key, view.cached_with_key())
        if api_key is None:
            # Of a key that is well formed, so that somebody may be trying many.
            tried = Limit(f"bad-keys:{client_network(request._request)}", BAD_KEYS, 60)
            if wait := limits.take([tried]).wait:
                raise Throttled(wait)
            raise AuthenticationFailed("Invalid API key.")
        view.verdict = verdict
        return None, api_key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
