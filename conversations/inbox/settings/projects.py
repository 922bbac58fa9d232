"""The settings of a project as controls; which there are, and what they take, is the API's."""

from zoneinfo import available_timezones

from conversations.inbox.settings.forms import Field
from projects.project.serializers import ProjectSerializer

_TAKES = ProjectSerializer().fields


def _text(name: str, label: str, **more: str) -> Field:
    column = _TAKES[name]
    return Field(name, label, max_length=getattr(column, "max_length", None), **more)  # type: ignore[arg-type]  # (texts alone)


def _zones() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(available_timezones())]


PROJECT = [
    _text("name", "Name"),
    Field(
        "time_zone",
        "Time zone",
        "select",
        help="In which these pages show times, and filters read dates.",
        choices=_zones(),
    ),
    Field(
        "conversations_enabled",
        "Conversations are on",
        "check",
        help="Without them the widget is off, and the unread count is 0.",
    ),
    Field(
        "reopen_on_reply",
        "A customer's message reopens a resolved ticket",
        "check",
    ),
]
WIDGET = [
    Field("widget_enabled", "The widget is shown", "check"),
    _text("widget_greeting_text", "Greeting", kind="area"),
    _text("widget_placeholder_text", "What stands in the empty message box"),
    _text("widget_color", "Colour", placeholder="#1d4aff"),
    Field("widget_require_email", "Customers must leave their email address", "check"),
    Field("widget_collect_name", "Customers are asked for their name", "check"),
    Field(
        "widget_domains",
        "Hosts of your pages",
        "lines",
        help="One per line, like shop.example.com. Empty: the widget may be shown anywhere, and "
        "links to old conversations are not mailed.",
    ),
    Field(
        "widget_restore_enabled",
        "Customers can have a link to old conversations mailed to them",
        "check",
    ),
]
