from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0017_ticket_created_with_first_reply")]

    operations = [
        migrations.AddField(
            model_name="message",
            name="edited_at",
            # Null without a default: no row is written, and an older release inserts without it.
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
