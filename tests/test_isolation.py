"""Nobody gets from one project into another: every route, every method, every kind of caller.

Routes come from the URL configuration, and what each of them wants from its view, so that a new
one is held to all of this without being named here. What is measured is kept as a table in
docs/isolation.md; `WRITE_ISOLATION=1` with this file's tests writes it anew.
"""

import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client

from config import stream_urls
from projects import key_format
from projects.models import SCOPES, ApiKey, Project, User
from tests.api import ApiClient, _spec
from tests.isolation import (
    METHODS,
    OF_A_PROJECT,
    Room,
    Route,
    furnished,
    names_of,
    project_routes,
    rows_of,
)
from tests.isolation import routes as all_routes
from tests.refusals import refusal

# All tests of this file look at the same rooms, in one process.
pytestmark = pytest.mark.xdist_group("isolation")

PAGE = Path(__file__).parent.parent / "docs" / "isolation.md"
NOT_THERE = 2**40
# In the table, where there is nothing to try.
NOTHING = "-"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
NO_ACCESS = "You do not have access to this project."
TOKEN = "t" * 32
_ADDRESSES = itertools.count()


# --- Who calls ---------------------------------------------------------------


def key_of(project: Project, *scopes: str) -> ApiClient:
    # All the requests of these tests would be too many for a minute.
    _, secret = ApiKey.issue(
        project=project, label="isolation", scopes=scopes, rate_limits=["1000000/minute"]
    )
    return ApiClient(secret)


def session_of(agent: User, *, csrf: bool) -> ApiClient:
    """A signed-in agent; `csrf`: whose writes have the token that they need."""
    client = ApiClient(**({"x-csrftoken": TOKEN} if csrf else {}))
    client.client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.client.force_login(agent)
    if csrf:
        client.client.cookies["csrftoken"] = TOKEN
    return client


class Cast:
    """Two projects, and who calls the first."""

    def __init__(self) -> None:
        self.own = furnished("Shop")
        # Its tickets have numbers that are none in any other project.
        self.neighbour = furnished("Next door", last_ticket_number=1_000_000)
        self.nobody = ApiClient()
        self.owner = key_of(self.own.project, "*")
        self.stranger = key_of(self.neighbour.project, "*")
        self.member_without_csrf = session_of(self.own.agent, csrf=False)
        self.outsider = session_of(self.neighbour.agent, csrf=True)

    @functools.cache  # noqa: B019  (there is one of it, as long as there is this file)
    def without(self, scope: str | None) -> ApiClient:
        """A key with all scopes but those that would do instead of this one."""
        enough = {"*", scope, (scope or "").replace("read", "write")}
        return key_of(self.own.project, *[other for other in SCOPES if other not in enough])

    def with_wrong_keys(self) -> Iterator[ApiClient]:
        """One that is none, and one that nobody has; each from an address of its own, since
        nobody may try many from one."""
        for secret in ("nonsense", key_format.new_key()):
            client = ApiClient(secret)
            number = next(_ADDRESSES)
            client.client.defaults["REMOTE_ADDR"] = f"198.19.{number // 250}.{number % 250 + 1}"
            yield client


@pytest.fixture(scope="module")
def cast(database: None) -> Cast:
    return Cast()


def ask(caller: ApiClient, method: str, url: str, body: Any = None) -> Any:
    return caller.request(method, url, body, x_request_id="same")


def told(response: Any) -> Any:
    """What a caller can tell one answer from another by."""
    # A cookie is there or not, whatever its value.
    return response.status_code, response.content, sorted(response.headers), set(response.cookies)


# --- Every route, every method, every caller ---------------------------------


@dataclass(frozen=True)
class Answers:
    """What the callers get from one method of one route, a column of the table each."""

    scope: str
    no_key: str
    wrong_key: str
    foreign_key: str
    outsider: str
    no_scope: str
    no_csrf: str
    foreign_object: str
    served: str


# What a body needs that is done, in a room.
BODIES: dict[tuple[str, str], Callable[[Room], Any]] = {
    ("POST", "/persons"): lambda room: {"distinct_ids": ["new"]},
    ("POST", "/persons/{person_id}/merge"): lambda room: {"person": str(room.other_person.pk)},
    ("POST", "/webhooks"): lambda room: {"url": "https://hooks.example.com/"},
    ("POST", "/conversations/tickets/bulk_update_status"): lambda room: {
        "ids": [str(room.ticket.pk)],
        "status": "pending",
    },
    ("POST", "/conversations/tickets/bulk_update_tags"): lambda room: {
        "ids": [str(room.ticket.pk)],
        "action": "add",
        "tags": ["new"],
    },
    ("POST", "/conversations/tickets/bulk_assign"): lambda room: {
        "ids": [str(room.ticket.pk)],
        "assignee": {"type": "user", "id": room.agent.pk},
    },
    ("POST", "/conversations/views"): lambda room: {"name": "New"},
    ("POST", "/conversations/macros"): lambda room: {"name": "New"},
    ("POST", "/conversations/quick_actions"): lambda room: {"name": "New"},
    ("POST", "/conversations/tickets/{id}/messages"): lambda room: {"content": "New"},
    ("POST", "/conversations/tickets/{id}/reply"): lambda room: {"message": "New"},
    ("POST", "/conversations/tickets/{id}/apply_macro"): lambda room: {
        "macro": room.macro.short_id
    },
    ("PATCH", "/conversations/tickets/{id}/messages/{message_id}"): lambda room: {"content": "New"},
    ("PATCH", "/conversations/tickets/{id}/notes/{message_id}"): lambda room: {"content": "New"},
}
# Streams begin in another process, whose routes are among these; see tests/test_stream.py.
OTHERWISE_SERVED = {
    ("GET", "/conversations/stream"): 421,
    ("HEAD", "/conversations/stream"): 405,
}


@dataclass(frozen=True)
class Attempt:
    """One method of one route, to be tried by everybody."""

    cast: Cast
    route: Route
    method: str

    @property
    def is_routed(self) -> bool:
        return self.route.action(self.method) is not None

    def body(self, room: Room) -> Any:
        """One that would do what it asks for, were it let through."""
        make = BODIES.get((self.method, self.route.title))
        if make is not None:
            return make(room)
        return {} if self.method in UNSAFE and self.method != "DELETE" else None

    def ask(
        self, caller: ApiClient, project: object = None, *names: str, root: str = "projects"
    ) -> Any:
        """By default about the things of the project itself."""
        own = self.cast.own
        named = names or tuple(options[0] for options in names_of(self.route, own))
        url = self.route.url(own.project.pk if project is None else project, *named, root=root)
        return ask(caller, self.method, url, self.body(own))

    def is_refused(self, response: Any, status: int, code: str, detail: str | None = None) -> None:
        assert response.status_code == status, response.content
        if self.method == "HEAD":
            return
        assert refusal(response) == (status, code, None)
        assert detail is None or response.json()["detail"] == detail

    def answers(self) -> Answers:
        return Answers(
            scope=" and ".join(self.route.scopes(self.method)) if self.is_routed else "",
            no_key=self.without_a_key(),
            wrong_key=self.with_a_wrong_key(),
            foreign_key=self.from_next_door(self.cast.stranger),
            outsider=self.from_next_door(self.cast.outsider),
            no_scope=self.without_the_scope(),
            no_csrf=self.without_the_csrf_token(),
            foreign_object=self.about_foreign_things(),
            served=self.by_who_may(),
        )

    def without_a_key(self) -> str:
        response = self.ask(self.cast.nobody)
        self.is_refused(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        return "401"

    def with_a_wrong_key(self) -> str:
        malformed, unknown = [self.ask(caller) for caller in self.cast.with_wrong_keys()]
        self.is_refused(malformed, 401, "authentication_failed")
        assert told(malformed) == told(unknown)
        return "401"

    def from_next_door(self, caller: ApiClient) -> str:
        """Whether or not the project is there: to whom it is not theirs, that is the same."""
        refused = self.ask(caller)
        self.is_refused(refused, 403, "permission_denied", NO_ACCESS)
        assert told(self.ask(caller, NOT_THERE)) == told(refused)
        assert told(self.ask(caller, root="environments")) == told(refused)
        return "403"

    def without_the_scope(self) -> str:
        for scope in self.route.scopes(self.method):
            response = self.ask(self.cast.without(scope))
            self.is_refused(
                response,
                403,
                "permission_denied",
                f"API key missing required scope '{scope}'",
            )
        if self.is_routed:
            return "403"
        return str(self.ask(self.cast.without("ticket:read")).status_code)

    def without_the_csrf_token(self) -> str:
        if self.method in UNSAFE:
            self.is_refused(self.ask(self.cast.member_without_csrf), 403, "permission_denied")
        if not self.is_routed:
            return "403 for a write"
        return "403" if self.method in UNSAFE else NOTHING

    def about_foreign_things(self) -> str:
        """All ways to have a foreign thing among those that the path names."""
        own = names_of(self.route, self.cast.own)
        foreign = names_of(self.route, self.cast.neighbour)
        if not own or not self.is_routed:
            return NOTHING
        ways = list(itertools.product(*[[*a, *b] for a, b in zip(own, foreign, strict=True)]))
        for names in set(ways) - set(itertools.product(*own)):
            refused = self.ask(self.cast.owner, None, *names)
            self.is_refused(refused, 404, "not_found")
            assert told(self.ask(self.cast.owner, "@current", *names)) == told(refused)
            at_random = [
                unknown(name) if name in theirs else name
                for name, theirs in zip(names, foreign, strict=True)
            ]
            assert told(self.ask(self.cast.owner, None, *at_random)) == told(refused)
        return "404"

    def by_who_may(self) -> str:
        """The same request by a key that has the scopes of it and no more, in a room of its own."""
        if not self.is_routed:
            response = self.ask(self.cast.owner)
            self.is_refused(response, 405, "method_not_allowed")
            return "405"
        room = furnished("Served")
        by_a_member = self.by_a_member(room)
        url = self.route.url(room.project.pk, *[names[0] for names in names_of(self.route, room)])
        caller = key_of(room.project, *self.route.scopes(self.method))
        response = ask(caller, self.method, url, self.body(room))
        served = OTHERWISE_SERVED.get((self.method, self.route.title))
        assert response.status_code == served or response.status_code in (200, 201, 204), (
            f"{self.method} {self.route.title} is refused to who may: {response.content}. "
            "If it needs a body, give `BODIES` one."
        )
        assert by_a_member == response.status_code
        if self.method == "GET":
            assert_is_of_one_room(response, other=self.cast.neighbour)
        return str(response.status_code)

    def by_a_member(self, room: Room) -> int:
        """The same by an agent, who needs no scope; and by the other spelling of the address."""
        names = [names[0] for names in names_of(self.route, room)]
        url = f"{self.route.url('@current', *names, root='environments')}/"
        with transaction.atomic():
            response = ask(session_of(room.agent, csrf=True), self.method, url, self.body(room))
            # The room stays as it was, for who comes next.
            transaction.set_rollback(True)
        if self.method == "GET":
            assert_is_of_one_room(response, other=self.cast.neighbour)
        status: int = response.status_code
        return status


# More than a room has of anything, and less than two rooms have together.
FEW = 5


def assert_is_of_one_room(response: Any, *, other: Room) -> None:
    body = response.json()
    assert body.get("count", 0) <= FEW
    assert len(body.get("results", ())) <= FEW
    assert_tells_nothing(response, other)


def assert_tells_nothing(response: Any, room: Room, *, but: Any = None) -> None:
    """Nothing of the room is in the answer, `but` for what its caller has said."""
    text = f"{response.content.decode()} {response.headers}"
    for said in sorted(_texts(but), key=len, reverse=True):
        text = text.replace(said, "")
    assert not [secret for secret in room.secrets() if secret in text], text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def unknown(name: str) -> str:
    """A name of the same form that nothing has."""
    if name.isdecimal():
        return "999999999"
    return str(UUID(int=UUID(name).int ^ 0xFFFF)) if "-" in name else "nobodyhere"


_measured: dict[str, dict[str, Answers]] = {}


def measure(cast: Cast, route: Route) -> dict[str, Answers]:
    """The answers by method; fails on the first that lets somebody through."""
    if route.path not in _measured:
        rooms = [cast.own.project, cast.neighbour.project]
        before = [rows_of(project) for project in rooms]
        answers = {method: Attempt(cast, route, method).answers() for method in METHODS}
        assert [rows_of(project) for project in rooms] == before
        _measured[route.path] = answers
    return _measured[route.path]


@pytest.mark.parametrize("route", project_routes(), ids=lambda route: route.title)
def test_a_route_is_open_to_nobody_but_its_own_project(cast: Cast, route: Route) -> None:
    measure(cast, route)


# --- What bodies and parameters name -----------------------------------------


@dataclass(frozen=True)
class Named:
    """By what a caller can name things other than in the path."""

    agent: int
    role: str
    person: str
    distinct_id: str
    email: str
    ticket: str
    event: str
    view: str
    macro: str
    word: str

    @classmethod
    def of(cls, room: Room) -> "Named":
        return cls(
            agent=room.agent.pk,
            role=str(room.role.pk),
            person=str(room.person.pk),
            distinct_id=room.ticket.distinct_id,
            email=str(room.ticket.email_from),
            ticket=str(room.ticket.pk),
            event=str(room.event.pk),
            view=room.view.short_id,
            macro=room.macro.short_id,
            word=room.word,
        )

    def at_random(self) -> "Named":
        """What nobody has, in the same form."""
        texts = ("distinct_id", "email", "word")
        names = {
            name: f"no{value}" if name in texts else unknown(value)
            for name, value in asdict(self).items()
            if name != "agent"
        }
        return Named(agent=NOT_THERE, **names)

    @property
    def assignees(self) -> list[dict[str, Any]]:
        return [{"type": "user", "id": self.agent}, {"type": "role", "id": self.role}]


TICKETS, ONE_TICKET = "/conversations/tickets", "/conversations/tickets/{id}"
Values = Callable[[Named], list[Any]]


@dataclass(frozen=True)
class Reference:
    """A field or parameter that names things, and the answer where they are foreign ones."""

    method: str
    title: str
    # With a dot for one that is in an object.
    field: str
    status: int
    values: Values
    # What the body needs besides.
    beside: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.title} {self.field}"

    def bodies(self, named: Named) -> Iterator[dict[str, Any]]:
        for value in self.values(named):
            *outer, name = self.field.split(".")
            body = {name: value}
            for around in outer:
                body = {around: body}
            yield {**dict(self.beside), **body}


def _assignees(named: Named) -> list[Any]:
    return named.assignees


_NAME = (("name", "New"),)
REFERENCES = [
    Reference("GET", TICKETS, "ids", 200, lambda n: [n.ticket]),
    Reference("GET", TICKETS, "assignee", 200, lambda n: [f"user:{n.agent}", f"role:{n.role}"]),
    Reference("GET", TICKETS, "distinct_ids", 200, lambda n: [n.distinct_id]),
    Reference("GET", TICKETS, "emails", 200, lambda n: [n.email]),
    Reference("GET", TICKETS, "search", 200, lambda n: [n.word]),
    Reference("GET", TICKETS, "tags", 200, lambda n: [n.word]),
    Reference("GET", TICKETS, "tags_all", 200, lambda n: [n.word]),
    Reference("GET", TICKETS, "view", 400, lambda n: [n.view]),
    Reference("GET", "/persons", "search", 200, lambda n: [n.word, n.distinct_id]),
    Reference("GET", "/persons", "distinct_id", 200, lambda n: [n.distinct_id]),
    Reference("GET", "/persons", "email", 200, lambda n: [n.email]),
    Reference("GET", "/conversations/events", "after", 400, lambda n: [n.event]),
    Reference("POST", "/persons", "distinct_ids", 201, lambda n: [[n.distinct_id]]),
    Reference("POST", "/persons/{person_id}/merge", "person", 400, lambda n: [n.person]),
    Reference("POST", TICKETS, "assignee", 400, _assignees),
    Reference("POST", TICKETS, "distinct_id", 201, lambda n: [n.distinct_id]),
    Reference("POST", TICKETS, "email_from", 201, lambda n: [n.email]),
    Reference("PATCH", ONE_TICKET, "assignee", 400, _assignees),
    Reference("PUT", ONE_TICKET, "assignee", 400, _assignees),
    Reference(
        "POST",
        f"{TICKETS}/bulk_update_status",
        "ids",
        200,
        lambda n: [[n.ticket]],
        (("status", "resolved"),),
    ),
    Reference(
        "POST",
        f"{TICKETS}/bulk_update_tags",
        "ids",
        200,
        lambda n: [[n.ticket]],
        (("action", "set"), ("tags", ["new"])),
    ),
    Reference(
        "POST",
        f"{TICKETS}/bulk_assign",
        "ids",
        200,
        lambda n: [[n.ticket]],
        (("assignee", None),),
    ),
    Reference(
        "POST",
        f"{TICKETS}/bulk_assign",
        "assignee",
        400,
        _assignees,
        (("ids", [str(UUID(int=7))]),),
    ),
    Reference("POST", f"{ONE_TICKET}/apply_macro", "macro", 400, lambda n: [n.macro]),
    *[
        Reference("POST", f"/conversations/{kind}", "actions.assignee", 400, _assignees, _NAME)
        for kind in ("macros", "quick_actions")
    ],
    *[
        Reference(
            "PATCH", f"/conversations/{kind}/{{short_id}}", "actions.assignee", 400, _assignees
        )
        for kind in ("macros", "quick_actions")
    ],
    # A view is kept as it was sent: it names somebody, and finds nothing by it.
    Reference(
        "POST",
        "/conversations/views",
        "filters.assignee",
        201,
        lambda n: [[one] for one in n.assignees],
        _NAME,
    ),
    Reference(
        "PATCH",
        "/conversations/views/{short_id}",
        "filters.assignee",
        200,
        lambda n: [[one] for one in n.assignees],
    ),
]
# Those that name nothing but what everybody may name, or what only a reader makes sense of.
PLAIN = {
    *("action", "ai_resolved", "anonymous_traits", "author_name", "author_type", "channel"),
    *("channel_detail", "channel_source", "content", "conversations_enabled", "created_from"),
    *("created_to", "dateFrom", "dateTo", "date_from", "date_to", "description", "email_subject"),
    *("enabled", "escalation_reason", "event_types", "is_private", "limit", "mark_read"),
    *("message", "name", "offset", "order_by", "priority", "properties", "reopen_on_reply"),
    *("rich_content", "search", "session_context", "session_id", "sla", "sla_due_at", "snoozed"),
    *("snoozed_until", "sorting", "status", "tags", "tagsExclude", "tagsMatch", "tags_exclude"),
    *("tickets", "time_zone", "unread", "url", "widget_collect_name", "widget_color"),
    *("widget_domains", "widget_enabled", "widget_greeting_text", "widget_placeholder_text"),
    *("widget_require_email", "widget_restore_enabled"),
}


def fields_of(route: Route, method: str) -> Iterator[str]:
    """The parameters that the view takes, and the fields that the schema has of the body."""
    yield from parameters_of(route, method)
    described = _spec()["paths"].get(f"/{_braced(route.path)}", {})
    assert method.lower() in described, f"openapi.yaml lacks {method} {route.title}: `make schema`"
    operation = described[method.lower()]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from _fields_within(content["schema"])


def parameters_of(route: Route, method: str) -> list[str]:
    action = route.action(method)
    query = route.view.cls.query_serializers.get(action) if action else None
    return [] if query is None else list(query().fields)


def _braced(path: str) -> str:
    return re.sub(r"<\w+:(\w+)>", r"{\1}", path)


def _fields_within(schema: Any, before: str = "") -> Iterator[str]:
    """The innermost ones, such as `filters.status`."""
    for part in (schema, *schema.get("allOf", ()), *schema.get("oneOf", ())):
        if "$ref" in part:
            named = part["$ref"].rpartition("/")[2]
            yield from _fields_within(_spec()["components"]["schemas"][named], before)
        for name, inner in part.get("properties", {}).items():
            within = list(_fields_within(inner, f"{before}{name}."))
            yield from within or [f"{before}{name}"]


@pytest.mark.parametrize("route", project_routes(), ids=lambda route: route.title)
def test_every_field_and_parameter_is_known_to_name_something_or_nothing(route: Route) -> None:
    """`cursor` is tried with every list, below."""
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        tried = {
            reference.field
            for reference in REFERENCES
            if (reference.method, reference.title) == (method, route.title)
        }
        for field in fields_of(route, method) if route.action(method) else ():
            parts = field.split(".")
            around = {".".join(parts[: end + 1]) for end in range(len(parts))}
            assert around & tried or {*parts} & {*PLAIN, "cursor"}, (
                f"{method} {route.title} takes {field!r}. If it can name a thing of a project, add "
                "a `Reference` that names a foreign one; otherwise add it to `PLAIN`."
            )


def test_nothing_is_said_to_name_nothing_that_is_not_there() -> None:
    taken = {
        part
        for route in project_routes()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if route.action(method)
        for field in fields_of(route, method)
        for part in field.split(".")
    }

    assert taken >= PLAIN


_references_tried: dict[str, int] = {}


def try_reference(cast: Cast, reference: Reference) -> int:
    """The status of the answer, which tells nothing of the thing, and leaves it as it was."""
    if str(reference) not in _references_tried:
        room, foreign = furnished("Curious"), Named.of(cast.neighbour)
        caller, before = key_of(room.project, "*"), rows_of(cast.neighbour.project)
        (route,) = [route for route in project_routes() if route.title == reference.title]
        url = route.url(room.project.pk, *[names[0] for names in names_of(route, room)])
        tries = zip(reference.bodies(foreign), reference.bodies(foreign.at_random()), strict=True)
        for body, at_random in tries:
            response = name_in(reference, caller, url, body)
            assert response.status_code == reference.status, response.content
            assert_tells_nothing(response, cast.neighbour, but=body)
            if reference.method == "GET" or reference.status >= 400:
                assert told(name_in(reference, caller, url, at_random)) == told(response)
        assert rows_of(cast.neighbour.project) == before
        _references_tried[str(reference)] = reference.status
    return _references_tried[str(reference)]


def name_in(reference: Reference, caller: ApiClient, url: str, body: dict[str, Any]) -> Any:
    if reference.method == "GET":
        return caller.request("GET", url, query=body, x_request_id="same")
    return ask(caller, reference.method, url, body)


@pytest.mark.parametrize("reference", REFERENCES, ids=str)
def test_a_foreign_thing_in_a_body_or_a_parameter_is_as_good_as_none(
    cast: Cast, reference: Reference
) -> None:
    try_reference(cast, reference)


LISTS = [route for route in project_routes() if "cursor" in parameters_of(route, "GET")]


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.title)
def test_a_cursor_leads_into_no_list_of_another_project(cast: Cast, route: Route) -> None:
    room = furnished("Far away")
    caller = key_of(room.project, "*")
    theirs = route.url(room.project.pk, *[names[0] for names in names_of(route, room)])
    if route.action("POST"):
        # So that there is more than one page of one.
        added = ask(caller, "POST", theirs, Attempt(cast, route, "POST").body(room))
        assert added.status_code == 201
    (cursor,) = parse_qs(urlsplit(caller.get(theirs, limit=1).json()["next"]).query)["cursor"]
    ours = route.url(cast.own.project.pk, *[names[0] for names in names_of(route, cast.own)])

    assert refusal(cast.owner.get(ours, limit=1, cursor=cursor)) == (400, "invalid_input", "cursor")


def test_an_idempotency_key_of_another_project_is_another_key(cast: Cast) -> None:
    """At the same address, with the same body: a replay would be the other project's answer."""
    url = "/api/projects/@current/conversations/tickets"
    sent = {"distinct_id": "customer", "message": "Where is my order?"}
    room = furnished("Replay")
    theirs = cast.stranger.request("POST", url, sent, idempotency_key="same")

    ours = key_of(room.project, "*").request("POST", url, sent, idempotency_key="same")

    assert (theirs.status_code, ours.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in ours.headers
    assert ours.json()["id"] != theirs.json()["id"]


# --- Routes that ask for no key ----------------------------------------------

_BY_TOKEN = "the project's public token, and a session or identity: tests/test_widget_access.py"
_BY_PUBLIC_TOKEN = "the project's public token, which is no secret; tells what any visitor may know"
_CLAIMS = "the public token in the body; claims that open nothing, see tests/test_claims.py"
_SESSION = "Django's session: who comes here logs in, or is asked to"
_PUBLIC = "nothing: the same for everybody, and of no project"
# Every route that is not of a project, and what it asks for instead of a key.
WITHOUT_A_KEY = {
    "api/conversations/v1/widget/message": _BY_TOKEN,
    "api/conversations/v1/widget/messages/<str:ticket_id>": _BY_TOKEN,
    "api/conversations/v1/widget/messages/<str:ticket_id>/read": _BY_TOKEN,
    "api/conversations/v1/widget/tickets": _BY_TOKEN,
    "api/conversations/v1/widget/restore/request": _BY_PUBLIC_TOKEN,
    "api/conversations/v1/widget/restore": "the public token, and a token that was mailed, once",
    "array/<str:token>/config": _BY_PUBLIC_TOKEN,
    "array/<str:token>/config.js": _BY_PUBLIC_TOKEN,
    "e": _CLAIMS,
    "e/": _CLAIMS,
    "i/v0/e": _CLAIMS,
    "i/v0/e/": _CLAIMS,
    "flags": _BY_PUBLIC_TOKEN,
    "flags/": _BY_PUBLIC_TOKEN,
    "demo": "nothing: a page of one project that is named by a setting, and off without it",
    "api/schema": _PUBLIC,
    "api/docs": _PUBLIC,
    "api/redoc": _PUBLIC,
    "": _SESSION,
    "login": _SESSION,
    "logout": _SESSION,
    "set-password/<uidb64>/<token>": "a signed link that works once",
    "favicon.ico": "nothing: it leads to a picture",
    "inbox": _SESSION,
    "inbox/…": "the session of a member of the project; each is tried in tests/test_inbox_pages.py",
    "admin": _SESSION,
    "admin/…": "the session of a member of staff, who may see all projects; tried below",
}


def _outside() -> set[str]:
    return {
        re.sub("^(admin|inbox)/.*", r"\1/…", route.path)
        for route in all_routes()
        if not route.is_of_a_project
    }


def test_a_route_that_is_of_no_project_says_why_it_needs_no_key() -> None:
    nameless = _outside() - WITHOUT_A_KEY.keys()
    assert not nameless, (
        f"{sorted(nameless)} is not below /{OF_A_PROJECT}, so that no key is asked for. Move it "
        "there, or say in `WITHOUT_A_KEY` what keeps others out."
    )
    assert WITHOUT_A_KEY.keys() <= _outside()


def test_the_stream_process_has_no_route_of_its_own() -> None:
    classes = {route.path: route.view.cls for route in project_routes()}
    streamed = all_routes(stream_urls.__name__)

    assert {route.path: classes.get(route.path) for route in streamed} == {
        route.path: route.view.cls for route in streamed
    }


OF_STAFF = [route for route in all_routes() if route.path.startswith("admin/")]
# Where they log in, and out.
FOR_ALL = {"admin/login/", "admin/logout/"}


def test_no_page_of_the_admin_site_opens_to_who_is_not_staff(cast: Cast) -> None:
    for route in OF_STAFF:
        # The last two are regular expressions: of an app's own page, and of all the rest.
        path = re.sub(r"\^\(\?P<app_label>.*", "projects/", route.path)
        path = re.sub(r"\(\?P<url>.*|<[^>]+>", "1", path)
        for caller in (cast.nobody, cast.outsider):
            response = caller.request("GET", f"/{path}")
            assert response.status_code == 302 or route.path == "admin/login/", path
            if route.path not in FOR_ALL:
                assert response.headers["Location"].startswith("/admin/login/?next="), path


# --- The page ----------------------------------------------------------------

COLUMNS = {
    "Scope": "scope",
    "No key": "no_key",
    "Wrong key": "wrong_key",
    "Foreign key": "foreign_key",
    "Outsider": "outsider",
    "No scope": "no_scope",
    "No CSRF token": "no_csrf",
    "Foreign object": "foreign_object",
    "Who may": "served",
}
_BEGIN, _END = "<!-- What follows is measured. -->\n", "<!-- What precedes is measured. -->\n"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _rows(route: Route, answers: dict[str, Answers]) -> Iterator[list[str]]:
    """Methods with the same answers share a row."""
    for one in dict.fromkeys(answers.values()):
        methods = [method for method, other in answers.items() if other == one]
        cells = [getattr(one, column) or NOTHING for column in COLUMNS.values()]
        yield [f"`{route.title}`", ", ".join(methods), *cells]


def test_the_page_has_what_is_measured(cast: Cast) -> None:
    measured = [row for route in project_routes() for row in _rows(route, measure(cast, route))]
    referred = [
        [f"`{one.title}`", one.method, f"`{one.field}`", str(try_reference(cast, one))]
        for one in REFERENCES
    ]
    outside = [[f"`/{path}`", reason] for path, reason in WITHOUT_A_KEY.items()]
    expected = "\n".join(
        [
            _BEGIN,
            "## Every route, every method, every caller\n",
            _table(["Route", "Method", *COLUMNS], measured),
            "## Foreign things in bodies and parameters\n",
            _table(["Route", "Method", "Names it in", "Answer"], referred),
            "## Routes that ask for no key\n",
            _table(["Route", "What it asks for"], outside),
            _END,
        ]
    )
    page = PAGE.read_text()
    before, after = page.split(_BEGIN)[0], page.split(_END)[1]
    if os.environ.get("WRITE_ISOLATION"):
        PAGE.write_text(f"{before}{expected}{after}")
    else:
        assert page == f"{before}{expected}{after}", (
            "docs/isolation.md is not what is measured now. If that is meant: "
            "WRITE_ISOLATION=1 .venv/bin/python -m pytest tests/test_isolation.py"
        )
