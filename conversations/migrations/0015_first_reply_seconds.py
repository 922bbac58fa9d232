from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0014_search_pending")]

    operations = [
        migrations.AddField(
            model_name="ticket",
            name="first_reply_seconds",
            # Null without a default: no row is written, and an older release inserts without it.
            field=models.PositiveIntegerField(editable=False, null=True),
        ),
    ]
