"""Routes that only a test has."""

from types import ModuleType
from typing import Any

from config import urls


def with_routes(*patterns: Any) -> Any:
    """A URL configuration with these routes beside the service's own, for `ROOT_URLCONF`."""
    module = ModuleType("tests_urls")
    vars(module).update(vars(urls), urlpatterns=[*patterns, *urls.urlpatterns])
    return module
