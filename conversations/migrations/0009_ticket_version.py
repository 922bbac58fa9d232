from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0008_events")]

    operations = [
        migrations.AddField(
            model_name="ticket",
            name="version",
            # The database's default lets an older release go on inserting rows.
            field=models.PositiveIntegerField(db_default=1, default=1, editable=False),
        ),
    ]
