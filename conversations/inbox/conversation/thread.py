"""The messages of a ticket as a page shows them, and which of them their reader has not seen."""

from dataclasses import dataclass

from conversations.models import AuthorType, Message, Ticket

AT_ONCE = 50
# A page that stays open for a day of a busy ticket shows no more than this without being asked.
MOST = 500


@dataclass(frozen=True)
class Thread:
    """Messages, oldest first; `first` is where they begin, and `has_earlier` whether others
    may precede them."""

    messages: list[Message]
    first: int
    has_earlier: bool


def latest(ticket: Ticket, *, since: int | None = None) -> Thread:
    """The newest messages: as many as a page begins with, or all from a place on; one query.

    What the team has not read is there, since whoever sees the page has read it.
    """
    messages = ticket.messages.visible().order_by("-seq")
    if since is None and ticket.last_seq - ticket.team_read_seq > AT_ONCE:
        since = max(ticket.team_read_seq, ticket.last_seq - MOST) + 1
    if since is not None:
        return _thread(list(messages.filter(seq__gte=since)[:MOST]), begins=since)
    found = list(messages[: AT_ONCE + 1])
    return _thread(found[:AT_ONCE], begins=found[AT_ONCE - 1].seq if found[AT_ONCE:] else 1)


def version_of(message: Message) -> str:
    """What tells whether somebody has edited a message since it was shown."""
    return message.edited_at.isoformat() if message.edited_at else ""


def earlier(ticket: Ticket, *, before: int) -> Thread:
    """Those that precede a place, as many as fit a page."""
    found = list(ticket.messages.visible().filter(seq__lt=before).order_by("-seq")[: AT_ONCE + 1])
    return _thread(found[:AT_ONCE], begins=found[AT_ONCE - 1].seq if found[AT_ONCE:] else 1)


def _thread(found: list[Message], *, begins: int) -> Thread:
    return Thread(found[::-1], begins, has_earlier=begins > 1)


@dataclass(frozen=True)
class Meanwhile:
    """What others said while an agent was writing; `last` is the newest place that they know."""

    messages: list[Message]
    last: int

    @property
    def authors(self) -> str:
        names = dict.fromkeys(_author(message) for message in self.messages)
        return ", ".join(names)


def meanwhile(ticket: Ticket, seen: int) -> Meanwhile | None:
    """What was said behind a place, if anything; a query only where the ticket has moved on."""
    if ticket.last_seq <= seen:
        return None
    said = list(ticket.messages.visible().filter(seq__gt=seen).order_by("seq")[:AT_ONCE])
    return Meanwhile(said, ticket.last_seq) if said else None


def _author(message: Message) -> str:
    if message.author_type == AuthorType.CUSTOMER:
        return "The customer"
    return message.author_name or ("The AI" if message.author_type == AuthorType.AI else "The team")
