"""The unread count as one would first write it: a DRF viewset, the key from the ORM, the number
from Django's cache, the default renderers. `python -m bench.plain` serves it on PORT.
"""

import os
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.plain_settings"

from config.serve import serve


def _application() -> tuple[Any, list[Any]]:
    # The web server's parent only starts the processes that need these.
    from django.core.cache import cache
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import path

    application = get_wsgi_application()
    from rest_framework.authentication import BaseAuthentication
    from rest_framework.decorators import action
    from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
    from rest_framework.permissions import IsAuthenticated
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.routers import SimpleRouter
    from rest_framework.viewsets import ViewSet

    from conversations import unread
    from projects.key_format import digest
    from projects.models import ApiKey, User

    class KeyAuthentication(BaseAuthentication):
        def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
            _, _, secret = request.headers.get("Authorization", "").partition(" ")
            try:
                key = ApiKey.objects.select_related("project").get(digest=digest(secret))
            except ApiKey.DoesNotExist:
                raise AuthenticationFailed from None
            return User(email="key"), key

    class TicketViewSet(ViewSet):
        authentication_classes = [KeyAuthentication]
        permission_classes = [IsAuthenticated]

        @action(detail=False)
        def unread_count(self, request: Request, project_id: str) -> Response:
            key: Any = request.auth
            if key.project_id != int(project_id) or not {"*", "ticket:read"} & {*key.scopes}:
                raise PermissionDenied
            count = cache.get(f"plain:{project_id}")
            if count is None:
                count = unread.recount(key.project_id)
                cache.set(f"plain:{project_id}", count, 30)
            return Response({"count": count})

    router = SimpleRouter(trailing_slash=False)
    router.register(
        r"api/projects/(?P<project_id>\d+)/conversations/tickets", TicketViewSet, "tickets"
    )
    ready = path("ready", lambda request: HttpResponse("ready"))
    return application, [*router.urls, ready]


if __name__ == "__main__":
    serve("bench.plain:application")
else:
    application, urlpatterns = _application()
