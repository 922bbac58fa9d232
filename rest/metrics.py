"""What Prometheus scrapes at `/metrics`, summed over the processes of the web server.

Names and labels follow Prometheus's conventions. Counters begin anew with the server.
"""

import hmac
import os

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

RATE_LIMIT_REFUSALS = Counter(
    "conversations_rate_limit_refusals", "Checks of a rate limit that found it exceeded."
)
RATE_LIMIT_FAIL_OPENS = Counter(
    "conversations_rate_limit_fail_opens",
    "Checks of a rate limit that let the call through, since Redis could not be asked.",
)


def metrics(request: HttpRequest) -> HttpResponse:
    """For who has METRICS_TOKEN; as long as there is none, nobody finds it."""
    if not settings.METRICS_TOKEN:
        return HttpResponse(status=404)
    wanted = f"Bearer {settings.METRICS_TOKEN}".encode()
    given = request.META.get("HTTP_AUTHORIZATION", "").encode()
    if not hmac.compare_digest(given, wanted):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # (theirs)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
