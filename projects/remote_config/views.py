"""The configuration that posthog-js asks for when a page has loaded it.

As PostHog's own host answers it, so it is not in our schema.
"""

import re
from typing import Any

import orjson
from django.http import HttpResponse
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.views import APIView

from projects.remote_config.document import look_up

# Half of the minute within which a changed setting is seen.
_CACHE_CONTROL = "public, max-age=30"
_UNSAFE = re.compile("[<>&\u2028\u2029]")


class ConfigView(APIView):
    """The configuration of the project with the token, as JSON."""

    authentication_classes: Any = []
    permission_classes: Any = []
    http_method_names = ["get", "head"]
    schema: Any = None
    content_type = "application/json"

    def get(self, request: Request, token: str) -> HttpResponse:
        document = look_up(token)
        if document is None:
            raise NotFound("There is no project with this token.")
        return HttpResponse(
            self.body(token, document.decode()),
            content_type=self.content_type,
            headers={"Cache-Control": _CACHE_CONTROL},
        )

    def body(self, token: str, document: str) -> str:
        return document


class ConfigScriptView(ConfigView):
    """The same as a script, which the client loads first; it asks for the JSON only without it."""

    content_type = "text/javascript; charset=utf-8"

    def body(self, token: str, document: str) -> str:
        entry = f'{{"config":{document},"siteApps":[]}}'
        all_configs = "window._POSTHOG_REMOTE_CONFIG"
        name = orjson.dumps(token).decode()
        return f"({all_configs} = {all_configs} || {{}})[{_safe(name)}] = {_safe(entry)};\n"


def _safe(json_text: str) -> str:
    """JSON that is the same value in a script, wherever that script is put.

    These signs stand in strings only, where an escape means the same: the first three
    begin or end something in HTML, the other two once ended lines of JavaScript.
    """
    return _UNSAFE.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json_text)
