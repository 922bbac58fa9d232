"""Times by the clock of the project, which is the current one on its pages, see `InboxPage`."""

from datetime import UTC, datetime

from django.utils import timezone


def local(at: datetime) -> datetime:
    """In UTC where the calendar ends before: in the first and the last hours that there are."""
    try:
        return timezone.localtime(at)
    except OverflowError:
        return at.astimezone(UTC)


def typed(at: datetime | None) -> str:
    """As a control for a date and a time has it, down to the milliseconds where there are any."""
    if at is None:
        return ""
    precision = "milliseconds" if at.microsecond else "seconds" if at.second else "minutes"
    return local(at).replace(tzinfo=None).isoformat(timespec=precision)
