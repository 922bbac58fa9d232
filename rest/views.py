"""How a request runs through an endpoint, in the order that clients rely on."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import serializers
from rest_framework.exceptions import MethodNotAllowed, ParseError
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from rest import idempotency
from rest.bodies import CUT_OFF
from rest.errors import ErrorHandler
from rest.fields import CommaList, QueryParameters, StrictObject
from rest.json import differing, dumps
from rest.transactions import committed

_SAFE = ("GET", "HEAD")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Endpoint(ViewSetMixin, APIView):
    """A viewset whose requests are checked in one order and are one transaction.

    Credentials (401), rights (403), method (405), object (404), body and query
    (415, 400). A subclass says what `find` looks up and which parameters each
    action takes; its actions find what they need in `self.query`.
    """

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    # Whether a POST with an Idempotency-Key is done once.
    is_repeatable = False
    query_serializers: dict[str, type[QueryParameters]] = {}
    query: dict[str, Any]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        drf_request = self.initialize_request(request, *args, **kwargs)
        self.request = drf_request
        self.headers = self.default_response_headers
        try:
            self.initial(drf_request, *args, **kwargs)
            if str(request.method).lower() not in self.action_map:
                raise MethodNotAllowed(str(request.method))
            response = self.run(drf_request)
        except Exception as exc:
            response = self.handle_exception(exc)
        self.response = self.finalize_response(drf_request, response, *args, **kwargs)
        return self.response

    def run(self, request: Request) -> Any:
        """The action, for a write in one transaction that is tried once more after a conflict."""
        if request.method in _SAFE:
            return self.answer(request)
        return committed(lambda: self.answer(request))

    def answer(self, request: Request) -> Any:
        """What the action answers, or what it has answered to the same request before."""
        has_key = "HTTP_IDEMPOTENCY_KEY" in request.META
        if not (has_key and self.is_repeatable and request.method == "POST"):
            return self.act(request)
        return idempotency.once(request, scope=self.whose_idempotency_key(), endpoint=self)

    def whose_idempotency_key(self) -> str:
        """Among whose requests an Idempotency-Key names one, where the endpoint is repeatable."""
        raise NotImplementedError

    def told_about(self, response: Response) -> Sequence[UUID]:
        return []

    def before_replay(self, about: Sequence[UUID]) -> None:
        pass

    def act(self, request: Request) -> Response:
        self.find()
        self.query = self.read_query(request)
        response: Response = getattr(self, str(self.action))(request)
        return response

    def find(self) -> None:
        """Looks up what the path names; raises NotFound. Nothing to find by default."""

    def read_query(self, request: Request) -> dict[str, Any]:
        """The validated parameters; raises ValidationError for one that does not exist."""
        serializer_class = self.query_serializers.get(str(self.action), QueryParameters)
        _join_lists(request, serializer_class)
        given = request.query_params.dict()
        failures: dict[str, Any] = {
            name: [serializers.ErrorDetail("The parameter is given more than once.", "invalid")]
            for name, values in request.query_params.lists()
            if len(values) > 1
        }
        for name in _not_utf8(request.META.get("QUERY_STRING", "")):
            failures[name] = [serializers.ErrorDetail("The value is not UTF-8.", "invalid")]
        if not (given or _has_defaults(serializer_class)):
            return {}
        serializer = serializer_class(data=given, context={"view": self})
        if not serializer.is_valid() or failures:
            raise serializers.ValidationError({**serializer.errors, **failures})
        return dict(serializer.validated_data)

    def read_body(
        self,
        serializer_class: type[StrictObject],
        instance: Any = None,
        stored: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The validated body; for a change, `instance` is what it changes, and all is optional.

        What equals its value in `stored`, the answer that shows the instance, is left
        out, so that it can not be refused.
        """
        data = self.whole_body(self.request)
        if stored is not None and isinstance(data, dict):
            data = differing(data, stored)
        serializer = serializer_class(
            instance,
            data=data,
            partial=instance is not None,
            context={"view": self, "project_id": getattr(self, "project_id", None)},
        )
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def whole_body(self, request: Request) -> Any:
        """The body as JSON; raises ParseError, also for one that its sender did not end."""
        if request.META.get(CUT_OFF):
            raise ParseError("The body ends before its end.")
        return request.data


@functools.cache
def _has_defaults(serializer_class: type[QueryParameters]) -> bool:
    """Whether a query without parameters says something."""
    fields = serializer_class._declared_fields.values()
    return any(field.required or field.default is not empty for field in fields)


def _join_lists(request: Request, serializer_class: type[QueryParameters]) -> None:
    """Makes `status=new&status=open` what it means, `status=new,open`, for all who read it after.

    So the two are one list to a cursor as well, and the links of the answer are as short.
    """
    fields = serializer_class._declared_fields
    lists = {
        name: ",".join(values)
        for name, values in request.query_params.lists()
        if len(values) > 1 and isinstance(fields.get(name), CommaList)
    }
    if lists:
        parameters: Any = request.query_params.copy()
        for name, values in lists.items():
            parameters[name] = values
        request._request.GET = parameters


def _not_utf8(query: str) -> list[str]:
    """The parameters whose text is no UTF-8; Django would put replacement characters there."""
    if "%" not in query:
        return []
    pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    return [
        name.encode(errors="replace").decode()
        for name, value in pairs
        if _SURROGATE.search(name + value)
    ]


def api_error_response(
    request: HttpRequest,
    exc: Exception,
    add: Callable[[dict[str, Any], int], None] | None = None,
) -> HttpResponse:
    """The answer for what fails outside an endpoint, in the same shape; `add` may add to it."""
    response = ErrorHandler(exc, {"request": request, "view": None}).run()  # type: ignore[typeddict-item]  # (there is no view)
    assert response is not None
    if add is not None:
        add(response.data, response.status_code)
    answer = HttpResponse(dumps(response.data), status=response.status_code)
    for name, value in response.headers.items():
        answer.headers[name] = value
    answer.headers["Content-Type"] = "application/json"
    return answer
