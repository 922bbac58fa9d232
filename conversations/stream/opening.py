"""What a request for the stream is answered with, once it has passed all checks."""

from collections.abc import Callable
from dataclasses import dataclass

from django.core.handlers.asgi import ASGIRequest

from conversations.events.feed import Place
from projects.callers import Caller


@dataclass(frozen=True)
class Opening:
    """A stream that may begin.

    `place` is where its client goes on, `end` what can be seen of the project's events
    now, and `count` the unread count that it is told first.
    """

    project_id: int
    caller: Caller
    place: Place
    end: Place
    count: int


class StreamRequest(ASGIRequest):
    """A request to the process that can stream; the view says in `opening` what is to follow."""

    opening: Opening | None = None
    # Whether the caller may have one more stream, whose room is taken then.
    take_room: Callable[[Caller], bool]
