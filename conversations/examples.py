"""A ticket and its messages as the schema shows them."""

TICKET = {
    "id": "01990a3c-6f3e-7c52-9d1b-4b8f6f0f2a11",
    "ticket_number": 42,
    "channel_source": "api",
    "channel_detail": None,
    "distinct_id": "user_1",
    "identity_verified": None,
    "status": "open",
    "priority": "high",
    "assignee": {"id": 7, "type": "user", "user": {"email": "agent@example.com"}, "role": None},
    "anonymous_traits": {"name": "Ada", "email": "ada@example.com"},
    "ai_resolved": False,
    "escalation_reason": None,
    "created_at": "2026-11-22T09:15:00.000000Z",
    "updated_at": "2026-11-22T09:20:31.250000Z",
    "resolved_at": None,
    "message_count": 1,
    "last_message_at": "2026-11-22T09:15:00.000000Z",
    "last_message_text": "Where is my order?",
    "unread_team_count": 1,
    "unread_customer_count": 0,
    "session_id": None,
    "session_context": {},
    "email_subject": None,
    "email_from": None,
    "sla_due_at": "2026-11-22T13:15:00.000000Z",
    "snoozed_until": None,
    "tags": ["delivery"],
    "person": {
        "id": "01990a3b-1c2d-7a10-8e4f-0a1b2c3d4e5f",
        "name": "ada@example.com",
        "distinct_ids": ["user_1"],
        "properties": {"email": "ada@example.com", "plan": "pro"},
        "created_at": "2026-03-01T08:00:00.000000Z",
        "is_identified": True,
    },
}
NEW_TICKET = {
    "distinct_id": "user_1",
    "message": "Where is my order?",
    "priority": "high",
    "tags": ["delivery"],
    "anonymous_traits": {"name": "Ada", "email": "ada@example.com"},
}
TICKET_CHANGES = {"status": "open", "assignee": {"type": "user", "id": 7}, "tags": ["delivery"]}
MESSAGE = {
    "id": "01990a41-2b3c-7d4e-8f50-617283940a1b",
    "content": "It left us this morning.",
    "rich_content": None,
    "author_type": "support",
    "author_name": "Grace",
    "is_private": False,
    "created_at": "2026-11-22T09:20:31.250000Z",
}
NEW_MESSAGE = {"content": "Where is my order?", "author_type": "customer"}
MESSAGE_CHANGES = {"content": "It left us this morning, by express."}
REPLY = {"message": "It left us this morning."}
UNREAD_COUNT = {"count": 3}
_AUTHOR = {"id": 7, "email": "agent@example.com", "name": "Grace Hopper"}
NEW_VIEW = {
    "name": "Urgent and unassigned",
    "filters": {
        "status": ["new", "open"],
        "priority": ["critical"],
        "assignee": ["unassigned"],
        "sorting": {"columnKey": "created_at", "order": 1},
    },
}
VIEW = {
    "id": "01990a50-0000-7c52-9d1b-4b8f6f0f2a11",
    "short_id": "aB3dE5gH7j",
    **NEW_VIEW,
    "created_at": "2026-11-22T09:00:00.000000Z",
    "created_by": _AUTHOR,
}
NEW_MACRO = {
    "name": "Sent today",
    "content": "Your order left us today.",
    "actions": {"status": "pending", "tags": ["delivery"]},
}
MACRO = {
    "id": "01990a51-0000-7c52-9d1b-4b8f6f0f2a11",
    "short_id": "kL9mN1pQ3r",
    "rich_content": None,
    **NEW_MACRO,
    "created_at": "2026-11-22T09:00:00.000000Z",
    "created_by": _AUTHOR,
}
EVENT = {
    "id": "01990a42-0000-7c52-9d1b-4b8f6f0f2a11",
    "type": "ticket.updated",
    "created_at": "2026-11-22T09:20:31.250000Z",
    "project_id": 1,
    "ticket_id": TICKET["id"],
    "ticket_number": 42,
    "actor": {"type": "user", "id": 7, "name": "Grace Hopper"},
    "changes": {"status": ["new", "open"]},
    "object": TICKET,
}
APPLY_MACRO = {"macro": "kL9mN1pQ3r"}
