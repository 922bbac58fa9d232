"""Who is calling: an API key in the Authorization header (agents: Django's session)."""

import re
from collections.abc import Sequence
from typing import Any

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


def bearer_digest(environ: dict[str, Any]) -> str | None:
    """The digest of the key that a request has, if there can be such a key."""
    bearer = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
    if bearer is None or not key_format.is_well_formed(bearer[1]):
        return None
    return key_format.digest(bearer[1])


def ask(environ: dict[str, Any], digest: str, also: Sequence[str]) -> Verdict:
    """See `keys.ask`; done, and counted, once for a request that somebody asks it of twice."""
    return limits.once(environ, lambda: keys.ask(digest, also))


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`, as in RFC 6750, section 2.1.

    One and the same answer to a malformed, unknown, expired or revoked key: it
    tells a guesser nothing. `request.auth` is the `KeyRecord`.
    """

    def authenticate(self, request: Request) -> tuple[None, KeyRecord] | None:
        if "HTTP_AUTHORIZATION" not in request.META:
            return None
        digest = bearer_digest(request.META)
        if digest is None:
            raise AuthenticationFailed("Invalid API key.")
        view: Any = request.parser_context["view"]
        asked = ask(request.META, digest, view.cached_with_key())
        api_key, verdict = keys.look_up(digest, asked)
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
