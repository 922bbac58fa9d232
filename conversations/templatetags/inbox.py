"""How the pages of the inbox write times and what customers say."""

import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django import template
from django.template.defaultfilters import date
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from conversations.inbox.conversation.thread import version_of

register = template.Library()
register.filter(version_of)

# The characters that turn the direction of a text would show another address than the link's.
_TURNS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINK = re.compile(
    rf"(?P<url>https?://[^\s<>\"'`\\{_TURNS}]+)"
    r"|(?P<mail>[\w.+-]{1,64}@[\w-]{1,63}(\.[\w-]{1,63}){1,8})",
    re.ASCII | re.IGNORECASE,
)
# What ends a sentence, or stands around an address, belongs to the text.
_AFTER = ".,;:!?)]}*_~"
# With a direction of its own, which nothing before it turns.
_ANCHOR = '<a dir="ltr" href="{}" rel="noopener noreferrer nofollow ugc" target="_blank">{}</a>'


@register.filter
def linked(text: str) -> SafeString:
    """The text, and nothing but text, in which web and mail addresses can be clicked."""
    parts: list[str] = []
    place = 0
    for found in _LINK.finditer(text):
        shown = found[0].rstrip(_AFTER)
        if found["url"] and "(" in shown:
            # As in the addresses of an encyclopedia.
            shown = found[0].rstrip(_AFTER.replace(")", ""))
        target = shown if found["url"] else f"mailto:{quote(shown, safe='@+')}"
        parts += [escape(text[place : found.start()]), format_html(_ANCHOR, target, shown)]
        place = found.start() + len(shown)
    return mark_safe("".join(parts) + escape(text[place:]))  # noqa: S308  (each part is escaped)


@register.filter
def moment(at: datetime | None) -> SafeString:
    """A time as short as it can be understood by, with the whole of it beside."""
    if at is None:
        return SafeString()
    local, now = timezone.localtime(at), timezone.localtime()
    if local.date() == now.date():
        text = date(local, "H:i")
    elif local.year == now.year:
        text = date(local, "j M")
    else:
        text = date(local, "j M Y")
    return _time(at, text)


@register.filter
def full_moment(at: datetime | None) -> SafeString:
    """The day and the time."""
    if at is None:
        return SafeString()
    local = timezone.localtime(at)
    this_year = local.year == timezone.localtime().year
    return _time(at, date(local, "D j M, H:i" if this_year else "j M Y, H:i"))


def _time(at: datetime, text: str) -> SafeString:
    whole = date(timezone.localtime(at), "l, j F Y, H:i:s T")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), whole, text)


@register.filter
def words(value: Any) -> str:
    """A value of the API in the words of a page: `on_hold` is `on hold`."""
    return str(value).replace("_", " ").replace("-", " ")
