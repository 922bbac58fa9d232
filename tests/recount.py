"""The counts as they must be, computed from messages and read positions alone."""

from django.db.models import QuerySet

from conversations.models import Message, Ticket
from projects.models import Project


def recount(project: Project) -> int:
    """What `unread_count` has to answer, without any counter that the service keeps."""
    project.refresh_from_db()
    if not project.conversations_enabled:
        return 0
    tickets = Ticket.objects.filter(project=project).exclude(status="resolved")
    return sum(unread_by_team(ticket) for ticket in tickets)


def unread_by_team(ticket: Ticket) -> int:
    """Undeleted customer messages behind the team's position, one at least while marked."""
    unread = _behind(ticket, ticket.team_read_seq).filter(author_type="customer").count()
    return max(unread, 1) if ticket.marked_unread else unread


def unread_by_customer(ticket: Ticket) -> int:
    behind = _behind(ticket, ticket.customer_read_seq)
    return behind.exclude(author_type="customer").count()


def _behind(ticket: Ticket, seq: int) -> QuerySet[Message]:
    return Message.objects.filter(ticket=ticket, seq__gt=seq, deleted_at=None, is_private=False)
