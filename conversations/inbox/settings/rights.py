"""What is done by the rights of the admin site, and stands in its log."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest


def may(request: HttpRequest, model: type[Model], verb: str) -> bool:
    """Whether the admin site would let them `view`, `add`, `change` or `delete` these."""
    if not admin.site.has_permission(request):
        return False
    return bool(getattr(_admin_of(model), f"has_{verb}_permission")(request))


def demand(request: HttpRequest, model: type[Model], verb: str) -> None:
    if not may(request, model, verb):
        raise PermissionDenied()


def log_added(request: HttpRequest, row: Model) -> None:
    _admin_of(type(row)).log_addition(request, row, [{"added": {}}])


def log_changed(request: HttpRequest, row: Model, said: str) -> None:
    _admin_of(type(row)).log_change(request, row, said)


def log_deleted(request: HttpRequest, row: Model) -> None:
    """Before it is."""
    rows = type(row)._default_manager.filter(pk=row.pk)
    _admin_of(type(row)).log_deletions(request, rows)


def _admin_of(model: type[Model]) -> Any:
    return admin.site.get_model_admin(model)
