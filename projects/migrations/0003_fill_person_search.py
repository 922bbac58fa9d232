from typing import Any

from django.db import migrations


def fill(apps: Any, schema_editor: Any) -> None:
    for person in apps.get_model("projects", "Person").objects.filter(search=None).iterator():
        # The field makes its own value.
        person.save(update_fields=["search"])


class Migration(migrations.Migration):
    dependencies = [("projects", "0002_person_search")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
