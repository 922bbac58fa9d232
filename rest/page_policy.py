"""What a browser may do with the pages of this service."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# Nothing of another host, no script or style within the page, no frame around it, and no
# form that leads elsewhere.
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class PagePolicyMiddleware:
    """Gives each page a Content-Security-Policy (W3C CSP Level 3) that has none of its own.

    What the API answers is no page: a browser shows it as text, since its type is
    JSON and `X-Content-Type-Options` forbids to guess another.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not settings.CONTENT_SECURITY_POLICY:
            # Where a proxy sets one, two would both have to allow what the page loads.
            response.headers.pop("Content-Security-Policy", None)
        elif not request.path_info.startswith("/api/"):
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
