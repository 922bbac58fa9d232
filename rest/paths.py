"""One route for each resource, however its path is spelled."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class CanonicalPathMiddleware:
    """Paths under /api/ answer with and without a final slash, and as /api/environments/…

    The routes exist once, under /api/projects/ and without the slash. There is
    no redirect: a client would repeat its POST as a GET, or lose its key.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        request.path_info = canonical_path(path)
        if request.path_info != path:
            request.path = request.path.removesuffix("/")
        return self.get_response(request)


def canonical_path(path: str) -> str:
    if not path.startswith("/api/") or path == "/api/":
        return path
    path = path.removesuffix("/")
    if path.startswith("/api/environments/"):
        return "/api/projects/" + path.removeprefix("/api/environments/")
    return path
