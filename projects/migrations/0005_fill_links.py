from typing import Any

from django.db import connections, migrations
from django.db.models import Max

_BATCH = 10_000


def fill(apps: Any, schema_editor: Any) -> None:
    """API keys have made all persons so far: what is one person is one customer by their word.

    In batches, each a transaction of its own, so that nobody waits long for a row. A
    link means something within one person only, so the person's own id serves.
    """
    connection = connections[schema_editor.connection.alias]
    rows = apps.get_model("projects", "PersonDistinctId").objects.using(connection.alias)
    last = rows.aggregate(last=Max("pk"))["last"] or 0
    with connection.cursor() as cursor:
        for start in range(0, last, _BATCH):
            cursor.execute(
                "UPDATE projects_persondistinctid SET link = person_id"
                " WHERE id > %s AND id <= %s AND link IS NULL",
                [start, start + _BATCH],
            )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("projects", "0004_links")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
