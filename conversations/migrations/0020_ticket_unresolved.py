from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Built beside the writes. From then on it is one more index to keep for a ticket until it is
    resolved."""

    atomic = False

    dependencies = [("conversations", "0019_ticket_unresolved_due")]

    operations = [
        AddIndexConcurrently(
            model_name="ticket",
            index=models.Index(
                fields=["project", "updated_at", "id"],
                include=[
                    "status",
                    "priority",
                    "channel_source",
                    "assignee_user",
                    "assignee_role",
                ],
                condition=models.Q(("status", "resolved"), _negated=True),
                name="ticket_unresolved",
            ),
        ),
    ]
