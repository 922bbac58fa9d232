import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.fields.json
import django.db.models.functions.text
from django.db import migrations, models

import projects.models


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="project",
            name="widget_domains",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    max_length=253, validators=[projects.models._host_name]
                ),
                blank=True,
                default=list,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="person",
            name="search",
            field=projects.models.NamesField(editable=False, null=True),
        ),
        # An address of any length was indexed whole, and one of 3,000 characters refused.
        migrations.RemoveIndex(model_name="person", name="person_email"),
        migrations.AddIndex(
            model_name="person",
            index=models.Index(
                models.F("project"),
                django.db.models.functions.text.Left(
                    django.db.models.functions.text.Lower(
                        django.db.models.fields.json.KeyTextTransform("email", "properties")
                    ),
                    320,
                ),
                name="person_email",
            ),
        ),
        migrations.AddIndex(
            model_name="person",
            index=models.Index(fields=["project", "created_at", "id"], name="person_created"),
        ),
        migrations.AddIndex(
            model_name="person",
            index=django.contrib.postgres.indexes.GinIndex(fields=["search"], name="person_search"),
        ),
    ]
