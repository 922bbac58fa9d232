"""How the pages of the inbox write times and what customers say."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from django import template
from django.template.defaultfilters import date
from django.utils import timezone
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from conversations.inbox.clock import local, typed
from conversations.inbox.conversation.thread import version_of
from conversations.inbox.tags import as_typed
from conversations.inbox.wording import said

register = template.Library()
register.filter(version_of)
register.filter(typed)
register.filter(said)

# The characters that turn the direction of a text would show another address than the link's.
_TURNS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Those that `\s` does not stand for among ASCII alone; some of them have no width.
_SPACES = r"\x00-\x20\x7f-\xa0\u1680\u180e\u2000-\u200d\u2028\u2029\u202f\u205f-\u2064\u3000\ufeff"
_LINK = re.compile(
    rf"(?P<url>https?://[^{_SPACES}<>\"'`\\{_TURNS}]+)"
    r"|(?P<mail>[\w.+-]{1,64}@[\w-]{1,63}(\.[\w-]{1,63}){1,8})",
    re.ASCII | re.IGNORECASE,
)
# What ends a sentence, or stands around an address, belongs to the text.
_AFTER = ".,;:!?)]}*_~"
# With a direction of its own, which nothing before it turns.
_ANCHOR = '<a dir="ltr" href="{}" rel="noopener noreferrer nofollow ugc" target="_blank">{}</a>'


@register.filter
def linked(text: str, most: int | None = None) -> SafeString:
    """The text, and nothing but text, in which web and mail addresses can be clicked.

    Of a longer one `most` characters are left. An address that is cut is none: it would lead
    elsewhere.
    """
    end = len(text) if most is None or len(text) <= most else most - 1
    parts: list[str] = []
    place = 0
    for found in _LINK.finditer(text):
        if found.end() > end:
            break
        shown = _address(found[0])
        target = shown if found["url"] else f"mailto:{quote(shown, safe='@+')}"
        parts += [escape(text[place : found.start()]), format_html(_ANCHOR, target, shown)]
        place = found.start() + len(shown)
    rest = text[place:end] + ("…" if end < len(text) else "")
    return mark_safe("".join(parts) + escape(rest))  # noqa: S308  (each part is escaped)


def _address(text: str) -> str:
    """Without what follows it; but a bracket that it opens is its own."""
    unclosed = text.count("(") - text.count(")")
    end = len(text)
    while end and text[end - 1] in _AFTER:
        if text[end - 1] == ")":
            if unclosed >= 0:
                break
            unclosed += 1
        end -= 1
    return text[:end]


@register.filter
def moment(at: datetime | None) -> SafeString:
    """A time as short as it can be understood by, with the whole of it beside."""
    if at is None:
        return SafeString()
    here, now = local(at), timezone.localtime()
    if here.date() == now.date():
        text = date(here, "H:i")
    elif here.year == now.year:
        text = date(here, "j M")
    else:
        text = date(here, "j M Y")
    return _time(at, text)


@register.filter
def full_moment(at: datetime | None) -> SafeString:
    """The day and the time."""
    if at is None:
        return SafeString()
    here = local(at)
    this_year = here.year == timezone.localtime().year
    return _time(at, date(here, "D j M, H:i" if this_year else "j M Y, H:i"))


def _time(at: datetime, text: str) -> SafeString:
    whole = date(local(at), "l, j F Y, H:i:s T")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), whole, text)


@register.filter
def step(text: str) -> str:
    """In which steps a control for a date and a time counts that has this in it, in seconds."""
    if "." in text:
        return "0.001"
    return "1" if text.count(":") > 1 else "60"


@register.filter
def entries(mapping: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    """The names of a mapping with their values; to a template's own `.items` the value that
    somebody gave the name `items` comes first."""
    return list(mapping.items()) if mapping else []


@register.filter
def words(value: Any) -> str:
    """A value of the API in the words of a page: `on_hold` is `on hold`."""
    return str(value).replace("_", " ").replace("-", " ")


@register.filter
def typed_tags(tags: list[str]) -> str:
    return as_typed(tags)
