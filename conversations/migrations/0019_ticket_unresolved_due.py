from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Built beside the writes. From then on it is one more index to keep for a ticket that has a
    deadline, until it is resolved."""

    atomic = False

    dependencies = [("conversations", "0018_message_edited_at")]

    operations = [
        AddIndexConcurrently(
            model_name="ticket",
            index=models.Index(
                fields=["project", "sla_due_at", "id"],
                include=["status"],
                condition=models.Q(
                    models.Q(("status", "resolved"), _negated=True), ("sla_due_at__isnull", False)
                ),
                name="ticket_unresolved_due",
            ),
        ),
    ]
