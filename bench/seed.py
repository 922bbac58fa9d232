"""The data that is measured: one project with many tickets beside a few with some.

Import it after `django.setup()`. What there are few of is made as the service makes it; the rest
by `seed.sql`, in seconds.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import connection

from bench.rows import Room, Seeds
from bench.stack import UNLIMITED
from conversations.models import Ticket
from projects.models import ApiKey, Membership, Project, Role, User

NEIGHBOURS = 3
_RETRIEVED = 200


def seed(tickets: int) -> Seeds:
    with connection.cursor() as cursor:
        # The service's own limits are for requests.
        cursor.execute("SET statement_timeout = 0")
        cursor.db.connection.patience = None
    agents = [User.objects.create_user(f"agent{n}@team.example") for n in range(5)]
    for number in range(NEIGHBOURS):
        _fill(_project(f"Neighbour {number}", agents), max(10, tickets // 20))
    shop = _project("Shop", agents)
    _fill(shop, tickets)
    fresh = _project("Fresh", agents)
    with connection.cursor() as cursor:
        # As autovacuum leaves it, which would otherwise come in the middle of a round.
        cursor.execute("VACUUM (ANALYZE)")
    seeds = Seeds(shop=_room(shop), fresh=_room(fresh))
    connection.close()
    return seeds


def _project(name: str, agents: list[User]) -> Project:
    project = Project.objects.create(name=name)
    for agent in agents:
        Membership.objects.create(project=project, user=agent)
    for role in ("Billing", "Technical"):
        Role.objects.create(project=project, name=role)
    return project


def _fill(project: Project, tickets: int) -> None:
    agents = list(project.memberships.values_list("user_id", flat=True))
    roles = list(project.roles.values_list("pk", flat=True))
    parameters: dict[str, Any] = {
        "project_id": project.pk,
        "tickets": tickets,
        "persons": max(1, tickets * 2 // 5),
        "now": datetime.now(UTC),
        "agents": agents,
        "agent_count": len(agents),
        "roles": roles,
        "role_count": len(roles),
    }
    with connection.cursor() as cursor:
        cursor.execute((Path(__file__).parent / "seed.sql").read_text(), parameters)


def _room(project: Project) -> Room:
    _, key = ApiKey.issue(project=project, label="bench", scopes=["*"], rate_limits=[UNLIMITED])
    tickets = Ticket.objects.in_project(project.pk)
    read = tickets.filter(unread_team_count=0)
    step = max(1, read.count() // _RETRIEVED)
    every = read.order_by("ticket_number").values_list("pk", flat=True)[::step]
    return Room(
        project_id=project.pk,
        key=key,
        tickets=tickets.count(),
        unread=tickets.unread_total(),
        read_tickets=tuple(map(str, every[:_RETRIEVED])),
    )
