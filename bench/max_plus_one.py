"""The service with the other way to number tickets: a lock on the project, and MAX() + 1.

`python -m bench.max_plus_one` serves it on PORT.
"""

import threading
from typing import Any

from django.db import transaction
from django.db.models import Max

from config.serve import serve
from config.wsgi import application as application
from conversations.models import Ticket
from conversations.tickets import verbs
from projects.models import Project

_open_ticket = verbs.open_ticket
_next = threading.local()


def _open_ticket_under_lock(*, project_id: int, **fields: Any) -> Ticket:
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project_id)
        numbers = Ticket.objects.filter(project_id=project_id).aggregate(last=Max("ticket_number"))
        _next.number = (numbers["last"] or 0) + 1
        return _open_ticket(project_id=project_id, **fields)


def _next_number(project_id: int) -> int:
    return int(_next.number)


if __name__ == "__main__":
    serve("bench.max_plus_one:application")
else:
    # Once: the module that starts the server is another one than that which it serves.
    verbs.open_ticket = _open_ticket_under_lock
    vars(verbs)["NextTicketNumber"] = _next_number
