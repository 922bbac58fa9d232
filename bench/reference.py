"""What the service is measured against: bare WSGI functions under the same web server.

`python -m bench.reference` serves them on PORT. None knows who calls, checks what came, or
catches an error: each does what its SQL statements or its one GET of Redis cost, and no more.
"""

import os
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import psycopg
import redis

from config.serve import serve

_REDIS_KEY = "bench:count"

_redis = redis.Redis.from_url(os.environ["REDIS_URL"])
_local = threading.local()

# --- The JSON of rows, as PostgreSQL itself makes it -------------------------

_TICKETS = """
SELECT
    ticket.id, ticket_number, channel_source, channel_detail, ticket.distinct_id,
    identity_verified, status, priority,
    CASE
        WHEN assignee_user_id IS NOT NULL THEN json_build_object(
            'id', assignee_user_id, 'type', 'user', 'role', NULL,
            'user', json_build_object('email', agent.email))
        WHEN assignee_role_id IS NOT NULL THEN json_build_object(
            'id', assignee_role_id, 'type', 'role', 'user', NULL,
            'role', json_build_object('name', role.name))
    END AS assignee,
    anonymous_traits, ai_resolved, escalation_reason, ticket.created_at, updated_at, resolved_at,
    message_count, last_message_at, last_message_text, unread_team_count, unread_customer_count,
    session_id, session_context, email_subject, email_from, sla_due_at, snoozed_until, tags,
    (
        SELECT row_to_json(shown) FROM (
            SELECT
                person.id, person.properties ->> 'email' AS name,
                ARRAY(
                    SELECT names.distinct_id FROM projects_persondistinctid AS names
                    WHERE names.person_id = person.id ORDER BY names.id
                ) AS distinct_ids,
                person.properties, person.created_at, person.is_identified
            FROM projects_persondistinctid AS known JOIN projects_person AS person
                ON person.id = known.person_id
            WHERE known.project_id = ticket.project_id
                AND known.distinct_id = ticket.distinct_id
        ) AS shown
    ) AS person
FROM <source> AS ticket
LEFT JOIN projects_user AS agent ON agent.id = assignee_user_id
LEFT JOIN projects_role AS role ON role.id = assignee_role_id
"""
_ONE = """
SELECT row_to_json(rows)::text FROM (<tickets> WHERE ticket.id = %(id)s) AS rows
""".replace("<tickets>", _TICKETS.replace("<source>", "conversations_ticket"))
_LIST = """
SELECT json_agg(rows)::text FROM (<tickets>) AS rows
""".replace(
    "<tickets>",
    _TICKETS.replace(
        "<source>",
        """(
    SELECT * FROM conversations_ticket WHERE project_id = %(project)s
    ORDER BY updated_at DESC, id DESC LIMIT 100
)""",
    ),
)
_UNREAD = """
SELECT json_build_object('count', coalesce(sum(unread_team_count), 0))::text
FROM conversations_ticket
WHERE project_id = %(project)s AND status <> 'resolved' AND unread_team_count > 0
"""

# --- Writes: the rows that the service writes, by the fewest statements ------

_EVENT = """
INSERT INTO conversations_event
    (id, project_id, ticket_id, ticket_number, type, actor, changes, object, created_at)
SELECT %(event)s, %(project)s, %(id)s, ticket_number, %(type)s, '{"type": "api_key"}',
    %(changes)s, <object>, now()
FROM conversations_ticket WHERE id = %(id)s
RETURNING object::text
"""
_TICKET_EVENT = _EVENT.replace("<object>", f"({_ONE})::jsonb")
_MESSAGE_EVENT = _EVENT.replace(
    "<object>",
    "(SELECT to_jsonb(rows) FROM (SELECT id, content, rich_content, author_type, author_name,"
    " is_private, created_at FROM conversations_message WHERE id = %(message)s) AS rows)",
)
_PATCH = """
UPDATE conversations_ticket
SET priority = %(priority)s, version = version + 1,
    updated_at = greatest(now(), updated_at + interval '1 microsecond')
WHERE project_id = %(project)s AND id = %(id)s
"""
_STATUS = """
UPDATE conversations_ticket
SET status = CASE status WHEN 'open' THEN 'pending' ELSE 'open' END, version = version + 1,
    updated_at = greatest(now(), updated_at + interval '1 microsecond')
WHERE project_id = %(project)s AND id = %(id)s
RETURNING json_build_object('status', status)::text
"""
_CREATE = """
INSERT INTO conversations_ticket (
    id, project_id, ticket_number, channel_source, distinct_id, status, priority,
    anonymous_traits, ai_resolved, tags, session_context, search, created_at, updated_at,
    message_count, last_message_at, last_message_text, last_seq, team_read_seq,
    customer_read_seq, marked_unread, unread_team_count, unread_customer_count
) VALUES (
    %(id)s, %(project)s, next_ticket_number(%(project)s), 'api', %(distinct_id)s, 'new',
    %(priority)s, %(traits)s, FALSE, %(tags)s, '{}', array_to_tsvector(%(ticket_words)s), now(),
    now(), 1, now(), %(content)s, 1, 0, 0, FALSE, 1, 0
)
"""
_FIRST_MESSAGE = """
INSERT INTO conversations_message
    (id, project_id, ticket_id, seq, author_type, content, is_private, created_at, search)
VALUES (%(message)s, %(project)s, %(id)s, 1, 'customer', %(content)s, FALSE, now(),
    array_to_tsvector(%(words)s))
"""
_REPLY = """
WITH ticket AS (
    UPDATE conversations_ticket
    SET last_seq = last_seq + 1, message_count = message_count + 1,
        unread_customer_count = unread_customer_count + 1, last_message_text = %(content)s,
        last_message_at = greatest(now(), updated_at + interval '1 microsecond'),
        updated_at = greatest(now(), updated_at + interval '1 microsecond')
    WHERE project_id = %(project)s AND id = %(id)s
    RETURNING last_seq, updated_at
)
INSERT INTO conversations_message
    (id, project_id, ticket_id, seq, author_type, content, is_private, created_at, search)
SELECT %(message)s, %(project)s, %(id)s, last_seq, 'support', %(content)s, FALSE, updated_at,
    array_to_tsvector(%(words)s)
FROM ticket
"""


# --- What answers ------------------------------------------------------------


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    name, *arguments = environ["PATH_INFO"].lstrip("/").split("/")
    sent = environ["wsgi.input"].read() if environ["REQUEST_METHOD"] == "POST" else b"{}"
    body = _ANSWERS[name](*arguments, **orjson.loads(sent))
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]


def _get() -> bytes:
    count: Any = _redis.get(_REDIS_KEY)
    return b'{"count":%s}' % count


def _constant() -> bytes:
    """Costs the server nothing: it shows how fast the load can be."""
    return b'{"count":0}'


def _unread(project: str) -> bytes:
    return _asked(_UNREAD, {"project": int(project)})


def _list(project: str) -> bytes:
    return _asked(_LIST, {"project": int(project)})


def _ticket(ticket_id: str) -> bytes:
    return _asked(_ONE, {"id": ticket_id})


def _patch(project: str, ticket_id: str, *, priority: str) -> bytes:
    values = _new(project, type="ticket.updated", id=ticket_id, priority=priority)
    values["changes"] = '{"priority": ["low", "high"]}'
    with _connection().transaction():
        _connection().execute(_PATCH, values)
        return _asked(_TICKET_EVENT, values)


def _status(project: str, ticket_id: str) -> bytes:
    return _asked(_STATUS, {"project": int(project), "id": ticket_id})


def _status_without_totals(project: str, ticket_id: str) -> bytes:
    """The totals of the project are wrong afterwards: one that nobody asks for them."""
    values = {"project": int(project), "id": ticket_id}
    return _asked(_STATUS, values, settings="-c session_replication_role=replica")


def _create(
    project: str,
    *,
    distinct_id: str,
    anonymous_traits: Any,
    priority: str,
    tags: list[str],
    message: str,
) -> bytes:
    values = _new(project, type="ticket.created", id=uuid.uuid4(), content=message)
    values |= {
        "distinct_id": distinct_id,
        "traits": orjson.dumps(anonymous_traits).decode(),
        "priority": priority,
        "tags": tags,
        "ticket_words": _words(project, " ".join([*anonymous_traits.values(), *tags])),
    }
    with _connection().transaction():
        _connection().execute(_FIRST_MESSAGE, values)
        _connection().execute(_CREATE, values)
        answer = _asked(_TICKET_EVENT, values)
        _asked(_MESSAGE_EVENT, values | {"type": "message.created", "event": uuid.uuid4()})
    return answer


def _message(project: str, ticket_id: str, *, content: str) -> bytes:
    values = _new(project, type="message.created", id=ticket_id, content=content)
    with _connection().transaction():
        _connection().execute(_REPLY, values)
        return _asked(_MESSAGE_EVENT, values)


_ANSWERS: dict[str, Callable[..., bytes]] = {
    "": _get,
    "constant": _constant,
    "unread": _unread,
    "list": _list,
    "ticket": _ticket,
    "patch": _patch,
    "status": _status,
    "status_without_totals": _status_without_totals,
    "create": _create,
    "message": _message,
}


def _new(project: str, **values: Any) -> dict[str, Any]:
    values |= {"project": int(project), "event": uuid.uuid4(), "message": uuid.uuid4()}
    if "content" in values:
        values["words"] = _words(project, values["content"])
    return {"changes": "{}", **values}


def _words(project: str, text: str) -> list[str]:
    return [f"{project}:{word}" for word in set(text.lower().split())]


def _asked(statement: str, values: dict[str, Any], *, settings: str = "") -> bytes:
    [answer] = _connection(settings).execute(statement.encode(), values).fetchone()  # type: ignore[misc]  # (there is a row)
    return bytes(answer.encode())


def _connection(settings: str = "") -> psycopg.Connection[Any]:
    """One for each thread, and for the settings of the server that it has."""
    if not hasattr(_local, "connections"):
        _local.connections = {}
    connections: dict[str, psycopg.Connection[Any]] = _local.connections
    if settings not in connections:
        url = os.environ["DATABASE_URL"]
        connections[settings] = psycopg.connect(url, autocommit=True, options=settings)
    return connections[settings]


def main() -> None:
    _redis.set(_REDIS_KEY, 17)
    # Its connection stays with this process: a worker that inherited it would share it.
    _redis.close()
    serve("bench.reference:application")


if __name__ == "__main__":
    main()
