"""The data that is measured: a project of a million tickets beside a hundred of ten thousand.

Import it after `django.setup()`. What there are few of is made as the service makes it; the rest
by `seed.sql`, in minutes. It is kept between runs, see `is_current`; what a run writes goes to a
project of its own, which the next run clears away.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from bench.stack import UNLIMITED
from bench.world import Desk, Room, World
from conversations.events.actors import SYSTEM
from conversations.messages.verbs import post_message
from conversations.models import Priority, SavedView, Status, Ticket, TicketQuerySet
from conversations.tickets.verbs import open_ticket
from projects.models import ApiKey, Membership, Project, Role, User
from rest.json import timestamp

_HERE = Path(__file__).parent
_SQL = (_HERE / "seed.sql").read_text()
# To be raised when `seed` changes in what it makes, beyond the SQL.
VERSION = 1
# That texts are made of.
_WORDS = 30_000
_TABLES = (
    "projects_person",
    "projects_persondistinctid",
    "conversations_ticket",
    "conversations_message",
)
# What is written to: MAX() + 1 would collide with the counter of the other way.
_SCRATCH = ("Scratch", "Scratch for MAX() + 1")
_SCRATCH_TICKETS = 2_000
_READ = 200
# As many as the inbox shows beside its list.
_VIEWS = 50
_MESSAGES = 500
# So many that none reaches the limit of polls in a minute.
_POLLS = 1_000


def is_current(stamp: Path, tickets: int) -> bool:
    """Whether what is kept was made by this code, under these migrations, in this size."""
    return stamp.exists() and stamp.read_text() == _state(tickets)


def seed(stamp: Path, tickets: int) -> None:
    """Fills empty tables, and notes that it has."""
    _without_limits()
    with connection.cursor() as cursor:
        cursor.execute("SET work_mem = '512MB'; SET maintenance_work_mem = '1GB'")
        cursor.execute("SELECT setseed(0.25)")
        write_texts(cursor, max(2_000, tickets // 10))
    agents = [User.objects.create_user(f"agent{n}@team.example") for n in range(5)]
    with _indexes_made_afterwards():
        # In full size a hundred of ten thousand tickets each.
        for number in range(max(3, min(100, tickets // 10_000))):
            fill(_project(f"Neighbour {number}", agents), max(10, tickets // 100))
        fill(_project("Small", agents), 1_000)
        fill(_project("Unread", agents), tickets // 10, unread=tickets // 10, messages=1)
        # The last, so that no other lies behind it in the tables.
        fill(_project("Shop", agents), tickets, unread=tickets // 1000)
    with connection.cursor() as cursor:
        # As autovacuum leaves it, which would otherwise come in the middle of a round.
        cursor.execute("VACUUM (ANALYZE)")
    connection.close()
    stamp.write_text(_state(tickets))


def clear(stamp: Path) -> None:
    """Empties all tables but that of the migrations."""
    stamp.unlink()
    _without_limits()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE projects_project, projects_user RESTART IDENTITY CASCADE")


def world() -> World:
    """The projects of this run, with new keys, and a new one to write to."""
    _without_limits()
    ApiKey.objects.all().delete()
    _clear_scratch()
    shop = Project.objects.get(name="Shop")
    agents = [membership.user for membership in shop.memberships.select_related("user")]
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(0.25)")
        write_texts(cursor, 2_000)
    for name in _SCRATCH:
        fill(_project(name, agents), _SCRATCH_TICKETS)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) conversations_ticket, conversations_message")
    rooms = {
        name: _room(Project.objects.get(name=name))
        for name in ("Shop", "Small", "Unread", "Neighbour 1", *_SCRATCH)
    }
    made = World(
        shop=rooms["Shop"],
        scratch=rooms[_SCRATCH[0]],
        scratch_max_plus_one=rooms[_SCRATCH[1]],
        small=rooms["Small"],
        unread=rooms["Unread"],
        neighbour=rooms["Neighbour 1"],
        desk=_desk(agents[0], shop, Project.objects.get(name=_SCRATCH[0])),
    )
    connection.close()
    return made


def fill(project: Project, tickets: int, *, unread: int = 0, messages: int = 3) -> None:
    """Persons, tickets, and on the average so many messages each; `texts` must be there."""
    agents = list(project.memberships.values_list("user_id", flat=True))
    roles = list(project.roles.values_list("pk", flat=True))
    parameters: dict[str, Any] = {
        "project_id": project.pk,
        "tickets": tickets,
        "unread": unread or max(1, tickets // 1000),
        "messages": messages,
        "persons": max(1, tickets * 2 // 5),
        "now": datetime.now(UTC),
        "agents": agents,
        "agent_count": len(agents),
        "roles": roles,
        "role_count": len(roles),
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM texts")
        parameters["texts"] = min(cursor.fetchone()[0], max(500, tickets // 2))
        cursor.execute(_SQL, parameters)


def write_texts(cursor: Any, texts: int) -> None:
    """The table of what people write, which lives as long as the connection."""
    cursor.execute("DROP TABLE IF EXISTS texts, vocabulary")
    cursor.execute((_HERE / "texts.sql").read_text(), {"texts": texts, "words": _WORDS})


def _without_limits() -> None:
    with connection.cursor() as cursor:
        # The service's own limits are for requests.
        cursor.execute("SET statement_timeout = 0")
        cursor.db.connection.patience = None


def _state(tickets: int) -> str:
    sources = [path.read_text() for path in sorted(_HERE.glob("*.sql"))]
    applied = sorted(map(str, MigrationRecorder(connection).applied_migrations()))
    return hashlib.sha256(json.dumps([VERSION, tickets, sources, applied]).encode()).hexdigest()


@contextlib.contextmanager
def _indexes_made_afterwards() -> Iterator[None]:
    """In the end they are the same as before; one that is there meanwhile costs ten times as much.

    The foreign keys are not checked, either: a million rows name the same few projects.
    """
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES, [list(_TABLES)])
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute(_CHECKS, [list(_TABLES)])
        checks = cursor.fetchall()
        for table, name in checks:
            cursor.execute(f'ALTER TABLE {table} DISABLE TRIGGER "{name}"')
        yield
        for table, name in checks:
            cursor.execute(f'ALTER TABLE {table} ENABLE TRIGGER "{name}"')
        for _, definition in indexes:
            cursor.execute(definition)


_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid::regclass::text = ANY(%s) AND NOT indisunique
"""
_CHECKS = """
SELECT tgrelid::regclass::text, tgname FROM pg_trigger
WHERE tgrelid::regclass::text = ANY(%s) AND tgisinternal
"""


def _project(name: str, agents: list[User]) -> Project:
    project = Project.objects.create(name=name)
    for agent in agents:
        Membership.objects.create(project=project, user=agent)
    for role in ("Billing", "Technical"):
        Role.objects.create(project=project, name=role)
    return project


def _clear_scratch() -> None:
    """What the last run has written: a statement for each table, where a cascade takes minutes."""
    projects = list(Project.objects.filter(name__in=_SCRATCH).values_list("pk", flat=True))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(_OF_PROJECTS)
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {table} WHERE project_id = ANY(%s)", [projects])  # noqa: S608  (its own tables)
        cursor.execute("DELETE FROM projects_project WHERE id = ANY(%s)", [projects])


_OF_PROJECTS = """
SELECT quote_ident(table_name) FROM information_schema.columns
WHERE table_schema = 'public' AND column_name = 'project_id'
"""


def _room(project: Project) -> Room:
    _, key = ApiKey.issue(project=project, label="bench", scopes=["*"], rate_limits=[UNLIMITED])
    tickets = Ticket.objects.in_project(project.pk)
    read = tickets.filter(unread_team_count=0, ticket_number__lte=50 * _READ)
    every = read.order_by("ticket_number").values_list("pk", flat=True)
    return Room(
        project_id=project.pk,
        key=key,
        public_token=project.public_token,
        tickets=tickets.count(),
        unread=tickets.unread_total(),
        read_tickets=tuple(map(str, every[:_READ])),
        polls=_polls(tickets),
    )


def _desk(agent: User, shop: Project, scratch: Project) -> Desk:
    SavedView.objects.filter(project=shop).delete()
    # As teams have them: what is unresolved by priority, by who is to answer, half by a tag.
    for number in range(_VIEWS):
        filters = {
            "status": [status for status in Status if status != Status.RESOLVED],
            "tags": [] if number % 2 else [("billing", "bug", "delivery", "vip")[number % 4]],
            "priority": [Priority.values[number % len(Priority)]],
            "assignee": [["me"], ["unassigned"], []][number % 3],
            "sorting": {"columnKey": "updated_at", "order": -1},
        }
        view = SavedView.objects.create(project=shop, name=f"View {number}", filters=filters)
    ticket = open_ticket(project_id=scratch.pk, actor=SYSTEM, message="Hello?", distinct_id="long")
    for number in range(_MESSAGES - 1):
        post_message(
            ticket=ticket,
            actor=SYSTEM,
            author_type=("support", "customer")[number % 2],
            content=f"{number}: the second charge was a mistake, and the money is on its way back.",
        )
    client = Client()
    client.force_login(agent)
    return Desk(
        session=client.cookies[settings.SESSION_COOKIE_NAME].value,
        view=view.short_id,
        views=_VIEWS,
        conversation=ticket.ticket_number,
        messages=_MESSAGES,
    )


def _polls(tickets: TicketQuerySet) -> tuple[str, ...]:
    """What open widgets ask that have seen everything."""
    opened = tickets.filter(widget_session_id__isnull=False, unread_team_count=0)
    columns = opened.values_list("pk", "widget_session_id", "last_message_at")
    return tuple(
        f"/api/conversations/v1/widget/messages/{pk}?widget_session_id={session}"
        f"&after={quote(timestamp(last))}"
        for pk, session, last in columns[:_POLLS]
        if last is not None
    )
