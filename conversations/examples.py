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
NEW_WEBHOOK = {
    "url": "https://example.com/hooks/conversations",
    "event_types": ["ticket.created", "message.created"],
    "description": "The shop's order desk",
    "enabled": True,
}
WEBHOOK = {
    "id": "01990a44-0000-7c52-9d1b-4b8f6f0f2a11",
    **NEW_WEBHOOK,
    "created_at": "2026-11-22T09:00:00.000000Z",
    "disabled_at": None,
    "disabled_reason": None,
}
# The base64 of a sentence that says that it is none.
WEBHOOK_SECRET = "whsec_dGhpcyBpcyBhbiBleGFtcGxlIGFuZCBubyBzZWNyZXQ="  # noqa: S105  (an example)
DELIVERY = {
    "id": "01990a42-0000-7d10-8c3e-2f6a1b0c9d8e",
    "event_id": EVENT["id"],
    "event_type": "ticket.updated",
    "status": "pending",
    "attempts": 1,
    "created_at": "2026-11-22T09:20:31.250000Z",
    "next_attempt_at": "2026-11-22T09:20:36.412000Z",
    "last_attempt_at": "2026-11-22T09:20:31.290000Z",
    "duration_ms": 122,
    "response_status": 503,
    "response_body": "Back in a minute.",
    "error": "The receiver answered 503.",
}
APPLY_MACRO = {"macro": "kL9mN1pQ3r"}


_SESSION = "3f0e9b1e-62a7-4d0c-9a53-0f6f5b1c7d2e"
_TICKET_ID = TICKET["id"]
WIDGET_MESSAGE = {
    "message": "Where is my order?",
    "widget_session_id": _SESSION,
    "distinct_id": "user_1",
    "ticket_id": None,
    "traits": {"name": "Ada", "email": "ada@example.com"},
    "session_context": {"current_url": "https://shop.example.com/orders"},
}
WIDGET_SENT = {
    "ticket_id": _TICKET_ID,
    "message_id": "01990a3c-6f3e-7c52-9d1b-4b8f6f0f2a12",
    "ticket_status": "new",
    "unread_count": 0,
    "created_at": "2026-11-22T09:15:00.000000Z",
}
WIDGET_NEWS = {
    "ticket_id": _TICKET_ID,
    "ticket_status": "open",
    "unread_count": 1,
    "messages": [
        {
            "id": "01990a41-7a10-7d43-8a2c-1f0b6c5d4e3f",
            "content": "It left us this morning.",
            "rich_content": None,
            "author_type": "support",
            "author_name": "Grace",
            "created_at": "2026-11-22T09:20:31.250000Z",
        }
    ],
    "has_more": False,
}
WIDGET_TICKETS = {
    "count": 1,
    "results": [
        {
            "id": _TICKET_ID,
            "ticket_number": 42,
            "status": "open",
            "unread_count": 1,
            "last_message": "It left us this morning.",
            "last_message_at": "2026-11-22T09:20:31.250000Z",
            "message_count": 2,
            "created_at": "2026-11-22T09:15:00.000000Z",
        }
    ],
}
WIDGET_RESTORE = {
    "restore_token": "u1Yk3vN0c7aXq5dJ2mR8sT4wZ6bE9gH1",
    "widget_session_id": _SESSION,
}
WIDGET_RESTORED = {
    "status": "success",
    "widget_session_id": _SESSION,
    "migrated_ticket_ids": [_TICKET_ID],
}
