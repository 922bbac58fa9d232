from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """The index of the list by creation gets a column that the overview reads from it.

    Built beside the writes, and beside the one that it replaces, which lists need until then.
    Afterwards a write has as many indexes to keep as before.
    """

    atomic = False

    dependencies = [("conversations", "0016_fill_first_reply_seconds")]

    operations = [
        AddIndexConcurrently(
            model_name="ticket",
            index=models.Index(
                fields=["project", "created_at", "id"],
                include=["first_reply_seconds"],
                name="ticket_created_new",
            ),
        ),
        RemoveIndexConcurrently(model_name="ticket", name="ticket_created"),
        migrations.RenameIndex(
            model_name="ticket", old_name="ticket_created_new", new_name="ticket_created"
        ),
    ]
