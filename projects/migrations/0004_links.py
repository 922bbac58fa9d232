import django.contrib.postgres.fields
import django.contrib.postgres.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    """What an older release writes meanwhile names neither column, and gets their defaults."""

    dependencies = [("projects", "0003_fill_person_search")]

    operations = [
        migrations.AddField(
            model_name="person",
            name="claimed",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                db_default=[],
                default=list,
                editable=False,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="persondistinctid",
            name="is_identified",
            field=models.BooleanField(db_default=True, editable=False),
        ),
        # In two steps: with a default that is not constant, the first would write the
        # whole table anew under a lock that nobody passes.
        migrations.AddField(
            model_name="persondistinctid",
            name="link",
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="persondistinctid",
            name="link",
            field=models.UUIDField(
                db_default=django.contrib.postgres.functions.RandomUUID(),
                editable=False,
                null=True,
            ),
        ),
    ]
