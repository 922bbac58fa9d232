from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.fields.json import KeyTextTransform, KeyTransform


class Migration(migrations.Migration):
    # An index that is built beside the writes can not be built in a transaction.
    atomic = False

    dependencies = [("conversations", "0011_webhook_removed_at")]

    operations = [
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(
                models.F("project"),
                KeyTextTransform("id", KeyTransform("person", "object")),
                condition=models.Q(
                    ("type__in", ["ticket.created", "ticket.updated", "ticket.deleted"])
                ),
                name="event_person",
            ),
        ),
    ]
