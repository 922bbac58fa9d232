from django.contrib.postgres.indexes import GinIndex
from django.db import migrations

_INDEXES = [("ticket", "ticket_search"), ("message", "message_search")]


class Migration(migrations.Migration):
    """See `conversations.models.search_index`.

    It changes a number in the catalogue; what waits in a longer list is worked off by
    the next write. Each in a transaction of its own, so that one lock is held at a time.
    """

    dependencies = [("conversations", "0013_ticket_totals")]
    atomic = False

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"ALTER INDEX {name} SET (gin_pending_list_limit = 256)",
                    f"ALTER INDEX {name} RESET (gin_pending_list_limit)",
                )
                for _, name in _INDEXES
            ],
            state_operations=[
                operation
                for model, name in _INDEXES
                for operation in (
                    migrations.RemoveIndex(model_name=model, name=name),
                    migrations.AddIndex(
                        model_name=model,
                        index=GinIndex(fields=["search"], gin_pending_list_limit=256, name=name),
                    ),
                )
            ],
        )
    ]
