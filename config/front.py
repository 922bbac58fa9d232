"""What a request passes before it is Django's."""

from django.conf import settings

from conversations.tickets.short_way import RETRIEVE, UNREAD_COUNT
from conversations.widget.short_way import IDLE_POLL
from rest.bodies import WSGIApplication, with_whole_bodies
from rest.headers import with_harmless_headers
from rest.short_ways import with_short_ways


def with_front(django: WSGIApplication) -> WSGIApplication:
    behind = with_short_ways(django, [UNREAD_COUNT, IDLE_POLL, RETRIEVE])
    return with_harmless_headers(with_whole_bodies(behind, limit=settings.MAX_BODY_BYTES))
