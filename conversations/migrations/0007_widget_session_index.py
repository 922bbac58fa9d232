from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    # An index that is built beside the writes can not be built in a transaction.
    atomic = False

    dependencies = [("conversations", "0006_widget")]

    operations = [
        ValidateConstraint(model_name="ticket", name="ticket_delivered_position"),
        AddIndexConcurrently(
            model_name="ticket",
            index=models.Index(
                condition=models.Q(("widget_session_id__isnull", False)),
                fields=["project", "widget_session_id", "created_at", "id"],
                name="ticket_widget_session",
            ),
        ),
    ]
