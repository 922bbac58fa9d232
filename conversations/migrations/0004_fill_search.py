from collections.abc import Callable, Iterable
from typing import Any

from django.apps.registry import Apps
from django.db import migrations, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from conversations.search import of_message, of_ticket
from rest.words import Lexemes

_BATCH = 500


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Fills the `search` columns of what was there before them.

    In short transactions of its own, so that nobody waits for long; what is filled
    is passed over, so that it may be stopped and started again. A row is written only
    while it is as it was read: not over what somebody else has filled, not once deleted.
    """
    for name, lexemes_of, columns in _TABLES:
        rows = apps.get_model("conversations", name).objects.filter(search=None)
        if name == "Message":
            rows = rows.filter(deleted_at=None)
        last: Any = None
        while batch := list(_after(rows, last).order_by("pk")[:_BATCH]):
            with transaction.atomic():
                for row in batch:
                    same = {column: getattr(row, column) for column in columns}
                    rows.filter(pk=row.pk, **same).update(search=lexemes_of(row))
            last = batch[-1].pk


def _after(rows: Any, last: Any) -> Any:
    return rows if last is None else rows.filter(pk__gt=last)


def _of_message(message: Any) -> Lexemes:
    return of_message(message.project_id, message.content)


_TABLES: Iterable[tuple[str, Callable[[Any], Lexemes], list[str]]] = [
    ("Ticket", of_ticket, ["anonymous_traits", "email_from", "email_subject", "tags"]),
    ("Message", _of_message, ["content"]),
]


class Migration(migrations.Migration):
    """What it fills goes with the columns, so there is nothing to do on the way back."""

    dependencies = [("conversations", "0003_search_views_macros")]
    atomic = False

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
