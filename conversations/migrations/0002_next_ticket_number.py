from django.db import migrations


class Migration(migrations.Migration):
    """See `NextTicketNumber`."""

    dependencies = [("conversations", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
            CREATE FUNCTION next_ticket_number(of_project bigint) RETURNS integer
            LANGUAGE sql VOLATILE AS $$
                UPDATE projects_project SET last_ticket_number = last_ticket_number + 1
                WHERE id = of_project RETURNING last_ticket_number
            $$
            """,
            reverse_sql="DROP FUNCTION next_ticket_number(bigint)",
        )
    ]
