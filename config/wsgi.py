"""The WSGI application that the web server loads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django = get_wsgi_application()

from django.conf import settings  # noqa: E402  (there are settings only now)

from rest.bodies import with_whole_bodies  # noqa: E402  (as above)
from rest.headers import with_harmless_headers  # noqa: E402  (as above)

application = with_harmless_headers(with_whole_bodies(django, limit=settings.MAX_BODY_BYTES))
