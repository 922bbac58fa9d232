"""All routes of the service, and a room: a project with one of each thing that routes name."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.urls import URLResolver, get_resolver

from conversations.events.actors import SYSTEM
from conversations.messages.verbs import post_message
from conversations.models import (
    Delivery,
    Event,
    Macro,
    Message,
    SavedView,
    Ticket,
    Webhook,
)
from conversations.tickets.verbs import open_ticket
from conversations.webhooks.models import DeliveryStatus
from conversations.webhooks.verbs import add_webhook
from projects.models import ApiKey, Membership, Person, Project, Role, User
from projects.persons.verbs import identify

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OF_A_PROJECT = "api/projects/<str:project_id>"
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


# --- Routes ------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """A pattern of the URL configuration and what it calls."""

    path: str
    view: Any

    @property
    def is_of_a_project(self) -> bool:
        return self.path == OF_A_PROJECT or self.path.startswith(f"{OF_A_PROJECT}/")

    @property
    def below(self) -> str:
        """The part that follows the project."""
        return self.path.removeprefix(OF_A_PROJECT)

    @property
    def title(self) -> str:
        """As the contract writes paths."""
        return _PARAMETER.sub(r"{\1}", self.below) or "(the project itself)"

    @property
    def kinds(self) -> list[str]:
        """What its parameters name: each by the word before it, such as `tickets`."""
        parts = self.below.split("/")
        return [before for before, part in itertools.pairwise(parts) if _PARAMETER.fullmatch(part)]

    def url(self, project: object, *names: str, root: str = "projects") -> str:
        """Its address in a project, with these names in place of the parameters."""
        remaining = iter(names)
        below = _PARAMETER.sub(lambda _: next(remaining), self.below)
        return f"/api/{root}/{project}{below}"

    def action(self, method: str) -> str | None:
        """The view's action, which is the same for HEAD as for GET; a plain view has none."""
        actions: dict[str, str] = getattr(self.view, "actions", {})
        return actions.get("get" if method == "HEAD" else method.lower())

    def scopes(self, method: str) -> list[str]:
        """Those that the view wants of a key, in the order in which they are looked at."""
        action, view = self.action(method), self.view.cls
        named = [view.required_scopes.get(action), view.further_scopes.get(action)]
        return [scope for scope in named if scope is not None]


def routes(urlconf: str | None = None) -> list[Route]:
    """Every route, nested ones with the whole of their path."""

    def walk(patterns: list[Any], before: str) -> Iterator[Route]:
        for pattern in patterns:
            path = before + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, path)
            else:
                yield Route(path, pattern.callback)

    return list(walk(get_resolver(urlconf).url_patterns, ""))


def project_routes() -> list[Route]:
    return [route for route in routes() if route.is_of_a_project]


# --- Rooms -------------------------------------------------------------------


@dataclass(frozen=True)
class Room:
    """A project with one of each thing; `word` is in all texts of it and nowhere else."""

    project: Project
    word: str
    agent: User
    role: Role
    person: Person
    other_person: Person
    ticket: Ticket
    message: Message
    note: Message
    view: SavedView
    macro: Macro
    webhook: Webhook
    delivery: Delivery
    event: Event

    def secrets(self) -> list[str]:
        """What nobody outside may read."""
        things = [value for value in vars(self).values() if hasattr(value, "pk")]
        ids = [str(thing.pk) for thing in things if len(str(thing.pk)) > 10]
        return [self.word, *ids, self.view.short_id, self.macro.short_id, self.webhook.secret]


# For each kind of thing in a path the names that it has there.
NAMES: dict[str, Callable[[Room], list[str]]] = {
    "tickets": lambda room: [str(room.ticket.pk), str(room.ticket.ticket_number)],
    "messages": lambda room: [str(room.message.pk)],
    "notes": lambda room: [str(room.note.pk)],
    "views": lambda room: [room.view.short_id],
    "macros": lambda room: [room.macro.short_id],
    "quick_actions": lambda room: [room.macro.short_id],
    "persons": lambda room: [str(room.person.pk)],
    "webhooks": lambda room: [str(room.webhook.pk)],
    "deliveries": lambda room: [str(room.delivery.pk)],
}


def names_of(route: Route, room: Room) -> list[list[str]]:
    """For each parameter of the route the names of the room's thing."""
    for kind in route.kinds:
        assert kind in NAMES, (
            f"{route.path} names a thing of the kind {kind!r}, of which no room has one: give "
            "`Room` in tests/isolation.py such a thing, and `NAMES` there its name in a path."
        )
    return [NAMES[kind](room) for kind in route.kinds]


def furnished(name: str, *, last_ticket_number: int = 0) -> Room:
    """A new project that has one of each thing."""
    project = Project.objects.create(name=name, last_ticket_number=last_ticket_number)
    word = f"zanzibar{project.pk}x"
    agents = [
        User.objects.create_user(f"{number}-{word}@agents.example", first_name=word)
        for number in (1, 2)
    ]
    for agent in agents:
        Membership.objects.create(project=project, user=agent)
    roles = [Role.objects.create(project=project, name=f"{word}-{number}") for number in (1, 2)]
    roles[0].members.set(agents)
    # First, so that it is told of what follows.
    webhook = add_webhook(project_id=project.pk, url=f"https://{word}.example/", description=word)
    persons = [
        identify(
            project_id=project.pk,
            distinct_ids=[f"{word}-{number}"],
            properties={"email": f"{number}-{word}@customers.example"},
        )[0]
        for number in (1, 2)
    ]
    ticket = open_ticket(
        project_id=project.pk,
        actor=SYSTEM,
        distinct_id=f"{word}-1",
        email_from=f"1-{word}@customers.example",
        email_subject=word,
        tags=[word],
        message=word,
    )
    said: dict[str, Any] = {
        "ticket": ticket,
        "actor": SYSTEM,
        "author_type": "support",
        "content": word,
    }
    message, note = post_message(**said), post_message(**said, is_private=True)
    # As if sent, so that no sender waits for that host.
    Delivery.objects.filter(webhook=webhook).update(status=DeliveryStatus.FAILED)
    return Room(
        project=project,
        word=word,
        agent=agents[0],
        role=roles[0],
        person=persons[0],
        other_person=persons[1],
        ticket=Ticket.objects.get(pk=ticket.pk),
        message=message,
        note=note,
        view=SavedView.objects.create(
            project=project, name=word, filters={"tags": [word]}, created_by=agents[0]
        ),
        macro=Macro.objects.create(project=project, name=word, content=word, created_by=agents[0]),
        webhook=webhook,
        delivery=Delivery.objects.filter(webhook=webhook).earliest("pk"),
        event=Event.objects.filter(project=project).earliest("pk"),
    )


def rows_of(project: Project) -> dict[str, Any]:
    """All that is stored of a project, to be compared with what is stored of it later."""
    # The use of a key is noted, whatever it is used for.
    models = [
        model
        for model in apps.get_models()
        if model is not ApiKey and any(field.name == "project" for field in model._meta.fields)
    ]
    rows = {
        model.__name__: list(model._default_manager.filter(project=project).order_by("pk").values())
        for model in models
    }
    return {**rows, "Project": list(Project.objects.filter(pk=project.pk).values())}
