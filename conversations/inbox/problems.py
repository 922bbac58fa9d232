"""Pages that say why there is no other. They ask neither the database nor for the session."""

from collections.abc import Mapping, Sequence

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import Resolver404
from django.utils.cache import patch_cache_control

from rest.exceptions import TimedOut, Unavailable

_SAFE = ("GET", "HEAD")
_TITLES = {
    400: "This is not understood",
    403: "This is not for you",
    404: "There is nothing here",
    413: "This is too large",
    500: "Something went wrong here",
    503: "Not now",
}
_TEXTS = {
    400: "The address or the form asks for what there is not.",
    403: "You are an agent of no such project, or may not do this in it. "
    "Whoever runs this service can change that.",
    404: "Somebody may have deleted it, or the address is not whole.",
    413: "More was sent than the service takes.",
    500: "It is written down for those who run this service. Try again; if it stays, tell them.",
}


def is_inbox(request: HttpRequest) -> bool:
    return request.path_info == "/inbox" or request.path_info.startswith("/inbox/")


def problem_page(
    request: HttpRequest,
    status: int,
    *,
    text: str = "",
    errors: Mapping[str, Sequence[str]] | None = None,
) -> HttpResponse:
    context = {
        "title": _TITLES[status],
        "text": text or _TEXTS.get(status, ""),
        "errors": errors or {},
        # By a form nothing is shown, and what was wrong with an address is in its parameters.
        "again": request.get_full_path() if status >= 500 and request.method in _SAFE else None,
        "plain": request.path if errors and request.GET else None,
    }
    response = HttpResponse(render_to_string("inbox/problem.html", context), status=status)
    patch_cache_control(response, private=True, no_store=True)
    return response


def not_found(request: HttpRequest, exc: Exception) -> HttpResponse:
    """With what is not there, where a page has said so."""
    is_said = isinstance(exc, Http404) and not isinstance(exc, Resolver404)
    return problem_page(request, 404, text=str(exc) if is_said else "")


def unavailable(request: HttpRequest, exc: Unavailable | TimedOut) -> HttpResponse:
    text = str(exc.detail)
    if isinstance(exc, Unavailable) and request.method not in _SAFE:
        text += " What you sent may have been done or not: look before you send it again."
    response = problem_page(request, exc.status_code, text=text)
    response.headers["Retry-After"] = str(exc.wait)
    return response


def form_too_old(request: HttpRequest) -> HttpResponse:
    return problem_page(
        request,
        403,
        text="Somebody has logged in or out in this browser since the page was loaded. Go back, "
        "load it again, and send the form once more.",
    )
