"""Whether this process lives, whether it can do its work, and what it counts."""

from collections.abc import Callable

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django_redis import get_redis_connection
from redis.exceptions import RedisError

from rest.metrics import metrics


class OperationMiddleware:
    """Answers `/livez`, `/readyz` and `/metrics` before anything else looks at the request.

    Who asks is a health check or Prometheus, by whatever address it reaches this process: it need
    not know under which names the service is known.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}.get(request.path_info)
        if answer is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return answer(request)


def livez(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """503 without the database; without Redis the service works, only slower."""
    database, cache = _database_answers(), _cache_answers()
    return JsonResponse(
        {
            "status": "ok" if database else "unavailable",
            "database": "ok" if database else "down",
            "cache": "ok" if cache else "down",
        },
        status=200 if database else 503,
    )


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _cache_answers() -> bool:
    try:
        return bool(get_redis_connection("default").ping())
    except RedisError:
        return False
