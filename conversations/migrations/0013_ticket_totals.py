from django.db import migrations

_TABLE = """
CREATE TABLE conversations_tickettotal (
    project_id bigint NOT NULL,
    status varchar(16) NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    change integer NOT NULL,
    -- Read without the table itself.
    PRIMARY KEY (project_id, status, id) INCLUDE (change)
) WITH (
    -- Rows come and go all the time; what is gone is still passed over until it is vacuumed.
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_vacuum_cost_delay = 0
)
"""

# Rows that another transaction has in its hands are left to it: two that fold at once neither wait
# for each other nor take the same row. The sums come and their rows go in one statement, for
# everybody else at one moment. Of very many, some at a time, so that no writer waits long for it.
_FOLD = """
CREATE FUNCTION fold_ticket_totals(of_projects bigint[]) RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    WITH gone AS (
        DELETE FROM conversations_tickettotal
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM conversations_tickettotal WHERE project_id = ANY (of_projects)
            LIMIT 10000 FOR UPDATE SKIP LOCKED
        ))
        RETURNING project_id, status, change
    ), folded AS (
        INSERT INTO conversations_tickettotal (project_id, status, change)
        SELECT project_id, status, SUM(change) FROM gone
        GROUP BY project_id, status HAVING SUM(change) <> 0
    )
    SELECT COUNT(*) FROM gone
$$
"""
# The functions of triggers find the tables whatever the writer's path is: `pg_restore
# --data-only` has an empty one.
_COUNT_CHANGES = """
CREATE FUNCTION count_ticket_changes() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
    touched bigint[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO conversations_tickettotal (project_id, status, change)
        SELECT project_id, status, COUNT(*) FROM after GROUP BY project_id, status;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO conversations_tickettotal (project_id, status, change)
        SELECT project_id, status, -COUNT(*) FROM before GROUP BY project_id, status;
    -- Most statements leave both as they are, as those for a message do, and are through here.
    ELSIF EXISTS (
        SELECT FROM before LEFT JOIN after USING (id)
        WHERE before.status IS DISTINCT FROM after.status
            OR before.project_id IS DISTINCT FROM after.project_id
    ) THEN
        INSERT INTO conversations_tickettotal (project_id, status, change)
        SELECT project_id, status, SUM(change) FROM (
            SELECT project_id, status, -1 AS change FROM before
            UNION ALL SELECT project_id, status, 1 FROM after
        ) AS changes
        GROUP BY project_id, status HAVING SUM(change) <> 0;
    ELSE
        RETURN NULL;
    END IF;
    -- One statement in 64 folds, and a transaction once: what it has folded itself it has to
    -- pass over until its end, and a million statements would take hours. Nor one that sees the
    -- database as it was: rows that others have folded since would be an error to it.
    IF random() * 64 < 1
        AND current_setting('conversations.has_folded', TRUE) IS DISTINCT FROM 'yes'
        AND current_setting('transaction_isolation') = 'read committed'
    THEN
        PERFORM set_config('conversations.has_folded', 'yes', TRUE);
        IF TG_OP = 'DELETE' THEN
            touched := ARRAY(SELECT DISTINCT project_id FROM before);
        ELSE
            touched := ARRAY(SELECT DISTINCT project_id FROM after);
        END IF;
        PERFORM fold_ticket_totals(touched);
    END IF;
    RETURN NULL;
END $$
"""
_EMPTIED = """
CREATE FUNCTION count_no_tickets() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    -- No TRUNCATE, which is refused where this table is emptied in the same statement.
    DELETE FROM conversations_tickettotal;
    RETURN NULL;
END $$
"""
# A foreign key would do that as well, and lock the project's row at each change.
_PROJECT_DELETED = """
CREATE FUNCTION forget_ticket_totals() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM conversations_tickettotal WHERE project_id = OLD.id;
    RETURN NULL;
END $$
"""

# From here to the commit nobody writes a ticket, so that each is counted once: those before by
# the last statement, those after by the triggers. Who waits for a long transaction lets the
# others pass him soon, and is started again.
_LOCK = """
SET LOCAL lock_timeout = '3s';
LOCK TABLE conversations_ticket, projects_project IN SHARE ROW EXCLUSIVE MODE
"""
_TRIGGERS = """
CREATE TRIGGER ticket_totals_insert AFTER INSERT ON conversations_ticket
REFERENCING NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION count_ticket_changes();

CREATE TRIGGER ticket_totals_update AFTER UPDATE ON conversations_ticket
REFERENCING OLD TABLE AS before NEW TABLE AS after
FOR EACH STATEMENT EXECUTE FUNCTION count_ticket_changes();

CREATE TRIGGER ticket_totals_delete AFTER DELETE ON conversations_ticket
REFERENCING OLD TABLE AS before
FOR EACH STATEMENT EXECUTE FUNCTION count_ticket_changes();

CREATE TRIGGER ticket_totals_truncate AFTER TRUNCATE ON conversations_ticket
FOR EACH STATEMENT EXECUTE FUNCTION count_no_tickets();

CREATE TRIGGER ticket_totals_delete_project AFTER DELETE ON projects_project
FOR EACH ROW EXECUTE FUNCTION forget_ticket_totals()
"""
_COUNT = """
INSERT INTO conversations_tickettotal (project_id, status, change)
SELECT project_id, status, COUNT(*) FROM conversations_ticket GROUP BY project_id, status
"""
_REMOVE = """
SET LOCAL lock_timeout = '3s';
DROP TRIGGER ticket_totals_insert ON conversations_ticket;
DROP TRIGGER ticket_totals_update ON conversations_ticket;
DROP TRIGGER ticket_totals_delete ON conversations_ticket;
DROP TRIGGER ticket_totals_truncate ON conversations_ticket;
DROP TRIGGER ticket_totals_delete_project ON projects_project
"""


def _function(sql: str, name: str) -> migrations.RunSQL:
    return migrations.RunSQL(sql, f"DROP FUNCTION {name}")


class Migration(migrations.Migration):
    """See `conversations.tickets.totals`. A release that does not know of them keeps them right."""

    dependencies = [("conversations", "0012_event_person")]

    operations = [
        migrations.RunSQL(_TABLE, "DROP TABLE conversations_tickettotal"),
        _function(_FOLD, "fold_ticket_totals(bigint[])"),
        _function(_COUNT_CHANGES, "count_ticket_changes()"),
        _function(_EMPTIED, "count_no_tickets()"),
        _function(_PROJECT_DELETED, "forget_ticket_totals()"),
        migrations.RunSQL(_LOCK, migrations.RunSQL.noop),
        migrations.RunSQL(_TRIGGERS, _REMOVE),
        migrations.RunSQL(_COUNT, migrations.RunSQL.noop),
    ]
