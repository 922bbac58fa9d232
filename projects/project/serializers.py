"""The project itself in requests and answers."""

from typing import Any

from django.core.validators import MaxLengthValidator
from rest_framework import serializers

from projects.models import Project
from rest.fields import BoundedList, Flag, StrictObject, Text
from rest.json import differing
from rest.schema import with_example

MAX_DOMAINS = 100
PROJECT = {
    "id": 1,
    "name": "Shop",
    "time_zone": "Europe/Berlin",
    "conversations_enabled": True,
    "reopen_on_reply": True,
    "widget_enabled": True,
    "widget_greeting_text": "Hi! How can we help?",
    "widget_color": "#1d4aff",
    "widget_placeholder_text": "Your message",
    "widget_require_email": False,
    "widget_collect_name": True,
    "widget_domains": ["shop.example.com"],
    "widget_restore_enabled": True,
    "public_token": "cvp_9mM0v2hTqJtq2c1tq4Zb8x7uZ5y3wE6r",
}


def _checks(column: Any) -> list[Any]:
    """What the column asks for beyond its length, which the field measures itself."""
    return [check for check in column.validators if not isinstance(check, MaxLengthValidator)]


def _text(name: str, **options: Any) -> Text:
    """Text as the project's column of this name takes it."""
    column: Any = Project._meta.get_field(name)
    return Text(
        required=False,
        allow_blank=column.blank,
        max_length=column.max_length,
        validators=_checks(column),
        **options,
    )


class DomainsField(BoundedList):
    """Host names, each once, in the order given."""

    def __init__(self, **kwargs: Any) -> None:
        column: Any = Project._meta.get_field("widget_domains")
        host_name = column.base_field
        child = Text(max_length=host_name.max_length, validators=_checks(host_name))
        super().__init__(child=child, max_length=MAX_DOMAINS, **kwargs)

    def to_internal_value(self, data: Any) -> list[str]:
        return list(dict.fromkeys(super().to_internal_value(data)))


@with_example(response=PROJECT, request={"name": "Shop", "time_zone": "Europe/Berlin"})
class ProjectSerializer(StrictObject):
    """A project's settings. Read-only fields in a body are ignored."""

    id = serializers.IntegerField(read_only=True)
    name = _text("name")
    time_zone = _text("time_zone", help_text="Of the IANA database, like `Europe/Berlin`.")
    conversations_enabled = Flag(
        required=False, help_text="Without them the widget is off, and the unread count is 0."
    )
    reopen_on_reply = Flag(
        required=False, help_text="Whether a customer's message reopens a resolved ticket."
    )
    widget_enabled = Flag(required=False)
    widget_greeting_text = _text("widget_greeting_text")
    widget_color = _text("widget_color")
    widget_placeholder_text = _text("widget_placeholder_text")
    widget_require_email = Flag(required=False)
    widget_collect_name = Flag(required=False)
    widget_domains = DomainsField(
        required=False,
        help_text="Host names of the pages that may show the widget; empty: any.",
    )
    widget_restore_enabled = Flag(required=False)
    public_token = serializers.CharField(
        read_only=True, help_text="By which the widget names the project; no secret."
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Validated fields; what equals the stored value is left out, so it can not be refused."""
        if isinstance(data, dict) and self.instance is not None:
            data = differing(data, project_json(self.instance))
        fields: dict[str, Any] = super().to_internal_value(data)
        return fields


def project_json(project: Project) -> dict[str, Any]:
    """A project as answers show it, without its secrets."""
    return {
        "id": project.id,
        "name": project.name,
        "time_zone": project.time_zone,
        "conversations_enabled": project.conversations_enabled,
        "reopen_on_reply": project.reopen_on_reply,
        "widget_enabled": project.widget_enabled,
        "widget_greeting_text": project.widget_greeting_text,
        "widget_color": project.widget_color,
        "widget_placeholder_text": project.widget_placeholder_text,
        "widget_require_email": project.widget_require_email,
        "widget_collect_name": project.widget_collect_name,
        "widget_domains": project.widget_domains,
        "widget_restore_enabled": project.widget_restore_enabled,
        "public_token": project.public_token,
    }
