"""A client of the API that holds every answer to the schema."""

import functools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from config.front import with_front
from rest import short_ways

SCHEMA_FILE = Path(__file__).parent.parent / "openapi.yaml"


@receiver(setting_changed)
def _forget_usual_headers(**changed: Any) -> None:
    # A process of the service keeps its settings.
    short_ways.usual_headers.cache_clear()


class _Behind(ClientHandler):
    """The application behind what `config.front` puts before it, as the web server has it."""

    def __call__(self, environ: dict[str, Any]) -> Any:
        answers: list[Any] = []

        def django(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            answers.append(ClientHandler.__call__(self, environ))
            return []

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            answers.append(HttpResponse(status=int(status[:3]), headers=dict(headers)))
            answers[0].wsgi_request = WSGIRequest(environ)

        body = b"".join(with_front(django)(environ, start_response))
        [response] = answers
        if body:
            response.content = body
        return response


class FrontClient(Client):
    """Django's client, whose requests pass what a request to the web server passes."""

    def __init__(self, **options: Any) -> None:
        # Without a Host there is no HTTP/1.1; Django's client sends none.
        super().__init__(HTTP_HOST="testserver", **options)
        self.handler = _Behind(enforce_csrf_checks=False)


class ApiClient:
    """Requests with one API key; bodies and answers are JSON."""

    def __init__(self, key: str | None = None, **headers: str) -> None:
        self.headers = {"authorization": f"Bearer {key}"} if key else {}
        self.headers |= headers
        self.client: Client = FrontClient(raise_request_exception=False)

    def get(self, url: str, /, **query: Any) -> Any:
        return self.request("GET", url, query=query)

    def head(self, url: str, /, **query: Any) -> Any:
        return self.request("HEAD", url, query=query)

    def post(self, url: str, body: Any = None, /, **query: Any) -> Any:
        return self.request("POST", url, body, query=query)

    def patch(self, url: str, body: Any = None, /, **query: Any) -> Any:
        return self.request("PATCH", url, body, query=query)

    def put(self, url: str, body: Any = None, /, **query: Any) -> Any:
        return self.request("PUT", url, body, query=query)

    def delete(self, url: str, /, **query: Any) -> Any:
        return self.request("DELETE", url, query=query)

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Any:
        """Any request; `body` is sent as it is when it is bytes."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        response = self.client.generic(
            method,
            url,
            data,
            content_type if data else "",
            headers={**self.headers, **{name.replace("_", "-"): v for name, v in headers.items()}},
            query_params=query or None,
        )
        check_against_schema(method, url, response)
        return response


def check_against_schema(method: str, url: str, response: Any) -> None:
    """Fails unless the schema has this operation, this status, and this body for it."""
    assert "X-Request-ID" in response.headers
    path = urlsplit(url).path.removesuffix("/")
    if not path.startswith("/api/") or response.headers.get("Content-Type", "").startswith(
        "text/html"
    ):
        return
    if response.status_code >= 400 and method != "HEAD":
        name = "WidgetError" if path.startswith("/api/conversations/") else "Error"
        _validate(f"/components/schemas/{name}", response)
    template = _template(path.replace("/api/environments/", "/api/projects/"))
    operation = _spec()["paths"].get(template, {}).get(method.lower()) if template else None
    if operation is None:
        assert response.status_code >= 400 or method in ("HEAD", "OPTIONS")
        return
    documented = operation["responses"]
    status = str(response.status_code)
    assert status in documented, f"{method} {template} answered {status}, not in the schema"
    if "content" in documented[status]:
        assert response.headers["Content-Type"] == "application/json"
        pointer = f"/paths/{_escape(template)}/{method.lower()}/responses/{status}"
        _validate(f"{pointer}/content/application~1json/schema", response)
    else:
        assert response.content == b""


def _validate(pointer: str, response: Any) -> None:
    body = json.loads(response.content)
    errors = [
        f"{error.json_path}: {error.message}" for error in _validator(pointer).iter_errors(body)
    ]
    assert not errors, errors


@functools.cache
def _spec() -> Any:
    spec = yaml.safe_load(SCHEMA_FILE.read_text())
    for name, schema in spec["components"]["schemas"].items():
        # Clients must expect new fields; the tests must not see any that is not described.
        if "properties" in schema and not name.endswith("Request"):
            schema["additionalProperties"] = False
    return spec


@functools.cache
def _validator(pointer: str) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource(
        "urn:api", DRAFT202012.create_resource(_spec())
    )
    return Draft202012Validator(
        {"$ref": f"urn:api#{pointer}"},
        registry=registry,
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def _template(path: str | None) -> str | None:
    # Literal segments win over parameters, as in the router.
    candidates = sorted(_spec()["paths"], key=lambda template: template.count("{"))
    for template in candidates:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, str(path)):
            return str(template)
    return None


def _escape(pointer: str | None) -> str:
    return str(pointer).replace("~", "~0").replace("/", "~1")
