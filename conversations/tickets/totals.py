"""How many tickets a project has in each status, without counting them.

PostgreSQL keeps it, by triggers on the tickets, so that no way of writing passes it by: the API,
the admin site, `QuerySet.update`, raw SQL, COPY, cascades. Each statement adds what it has changed
as rows of its own, and a total is the sum of all. It becomes visible with the tickets, and only
with them; and writers never wait for each other, as they would at one row for each total
(measured: 0.29 times the speed). One statement in 64 replaces a project's rows by their sums.
The SQL of it: `migrations/0013_ticket_totals.py`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from django.apps.registry import Apps
from django.db import connection, models, transaction
from django.db.models import Func, IntegerField, QuerySet, Subquery, Sum

from conversations.models import Status
from projects.models import Project


class TicketTotal(models.Model):
    """A change of the number of a project's tickets in a status. Only triggers write it."""

    id = models.BigAutoField(primary_key=True)
    project_id = models.BigIntegerField()
    status = models.CharField(max_length=16)
    change = models.IntegerField()

    objects: ClassVar["models.Manager[TicketTotal]"] = models.Manager()

    class Meta:
        # As Django's own table of migrations, unknown to `dumpdata`: who loads tickets has the
        # triggers count them, and would have them twice.
        apps = Apps()
        app_label = "conversations"
        db_table = "conversations_tickettotal"

    def __str__(self) -> str:
        return f"{self.change:+} {self.status}"


def total(
    project_id: int,
    statuses: Collection[str] | None = None,
    *,
    less: QuerySet[Any, int] | None = None,
) -> QuerySet[Any, int]:
    """The query for the number of a project's tickets, or of those in any of these statuses;
    `less` is the query for how many of them are not meant."""
    changes = TicketTotal.objects.filter(project_id=project_id)
    if statuses is not None:
        changes = changes.filter(status__in=statuses)
    if less is not None:
        return changes.values_list(_SUM - Subquery(less), flat=True)
    return changes.values_list(_SUM, flat=True)


def total_by_status(project_id: int, statuses: Collection[str]) -> dict[str, int]:
    """The number of a project's tickets in each of these statuses that it has ever had one in."""
    changes = TicketTotal.objects.filter(project_id=project_id, status__in=statuses)
    return dict(changes.values_list("status").annotate(Sum("change")))


_SUM = Func("change", template="COALESCE(SUM(%(expressions)s), 0)", output_field=IntegerField())


# --- Whether they are right --------------------------------------------------


@dataclass(frozen=True)
class WrongTotal:
    """A total as it is stored, and as the same statement counted it."""

    project_id: int
    status: str
    stored: int
    counted: int


def projects_with_totals() -> list[int]:
    """Those that are, and those that are no more and have left some behind."""
    ids = set(Project.objects.values_list("pk", flat=True))
    ids.update(TicketTotal.objects.values_list("project_id", flat=True).distinct())
    return sorted(ids)


def wrong_totals(project_id: int) -> list[WrongTotal]:
    """Both numbers are of one snapshot, so that writers make no difference between them."""
    with connection.cursor() as cursor:
        return _select_wrong(cursor, project_id, _COMPARE)


def repair_totals(project_id: int) -> list[WrongTotal]:
    """Puts a project's totals right, and returns those that were wrong. No writer waits for it.

    It adds what is missing in the snapshot in which it is. Whatever others commit meanwhile
    changes tickets and totals alike, and leaves the difference as it is.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Two who repair at once would both add it.
        cursor.execute("LOCK TABLE conversations_tickettotal IN SHARE UPDATE EXCLUSIVE MODE")
        wrong = _select_wrong(cursor, project_id, f"{_COMPARE}, added AS ({_ADD})")
    while _fold(project_id) > len(Status):
        pass
    return wrong


def _select_wrong(cursor: Any, project_id: int, compare: str) -> list[WrongTotal]:
    cursor.execute(f"{compare} TABLE wrong ORDER BY status", {"project_id": project_id})
    return [WrongTotal(project_id, *row) for row in cursor.fetchall()]


def _fold(project_id: int) -> int:
    """Of a great many rows some thousands at a time; how many there were."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT fold_ticket_totals(ARRAY[%s]::bigint[])", [project_id])
        (folded,) = cursor.fetchone()
    return int(folded)


_COMPARE = """
WITH stored AS (
    SELECT status, SUM(change) AS total FROM conversations_tickettotal
    WHERE project_id = %(project_id)s GROUP BY status
), counted AS (
    SELECT status, COUNT(*) AS total FROM conversations_ticket
    WHERE project_id = %(project_id)s GROUP BY status
), wrong AS (
    SELECT status, COALESCE(stored.total, 0) AS stored, COALESCE(counted.total, 0) AS counted
    FROM stored FULL JOIN counted USING (status)
    WHERE COALESCE(stored.total, 0) <> COALESCE(counted.total, 0)
)
"""
_ADD = """
INSERT INTO conversations_tickettotal (project_id, status, change)
SELECT %(project_id)s, status, counted - stored FROM wrong
"""
