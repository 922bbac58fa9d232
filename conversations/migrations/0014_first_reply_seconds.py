from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0012_event_person")]

    operations = [
        migrations.AddField(
            model_name="ticket",
            name="first_reply_seconds",
            # Null without a default: no row is written, and an older release inserts without it.
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
    ]
