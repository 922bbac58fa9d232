"""The demo data: a small shop whose agents and customers have talked for some weeks."""

import json
import secrets
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils import timezone

from config import embedded
from conversations.demo_shop import AGENTS, CUSTOMERS, MACROS, ROLES, STORIES, VIEWS, Story
from conversations.events.actors import SYSTEM, Actor
from conversations.events.verbs import record
from conversations.messages.verbs import post_message
from conversations.models import (
    Assignee,
    AuthorType,
    Event,
    Macro,
    Message,
    SavedView,
    Status,
    Ticket,
)
from conversations.tickets.verbs import mark_read, open_ticket, update_ticket
from projects import key_format
from projects.management.base import ServiceCommand
from projects.models import (
    ApiKey,
    Membership,
    Person,
    PersonDistinctId,
    Project,
    Role,
    User,
    new_uuid,
)
from rest.json import timestamp

SCOPES = (
    "ticket:read",
    "ticket:write",
    "person:read",
    "person:write",
    "webhook:write",
    "project:read",
)
PROJECT_NAME = "Demo shop"
AGENT_EMAIL = AGENTS["dana"][0]
_SECOND = timedelta(seconds=1)
# Times of the telling, in what the events of a ticket say of it.
_MOVED = {"updated_at", "last_message_at", "resolved_at"}


class Command(ServiceCommand):
    help = (
        "Makes a project with tickets to look at, an API key and an agent, once; prints them "
        "again from then on."
    )

    def answer(self, options: dict[str, Any]) -> dict[str, Any]:
        """What it prints works.

        Whether the data are there, the database knows; the secrets, of which it has
        only digests, lie in a file. Where the two do not fit (a new database, a lost
        file, a revoked key, a changed password), the secrets are made anew.
        """
        secrets_file = embedded.state_dir() / "demo.json"
        stored = _read(secrets_file)
        if not _key_row(stored) and not _is_ours():
            return {}
        agent = _agent()
        project = _find_project(agent, stored) or _make_project(agent)
        valid = {
            "project_id": project.pk,
            "api_key": _valid_key(stored) or _new_key(project),
            "agent_email": agent.email,
            "agent_password": _valid_password(agent, stored) or _new_password(agent),
        }
        if valid != stored:
            # After the commit, so that the file never names what was rolled back.
            transaction.on_commit(
                lambda: embedded.write_private(secrets_file, json.dumps(valid) + "\n")
            )
        return valid

    def in_words(self, answer: dict[str, Any]) -> str:
        if not answer:
            return "There are projects already; demo data come into an empty database alone."
        return (
            f"Project {answer['project_id']}, {PROJECT_NAME}\n"
            f"API key  {answer['api_key']}\n"
            f"Agent    {answer['agent_email']}, password {answer['agent_password']}"
        )


# The secrets


def _read(secrets_file: Path) -> dict[str, Any]:
    try:
        stored = json.loads(secrets_file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _key_row(stored: dict[str, Any]) -> ApiKey | None:
    digest = key_format.digest(str(stored.get("api_key")))
    return ApiKey.objects.with_digest(digest).select_related("project").first()


def _valid_key(stored: dict[str, Any]) -> str | None:
    """The stored key, unless it was revoked, or rotated and works for a while only."""
    row, key = _key_row(stored), str(stored.get("api_key"))
    return key if row and row.is_live and row.digest == key_format.digest(key) else None


def _new_key(project: Project) -> str:
    _, secret = ApiKey.issue(project=project, label="demo", scopes=SCOPES)
    return secret


def _valid_password(agent: User, stored: dict[str, Any]) -> str | None:
    password = stored.get("agent_password")
    return password if isinstance(password, str) and agent.check_password(password) else None


def _new_password(agent: User) -> str:
    password = secrets.token_urlsafe(12)
    agent.set_password(password)
    agent.save(update_fields=["password"])
    return password


# The project


def _is_ours() -> bool:
    """Whether the database has no projects, or the demo's."""
    demo = Project.objects.filter(name=PROJECT_NAME, memberships__user__email=AGENT_EMAIL)
    return demo.exists() or not Project.objects.exists()


def _agent() -> User:
    """The agent to log in as, locked: a second run at the same time waits here."""
    agent, _ = User.objects.select_for_update().get_or_create(
        email=AGENT_EMAIL,
        defaults={"first_name": AGENTS["dana"][1], "is_staff": True, "is_superuser": True},
    )
    return agent


def _find_project(agent: User, stored: dict[str, Any]) -> Project | None:
    """The demo project: the one of the key in the file, however it is called; else by name."""
    if row := _key_row(stored):
        return row.project
    mine = Project.objects.filter(name=PROJECT_NAME, memberships__user=agent)
    return mine.order_by("pk").first()


def _make_project(agent: User) -> Project:
    project = Project.objects.create(
        name=PROJECT_NAME, widget_greeting_text="How can we help?", widget_color="#8a3d1a"
    )
    agents = {"dana": agent}
    for name in AGENTS.keys() - agents.keys():
        email, full_name = AGENTS[name]
        agents[name], _ = User.objects.get_or_create(
            # No password: nobody logs in as a colleague.
            email=email,
            defaults={"first_name": full_name, "password": make_password(None)},
        )
    Membership.objects.bulk_create(
        Membership(project=project, user=agents[name]) for name in AGENTS
    )
    roles = {}
    for role_name, members in ROLES.items():
        roles[role_name] = Role.objects.create(project=project, name=role_name)
        roles[role_name].members.set([agents[name] for name in members])
    _add_customers(project)
    _tell_stories(project, agents, roles)
    for view_name, filters in VIEWS.items():
        SavedView.objects.create(project=project, name=view_name, filters=filters, created_by=agent)
    for macro_name, macro in MACROS.items():
        Macro.objects.create(project=project, name=macro_name, created_by=agent, **macro)
    return project


def _add_customers(project: Project) -> None:
    since = timezone.now() - timedelta(days=60)
    persons = {
        name: Person(project=project, properties=properties, is_identified=True, created_at=since)
        for name, (_, properties) in CUSTOMERS.items()
    }
    Person.objects.bulk_create(persons.values())
    PersonDistinctId.objects.bulk_create(
        PersonDistinctId(
            project=project,
            person=persons[name],
            distinct_id=distinct_id,
            link=persons[name].pk,
        )
        for name, (distinct_ids, _) in CUSTOMERS.items()
        for distinct_id in distinct_ids
    )


# The tickets


def _tell_stories(project: Project, agents: dict[str, User], roles: dict[str, Role]) -> None:
    now = timezone.now()
    tickets: list[Ticket] = []
    messages: list[Message] = []
    events: list[Event] = []
    for story in STORIES:
        assignee = _assignee(story, agents, roles)
        ticket = _tell(project, story, assignee, agents, now)
        spoken = list(ticket.messages.order_by("seq"))
        _date_back(story, ticket, spoken, now)
        tickets.append(ticket)
        messages += spoken
        events += _dated_back(ticket, spoken)
    # The verbs know only the present, and nobody shall be able to post into the past.
    # So the stories are told now, and moved to their time afterwards; the order of
    # tickets and messages, and all counts, stay as the verbs have made them.
    Ticket.objects.bulk_update(
        tickets,
        ["created_at", "updated_at", "last_message_at", "resolved_at", "first_reply_seconds"],
    )
    Message.objects.bulk_update(messages, ["created_at"])
    # An event is never changed, and its id has its time: they are recorded anew, in their order.
    Event.objects.filter(project=project).delete()
    record(sorted(events, key=lambda event: event.created_at))


def _assignee(story: Story, agents: dict[str, User], roles: dict[str, Role]) -> Assignee:
    if story.assignee is None:
        return Assignee()
    if story.assignee in agents:
        agent = agents[story.assignee]
        return Assignee(user_id=agent.pk, email=agent.email)
    role = roles[story.assignee.removeprefix("role:")]
    return Assignee(role_id=role.pk, role_name=role.name)


def _tell(
    project: Project, story: Story, assignee: Assignee, agents: dict[str, User], now: datetime
) -> Ticket:
    """One ticket, by the same verbs as in real life; returned as it is stored at the end."""
    (_, _, first), *turns = story.turns
    origin = _origin(story)
    customer = Actor.customer(origin["distinct_id"], _properties(story).get("name"))
    agent = SYSTEM
    ticket = open_ticket(
        project_id=project.pk,
        actor=customer,
        channel_source=story.channel,
        message=first,
        **origin,
    )
    for _, who, text in turns:
        if who == "customer":
            _say(ticket, customer, AuthorType.CUSTOMER, content=text)
        elif who == "AI":
            _say(ticket, SYSTEM, AuthorType.AI, content=text)
        elif who == "resolved":
            update_ticket(ticket=ticket, actor=agent, status=Status.RESOLVED)
        else:
            ticket = mark_read(ticket_id=ticket.pk) or ticket
            if who != "reads":
                user = agents[who.removeprefix("note by ")]
                agent = Actor.agent(user)
                _say(
                    ticket,
                    agent,
                    AuthorType.SUPPORT,
                    author_name=user.display_name,
                    content=text,
                    is_private=who.startswith("note by "),
                )
    update_ticket(ticket=ticket, actor=agent, assignee=assignee, **_outcome(story, now))
    ticket.refresh_from_db()
    return ticket


def _say(ticket: Ticket, actor: Actor, author_type: AuthorType, **fields: Any) -> None:
    post_message(ticket=ticket, actor=actor, author_type=author_type, **fields)


def _properties(story: Story) -> dict[str, Any]:
    """What the shop, or a stranger, says of who wrote."""
    return CUSTOMERS[story.customer][1] if isinstance(story.customer, str) else story.customer


def _origin(story: Story) -> dict[str, Any]:
    """Where the ticket comes from, and what is known of who wrote it."""
    if isinstance(story.customer, str):
        distinct_ids, properties = CUSTOMERS[story.customer]
        distinct_id, traits = distinct_ids[0], {}
    else:
        distinct_id, properties, traits = str(uuid.uuid4()), story.customer, story.customer
    origin: dict[str, Any] = {
        "distinct_id": distinct_id,
        "anonymous_traits": {**traits, **story.traits},
        "channel_detail": story.detail,
    }
    if story.channel == "widget":
        origin["channel_detail"] = "widget_embedded"
        origin["identity_verified"] = isinstance(story.customer, str)
        origin["session_id"] = str(uuid.uuid4())
        origin["session_context"] = {"current_url": f"https://shop.example{story.page}"}
    if story.channel == "email":
        origin["email_subject"] = story.subject
        origin["email_from"] = properties["email"]
    return origin


def _outcome(story: Story, now: datetime) -> dict[str, Any]:
    """How the ticket stands today."""
    outcome: dict[str, Any] = {
        "status": story.status or Status.NEW,
        "priority": story.priority,
        "tags": sorted(story.tags),
        "escalation_reason": story.escalation_reason,
        "ai_resolved": story.status == "resolved" and story.turns[1][1] == "AI",
    }
    if story.due_in is not None:
        outcome["sla_due_at"] = now + story.due_in
    if story.snoozed_for is not None:
        outcome["snoozed_until"] = now + story.snoozed_for
    return outcome


def _date_back(story: Story, ticket: Ticket, messages: list[Message], now: datetime) -> None:
    moment = now - timedelta(hours=story.hours_ago)
    ticket.created_at = moment
    ticket.first_reply_seconds = None
    unmoved: Iterator[Message] = iter(messages)
    for number, (minutes, who, _) in enumerate(story.turns):
        # Some seconds more or less each time, as people are.
        moment += timedelta(minutes=minutes, seconds=7 * number)
        if who not in ("reads", "resolved"):
            message = next(unmoved)
            message.created_at = moment
            if not message.is_private:
                ticket.last_message_at = moment
                if message.author_type == AuthorType.SUPPORT and ticket.first_reply_seconds is None:
                    ticket.first_reply_seconds = (moment - ticket.created_at) // _SECOND
    ticket.updated_at = moment
    if ticket.resolved_at is not None:
        ticket.resolved_at = moment


def _dated_back(ticket: Ticket, messages: list[Message]) -> list[Event]:
    """What happened to the ticket, each event at the time of the message that it came with."""
    moments = {str(message.pk): message.created_at for message in messages}
    moment = ticket.created_at
    events = list(Event.objects.filter(project=ticket.project_id, ticket_id=ticket.pk))
    events.sort(key=lambda event: event.position)
    for event in events:
        moment = moments.get(event.object["id"], moment)
        if event is events[-1]:
            moment = ticket.updated_at
        event.id, event.created_at = _id_of(moment), moment
        is_message = event.object["id"] in moments
        made = moment if is_message else ticket.created_at
        event.object |= {"created_at": timestamp(made)} | {
            name: timestamp(moment) for name in _MOVED if event.object.get(name)
        }
        for name in _MOVED & event.changes.keys():
            event.changes[name] = [old and timestamp(moment) for old in event.changes[name]]
    return events


def _id_of(moment: datetime) -> uuid.UUID:
    """A UUID of version 7, whose first 48 bits are milliseconds."""
    milliseconds, chance = int(moment.timestamp() * 1000), new_uuid().int % 2**80
    return uuid.UUID(int=milliseconds << 80 | chance)
