"""What a new key of a project may be.

The API has nothing to make keys by: a key that leaked could make others. They are made by
`manage.py`, and in the admin site by its staff. The rights here are the admin site's, see
`rights`.
"""

from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError as Refused
from rest_framework import serializers

from conversations.inbox.settings.forms import Field
from projects.models import SCOPES, ApiKey
from rest.fields import BoundedList, StrictObject, Text

_LIFETIMES = [("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year")]
_MAX_RATES = 10
NEW_KEY = [
    Field("label", "What it is for", max_length=200, required=True),
    Field(
        "scopes",
        "Scopes: what it may do",
        "boxes",
        help="To write means to read as well; * is all of them.",
        choices=[(scope, scope) for scope in SCOPES],
    ),
    Field("expires_in_days", "Expires", "select", choices=_LIFETIMES),
    Field(
        "rate_limits",
        "Rate limits of its own",
        "lines",
        help="Like 480/minute, one per line; empty: what the service allows everybody.",
    ),
]


class RatesField(BoundedList):
    """As the column takes them."""

    def to_internal_value(self, data: Any) -> list[str]:
        rates: list[str] = super().to_internal_value(data)
        try:
            ApiKey._meta.get_field("rate_limits").clean(rates, ApiKey())
        except Refused as exc:
            raise serializers.ValidationError(exc.messages) from exc
        return rates


class NewKeySerializer(StrictObject):
    label = Text(max_length=200)  # type: ignore[assignment]  # (a field that is called so)
    scopes = BoundedList(
        child=serializers.ChoiceField(choices=SCOPES),
        max_length=len(SCOPES),
        min_length=1,
        error_messages={"min_length": "Choose at least one."},
    )
    expires_in_days = serializers.ChoiceField(choices=_LIFETIMES, allow_blank=True)
    rate_limits = RatesField(child=Text(max_length=20), max_length=_MAX_RATES)

    def validate_expires_in_days(self, days: str) -> timedelta | None:
        return timedelta(days=int(days)) if days else None
