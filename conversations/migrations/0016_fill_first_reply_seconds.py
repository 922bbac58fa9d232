from typing import Any
from uuid import UUID

from django.db import connections, migrations

_BATCH = 500

# Locked in the order of their ids, as everywhere. A ticket whose reply comes meanwhile has got
# its number by the verb that posts it, and keeps that.
_FILL = """
WITH batch AS (
    SELECT id FROM conversations_ticket WHERE id > %(last)s
    ORDER BY id LIMIT %(batch)s FOR NO KEY UPDATE
), replied AS (
    SELECT ticket_id, min(created_at) AS at FROM conversations_message
    WHERE ticket_id = ANY(ARRAY(SELECT id FROM batch))
        AND author_type = 'support' AND NOT is_private AND deleted_at IS NULL
    GROUP BY ticket_id
), filled AS (
    UPDATE conversations_ticket AS ticket
    -- Rows that were loaded by SQL may say that the reply was there first.
    SET first_reply_seconds = greatest(0, floor(extract(epoch FROM at - created_at)))
    FROM replied WHERE id = ticket_id AND first_reply_seconds IS NULL
)
SELECT id FROM batch ORDER BY id DESC LIMIT 1
"""


def fill(apps: Any, schema_editor: Any) -> None:
    """Says of the tickets that are there when the team first replied to them.

    In batches, each a transaction of its own, so that nobody waits long for a row; it may be
    stopped and started again. What an older release posts while it still runs is not noted;
    `check_counters --repair` finds that.
    """
    last: UUID | None = UUID(int=0)
    with connections[schema_editor.connection.alias].cursor() as cursor:
        while last is not None:
            cursor.execute(_FILL, {"last": last, "batch": _BATCH})
            row = cursor.fetchone()
            last = row and row[0]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("conversations", "0015_first_reply_seconds")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
