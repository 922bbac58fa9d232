"""Who is calling: an API key in the Authorization header (agents: Django's session)."""

import re
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from projects import key_format, keys
from projects.keys import KeyRecord

_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`, as in RFC 6750, section 2.1.

    One and the same answer to a malformed, unknown, expired or revoked key: it
    tells a guesser nothing. `request.auth` is the `KeyRecord`.
    """

    def authenticate(self, request: Request) -> tuple[None, KeyRecord] | None:
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        bearer = _BEARER.fullmatch(header)
        if not bearer or not key_format.is_well_formed(bearer[1]):
            raise AuthenticationFailed("Invalid API key.")
        view: Any = request.parser_context["view"]
        api_key, view.cached = keys.look_up(key_format.digest(bearer[1]), view.cached_with_key())
        if api_key is None:
            raise AuthenticationFailed("Invalid API key.")
        return None, api_key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
