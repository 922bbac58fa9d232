"""The OpenAPI description of every endpoint, made from the views themselves."""

import functools
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.utils.module_loading import import_string
from drf_spectacular.extensions import (
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema_serializer
from rest_framework import serializers

_PATH_PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "project_id": (
        {"type": "string", "pattern": "^(@current|[0-9]{1,19})$"},
        "The project's id, or `@current`: the project that the API key belongs to.",
    ),
    "id": (
        {
            "type": "string",
            "pattern": "^([0-9]{1,19}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$",
        },
        "The ticket's UUID or its number.",
    ),
    "person_id": (
        {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
        "The person's UUID.",
    ),
    "ticket_id": (
        {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
        "The ticket's UUID.",
    ),
    "webhook_id": (
        {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
        "The webhook's UUID.",
    ),
    "delivery_id": (
        {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
        "The delivery's UUID.",
    ),
    "short_id": ({"type": "string", "pattern": "^[0-9A-Za-z]{1,16}$"}, "Its short id."),
}
_REQUEST_ID = {
    "description": "Names this request: taken from the request, or made.",
    "schema": {"type": "string"},
}
_REPLAYED = {
    "description": "`true` on the answer to an earlier request with the same Idempotency-Key.",
    "schema": {"type": "string", "enum": ["true"]},
}
_ETAG = {
    "description": "Names this version, for If-None-Match and If-Match.",
    "schema": {"type": "string"},
}
_TAGGED = ("200", "201", "304")
_RATE_LIMIT = {
    "description": "For an API key: of each window what is left, and for how many seconds.",
    "schema": {"type": "string", "examples": ['"minute";r=1199;t=60, "hour";r=35999;t=3600']},
}
_RATE_LIMIT_POLICY = {
    "description": "For an API key: the quota of each window, and its length in seconds.",
    "schema": {"type": "string", "examples": ['"minute";q=1200;w=60, "hour";q=36000;w=3600']},
}
_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
_ERRORS = {
    "400": "A field or parameter is wrong, or the body is not JSON. Nothing was changed.",
    "401": "No credentials, or an API key that is malformed, unknown, expired or revoked.",
    "403": "The API key lacks the scope, or is of another project.",
    "404": "There is no such object in this project.",
    "405": "The path does not have this method.",
    "409": "A request with this Idempotency-Key is still running.",
    "412": "The object has changed since the version that If-Match names.",
    "413": "The body is larger than 1 MiB.",
    "415": "The body is not `application/json`.",
    "422": "The Idempotency-Key was used for another request.",
    "429": "Too many requests of this API key, or of keys that are none from this address.",
    "500": "Our fault.",
    "503": "The database is unreachable or took too long.",
}


S = TypeVar("S", bound=serializers.Serializer[Any])


ERROR_TYPES = [
    (name, name)
    for name in (
        "validation_error",
        "invalid_request",
        "authentication_error",
        "throttled_error",
        "server_error",
    )
]


class FailureSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    attr = serializers.CharField(allow_null=True)


class ErrorSerializer(serializers.Serializer[Any]):
    """Every error of the API has this shape; `errors` lists all failures of a validation,
    of unknown fields the first 100."""

    type = serializers.ChoiceField(choices=ERROR_TYPES)
    code = serializers.CharField(help_text="What went wrong, for programs.")
    detail = serializers.CharField(help_text="What went wrong, for people.")
    attr = serializers.CharField(
        allow_null=True, help_text="The field or parameter; nested ones are joined by `__`."
    )
    errors = FailureSerializer(many=True, required=False)  # type: ignore[assignment]  # (the API's name, and one of the framework)
    request_id = serializers.CharField()


class EmptyBodySerializer(serializers.Serializer[Any]):
    """An empty object, or no body at all."""


def kept_as_sent(serializer_class: type[S]) -> type[S]:
    """An object that answers show as a client sent it: what was left out is not there."""
    decorated: type[S] = extend_schema_serializer(extensions={"x-kept-as-sent": True})(
        serializer_class
    )
    return decorated


def with_example(
    response: dict[str, Any] | None = None, request: dict[str, Any] | None = None
) -> Callable[[type[S]], type[S]]:
    """Gives a serializer an example of the answer that it describes, of the body, or of both."""
    examples = []
    if response is not None:
        examples.append(OpenApiExample("Answer", response, response_only=True))
    if request is not None:
        examples.append(OpenApiExample("Body", request, request_only=True))
    decorate: Callable[[type[S]], type[S]] = extend_schema_serializer(examples=examples)
    return decorate


@functools.cache
def page_of(
    serializer_class: type[serializers.Serializer[Any]],
) -> type[serializers.Serializer[Any]]:
    """The serializer of a list's answer, for the schema."""
    name = serializer_class.__name__.removesuffix("Serializer")
    page = type(
        f"{name}PageSerializer",
        (serializers.Serializer,),
        {
            "__doc__": "One page of a list, with how many there are in all.",
            "count": serializers.IntegerField(min_value=0),
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": serializer_class(many=True),
        },
    )
    examples = getattr(serializer_class, "_spectacular_annotation", {}).get("examples", [])
    page_examples = [
        OpenApiExample(
            "Answer",
            {"count": 1, "next": None, "previous": None, "results": [example.value]},
            response_only=True,
        )
        for example in examples
        if example.response_only
    ]
    return extend_schema_serializer(many=False, examples=page_examples)(page)


class CommaListExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # (theirs)
    """A list in a query is an array: each value a parameter, as generated clients send them."""

    target_class = "rest.fields.CommaList"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        items = auto_schema._map_serializer_field(self.target.child, direction)  # type: ignore[no-untyped-call]  # (theirs)
        auto_schema._insert_field_validators(self.target.child, items)  # type: ignore[no-untyped-call]  # (theirs)
        return {
            "type": "array",
            "items": items,
            "minItems": 1,
            "maxItems": self.target.max_items,
        }


class QueryFlagExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # (theirs)
    """A flag in a query is a boolean, which clients write as `true` or `false`."""

    target_class = "rest.fields.QueryFlag"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        return {"type": "boolean"}


class StrictObjectExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]  # (theirs)
    """A body has no fields but its own; what is read-only may come back, and is ignored."""

    target_class = "rest.fields.StrictObject"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_serializer(  # type: ignore[no-untyped-call]  # (theirs)
            self.target, direction, bypass_extensions=True
        )
        return {**schema, "additionalProperties": False} if direction == "request" else schema


_IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]([ -~]{0,253}[!-~])?$",
    },
    OpenApiParameter.HEADER,
    description="The same request with the same key is done once, and gets the same answer for "
    "24 hours.",
)


_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of an earlier answer: 304 without a body if it would be the same.",
)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` of an earlier answer: 412, and nothing changes, if the fields of the "
    "object have changed since.",
)


class Schema(AutoSchema):
    """Adds what all endpoints share: scopes, path parameters, error answers and headers."""

    view: Any
    error_serializer: type[serializers.Serializer[Any]] = ErrorSerializer
    errors = _ERRORS

    def get_override_parameters(self) -> list[Any]:
        parameters: list[Any] = [
            OpenApiParameter(name, schema, OpenApiParameter.PATH, description=description)
            for name, (schema, description) in _PATH_PARAMETERS.items()
            if f"{{{name}}}" in self.path
        ]
        if self._is_repeatable():
            parameters.append(_IDEMPOTENCY_KEY)
        if self._is_conditional():
            parameters.append(_IF_NONE_MATCH if self.method == "GET" else _IF_MATCH)
        query = getattr(self.view, "query_serializers", {}).get(self.view.action)
        return [*parameters, query] if query else parameters

    def _is_conditional(self) -> bool:
        """Whether the action looks at what a client has, or means to change."""
        is_tagged = self.view.action in getattr(self.view, "tagged_actions", ())
        return is_tagged and self.method != "POST"

    def _is_repeatable(self) -> bool:
        """Whether a request may be repeated with an Idempotency-Key."""
        return self.method == "POST" and getattr(self.view, "is_repeatable", False)

    def get_tags(self) -> list[str]:
        return [re.sub(self.path_prefix, "", self.path).strip("/").split("/")[0]]

    def get_auth(self) -> list[dict[str, list[str]]]:
        return [{"ApiKey": self._scopes()}, {"AgentSession": []}]

    def _scopes(self) -> list[str]:
        named = [
            getattr(self.view, name, {}).get(self.view.action)
            for name in ("required_scopes", "further_scopes")
        ]
        return [scope for scope in named if scope]

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        scopes = " and ".join(f"`{scope}`" for scope in self._scopes())
        operation["description"] = "\n\n".join(
            filter(
                None,
                [get_doc(getattr(self.view, self.view.action)), scopes and f"Scope: {scopes}."],
            )
        )
        error = self.resolve_serializer(self.error_serializer, "response").ref
        for status, description in self.errors.items():
            if self._may_answer(status, operation):
                operation["responses"].setdefault(
                    status,
                    {
                        "description": description,
                        "content": {
                            "application/json": {
                                "schema": error,
                                "example": self.error_example(status),
                            }
                        },
                    },
                )
        if self._is_conditional() and self.method == "GET":
            operation["responses"]["304"] = {"description": "As the client has it already."}
        operation["responses"] = dict(sorted(operation["responses"].items()))
        for status, answer in operation["responses"].items():
            answer["headers"] = {"X-Request-ID": _REQUEST_ID, **self._headers(status, operation)}
        return operation

    def error_example(self, status: str) -> dict[str, Any]:
        type_, code, detail, attr = _EXAMPLES[status]
        failure = {"code": code, "detail": detail, "attr": attr}
        errors = {"errors": [failure]} if type_ == "validation_error" else {}
        return {
            "type": type_,
            **failure,
            **errors,
            "request_id": "5f2b8c7c5c1045d3a5f6e7d8c9b0a1f2",
        }

    def _may_answer(self, status: str, operation: dict[str, Any]) -> bool:
        if status == "404":
            return "{" in self.path.removeprefix("/api/projects/{project_id}")
        if status in ("409", "422"):
            return self._is_repeatable()
        if status == "412":
            return self._is_conditional() and self.method != "GET"
        return status not in ("413", "415") or self.method in ("POST", "PUT", "PATCH")

    def _headers(self, status: str, operation: dict[str, Any]) -> dict[str, Any]:
        headers = self._headers_of(status, operation)
        if self._is_repeatable() and status < "300":
            headers["Idempotency-Replayed"] = _REPLAYED
        if self.view.action in getattr(self.view, "tagged_actions", ()) and status in _TAGGED:
            headers["ETag"] = _ETAG
        if getattr(self.view, "is_limited", False) and (status < "400" or status == "429"):
            headers |= {"RateLimit": _RATE_LIMIT, "RateLimit-Policy": _RATE_LIMIT_POLICY}
        return headers

    def _headers_of(self, status: str, operation: dict[str, Any]) -> dict[str, Any]:
        if status == "201" and operation["operationId"] == "tickets_create":
            return {
                "Location": {
                    "description": "The ticket's address.",
                    "schema": {"type": "string", "format": "uri"},
                }
            }
        if status == "401":
            return {"WWW-Authenticate": {"description": "`Bearer`", "schema": {"type": "string"}}}
        if status == "405":
            return {
                "Allow": {"description": "The path's methods.", "schema": {"type": "string"}},
            }
        return {"Retry-After": _RETRY_AFTER} if status in ("429", "503") else {}


_EXAMPLES = {
    "400": ("validation_error", "invalid_choice", '"opne" is not a valid choice.', "status"),
    "401": ("authentication_error", "authentication_failed", "Invalid API key.", None),
    "403": (
        "authentication_error",
        "permission_denied",
        "API key missing required scope 'ticket:write'",
        None,
    ),
    "404": ("invalid_request", "not_found", "There is no such object.", None),
    "405": ("invalid_request", "method_not_allowed", 'Method "POST" not allowed.', None),
    "413": ("invalid_request", "request_too_large", "The body is larger than 1 MiB.", None),
    "415": (
        "invalid_request",
        "unsupported_media_type",
        'Unsupported media type "text/plain" in request.',
        None,
    ),
    "409": (
        "invalid_request",
        "conflict",
        "A request with this Idempotency-Key is still running.",
        None,
    ),
    "412": (
        "invalid_request",
        "precondition_failed",
        "It has changed since the version that If-Match names. Nothing was changed.",
        None,
    ),
    "422": (
        "invalid_request",
        "idempotency_key_reused",
        "This Idempotency-Key was used for another request.",
        None,
    ),
    "429": (
        "throttled_error",
        "throttled",
        "Request was throttled. Expected available in 12 seconds.",
        None,
    ),
    "500": ("server_error", "error", "A server error occurred.", None),
    "503": (
        "server_error",
        "unavailable",
        "The database is unreachable; try again.",
        None,
    ),
}


def finish(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Says of each answer's component that all its fields are always there."""
    components = result["components"]
    name_enums(result)
    for name, schema in components["schemas"].items():
        for field in schema.get("properties", {}).values():
            tell_default(field, is_taken=name.endswith("Request") and "Patched" not in name)
        kept_as_sent = schema.pop("x-kept-as-sent", name.endswith(("Request", "Error")))
        if not kept_as_sent and "properties" in schema:
            schema["required"] = list(schema["properties"])
    components["securitySchemes"] = {
        "ApiKey": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "cvk_…",
            "description": "An API key of the project, with the scope that the operation names.",
        },
        "PublicToken": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Conversations-Token",
            "description": "The project's public token, which is no secret.",
        },
        "AgentSession": {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "A signed-in agent; writes need the header `X-CSRFToken` as well.",
        },
    }
    return result


def is_anything(schema: dict[str, Any]) -> bool:
    """Whether all JSON fits it; what begins with `x-` is no keyword."""
    return all(key.startswith("x-") for key in schema)


def tell_default(field: dict[str, Any], *, is_taken: bool) -> None:
    """Says to people what is meant by a field that is left out, and nothing to generators.

    A Python client would send the default, in a change of something else as well, and a
    TypeScript client would demand the field.
    """
    default = field.pop("default", None)
    if is_taken and default is not None:
        text = f"Default: `{json.dumps(default)}`."
        field["description"] = " ".join(filter(None, [field.get("description"), text]))


def name_enums(result: dict[str, Any]) -> None:
    """Lets the values of a named enum stand in its component alone; null and '' are no enums.

    Generated clients then have one type for a ticket's status, also in parameters and lists,
    where the framework would leave one without a name in each place.
    """
    schemas = result["components"]["schemas"]
    schemas.pop("NullEnum", None)
    schemas.pop("BlankEnum", None)
    for name, choices in spectacular_settings.ENUM_NAME_OVERRIDES.items():
        imported = import_string(choices)
        values = [value for value, _ in getattr(imported, "choices", imported)]
        schemas.setdefault(name, {"type": "string", "enum": values})
    names = {tuple(schema["enum"]): name for name, schema in schemas.items() if "enum" in schema}

    def named(node: Any, *, is_component: bool = False) -> Any:
        if isinstance(node, list):
            return [named(item) for item in node]
        if not isinstance(node, dict):
            return node
        if node == {"$ref": "#/components/schemas/NullEnum"}:
            return {"type": "null"}
        if node == {"$ref": "#/components/schemas/BlankEnum"}:
            return {"type": "string", "maxLength": 0}
        match node:
            case {"oneOf": [anything, {"type": "null"}], **rest} if is_anything(anything):
                # Null is among anything, so it would fit both, and so none.
                node = {**anything, **rest}
        if not is_component and isinstance(node.get("enum"), list):
            name = names.get(tuple(node["enum"]))
            if name and node.keys() <= {"enum", "type", "minLength"}:
                return {"$ref": f"#/components/schemas/{name}"}
        return {key: named(value) for key, value in node.items()}

    result["paths"] = named(result["paths"])
    for name, schema in schemas.items():
        schemas[name] = named(schema, is_component=True)
    result["components"]["schemas"] = dict(sorted(schemas.items()))
