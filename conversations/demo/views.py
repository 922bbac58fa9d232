"""An invented shop whose customers write to the demo project, see `DEMO_PROJECT`."""

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from conversations.widget import posthog_js
from projects.models import Project

# What the page and posthog-js need, found by trying: this host, and the one style element that
# posthog-js makes.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@require_safe
def shop(request: HttpRequest) -> HttpResponse:
    project = get_object_or_404(Project, pk=settings.DEMO_PROJECT)
    nonce = secrets.token_urlsafe(16)
    context = {
        "nonce": nonce,
        "token": project.public_token,
        "service": request.build_absolute_uri("/").rstrip("/"),
        "posthog_js": posthog_js.VERSION,
    }
    response = render(request, "demo/shop.html", context)
    response.headers["Content-Security-Policy"] = POLICY.format(nonce=nonce)
    return response
