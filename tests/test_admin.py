"""Django's admin site: what is managed there, and what can only be read."""

import re
import uuid
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_redis import get_redis_connection

from conversations.models import Delivery, Event, Message, Ticket, Webhook
from projects.admin import ApiKeyAdmin, ProjectAdmin
from projects.identities import cache_key
from projects.models import ApiKey, Membership, Person, PersonDistinctId, Project, Role, User
from rest import leases
from tests.api import ApiClient
from tests.conftest import MakeTicket, tickets_url_of
from tests.threads import at_once

KEY = re.compile(r"cvk_[0-9A-Za-z]{36}")


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(new_email()))
    return client


def new_email() -> str:
    return f"agent-{uuid.uuid4().hex}@example.com"


def new_agent(project: Project) -> User:
    user = User.objects.create_user(new_email())
    Membership.objects.create(project=project, user=user)
    return user


class FormReader(HTMLParser):
    """The fields of a page's main form, as a browser would send them back."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Any] = {}
        self._inside = False
        self._select: str | None = None
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        name = values.get("name", "")
        if tag == "form":
            self._inside = values.get("id", "").endswith("_form")
        if not self._inside:
            return
        if tag == "select":
            self._select = name
        elif tag == "textarea":
            self._textarea, self.fields[name] = name, ""
        elif tag == "option" and self._select and "selected" in values and values["value"]:
            self.fields.setdefault(self._select, []).append(values["value"])
        elif tag == "input" and name and values.get("type") not in ("submit", "button"):
            if values.get("type") not in ("checkbox", "radio"):
                self.fields[name] = values.get("value", "")
            elif "checked" in values:
                self.fields.setdefault(name, []).append(values.get("value", "on"))

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.fields[self._textarea] += data.removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = None
        elif tag == "select":
            self._select = None
        elif tag == "form":
            self._inside = False


def fields_of(page: Any) -> dict[str, Any]:
    reader = FormReader()
    reader.feed(page.content.decode())
    return reader.fields


def save(admin: Client, url: str, /, **changes: Any) -> Any:
    """Opens a form, changes some of its fields, and sends it; the page after it."""
    fields = fields_of(admin.get(url)) | changes
    return admin.post(url, fields, follow=True)


def saved(admin: Client, url: str, /, **changes: Any) -> str:
    response = save(admin, url, **changes)
    assert response.redirect_chain, response.context["errors"]
    return unescape(response.content.decode())


def refused(admin: Client, url: str, /, **changes: Any) -> str:
    response = save(admin, url, **changes)
    assert response.status_code == 200
    assert not response.redirect_chain
    return str(response.context["errors"])


def act(admin: Client, model: str, action: str, *rows: Any) -> str:
    response = admin.post(
        f"/admin/projects/{model}/",
        {"action": action, "_selected_action": [row.pk for row in rows], "post": "yes"},
        follow=True,
    )
    return unescape(response.content.decode())


# --- Projects ----------------------------------------------------------------


def test_a_project_is_made(admin: Client) -> None:
    name = uuid.uuid4().hex

    saved(admin, "/admin/projects/project/add/", name=name, time_zone="Europe/Berlin")

    project = Project.objects.get(name=name)
    assert project.time_zone == "Europe/Berlin"
    assert project.conversations_enabled
    assert project.public_token.startswith("cvp_")


def test_a_new_projects_form_shows_no_secrets_that_would_be_others(admin: Client) -> None:
    page = admin.get("/admin/projects/project/add/").content.decode()

    assert "cvp_" not in page


def test_switching_conversations_off_holds_at_once(
    admin: Client,
    project: Project,
    reader: ApiClient,
    make_ticket: MakeTicket,
    unread_count_url: str,
) -> None:
    make_ticket(message="Hi")
    assert reader.get(unread_count_url).json() == {"count": 1}
    url = f"/admin/projects/project/{project.pk}/change/"
    fields = fields_of(admin.get(url))
    del fields["conversations_enabled"]

    admin.post(url, fields)

    assert reader.get(unread_count_url).json() == {"count": 0}


def test_saving_a_project_does_not_take_ticket_numbers_back(
    admin: Client, project: Project, make_ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model = ProjectAdmin.save_model

    def slow_save(self: Any, request: Any, obj: Any, form: Any, change: bool) -> None:
        # A ticket comes in while the form is being saved, on another connection.
        at_once(make_ticket)
        save_model(self, request, obj, form, change)

    monkeypatch.setattr(ProjectAdmin, "save_model", slow_save)
    saved(admin, f"/admin/projects/project/{project.pk}/change/", name="Renamed")

    project.refresh_from_db()
    assert (project.name, project.last_ticket_number) == ("Renamed", 1)
    assert make_ticket()["ticket_number"] == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"name": " "},
        {"name": "a\x00"},
        {"time_zone": "Mars/Olympus"},
        {"widget_domains": "x" * 254},
    ],
)
def test_a_project_that_can_not_be_is_refused(
    admin: Client, project: Project, changes: dict[str, str]
) -> None:
    assert refused(admin, f"/admin/projects/project/{project.pk}/change/", **changes)


def test_an_agent_is_added_to_a_project(admin: Client, project: Project) -> None:
    user = User.objects.create_user(new_email())

    saved(
        admin,
        f"/admin/projects/project/{project.pk}/change/",
        **{"memberships-TOTAL_FORMS": "1", "memberships-0-user": str(user.pk)},
    )

    assert user.projects.get() == project


def test_an_agent_is_not_added_twice(admin: Client, project: Project) -> None:
    user = new_agent(project)
    changes = {
        "memberships-TOTAL_FORMS": "2",
        "memberships-1-user": str(user.pk),
        "memberships-1-project": str(project.pk),
    }

    assert refused(admin, f"/admin/projects/project/{project.pk}/change/", **changes)


@pytest.mark.parametrize("way", ["page", "action"])
def test_a_project_is_deleted_with_everything_in_it(
    admin: Client, project: Project, reader: ApiClient, make_ticket: MakeTicket, way: str
) -> None:
    role = Role.objects.create(project=project, name="Billing")
    role.members.add(new_agent(project))
    person = Person.objects.create(project=project)
    PersonDistinctId.objects.create(project=project, person=person, distinct_id="x")
    make_ticket(message="Hi")
    make_ticket(message="Hello", assignee={"type": "role", "id": str(role.pk)})
    url = f"/admin/projects/project/{project.pk}/delete/"

    page = admin.get(url).content.decode()
    if way == "page":
        admin.post(url, {"post": "yes"})
    else:
        act(admin, "project", "delete_selected", project)

    assert "2 tickets" in page
    assert "2 messages" in page
    assert not Project.objects.filter(pk=project.pk).exists()
    assert not Ticket.objects.filter(project_id=project.pk).exists()
    assert not Message.objects.filter(project_id=project.pk).exists()
    assert reader.get(tickets_url_of(project)).status_code == 401


def test_the_page_before_deleting_a_project_does_not_load_what_is_in_it(
    admin: Client, project: Project, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Something unmistakable")

    page = admin.get(f"/admin/projects/project/{project.pk}/delete/").content.decode()

    assert "#1" not in page


def test_the_identity_secret_is_for_those_who_may_change_the_project(
    admin: Client, project: Project
) -> None:
    looker = Client()
    looker.force_login(staff_with("view_project"))
    url = f"/admin/projects/project/{project.pk}/change/"

    assert project.identity_secret in admin.get(url).content.decode()
    page = looker.get(url).content.decode()
    assert project.public_token in page
    assert project.identity_secret not in page
    letter = project.identity_secret[0]
    guess = looker.get("/admin/projects/project/", {"identity_secret__startswith": letter})
    assert guess.status_code == 400


def staff_with(*codenames: str) -> User:
    user = User.objects.create_user(new_email(), is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


# --- API keys ----------------------------------------------------------------


@pytest.fixture
def api_key(project: Project) -> tuple[ApiKey, str]:
    return ApiKey.issue(project=project, label="crm", scopes=["ticket:read"])


def status(key: str, project: Project) -> int:
    return int(ApiClient(key).get(tickets_url_of(project)).status_code)


def add_key(admin: Client, project: Project, fields: dict[str, Any] | None = None) -> Any:
    return admin.post(
        "/admin/projects/apikey/add/",
        {"project": project.pk, "label": "crm", "scopes": ["ticket:read"]} | (fields or {}),
        follow=True,
    )


def test_a_new_key_is_shown_once_and_works(admin: Client, project: Project) -> None:
    page = add_key(admin, project).content.decode()

    (secret,) = set(KEY.findall(page))
    assert status(secret, project) == 200
    assert secret not in admin.get("/admin/projects/apikey/").content.decode()


def test_a_new_key_has_the_chosen_scopes_and_end(admin: Client, project: Project) -> None:
    tomorrow = timezone.now() + timedelta(days=1)

    fields = {
        "scopes": ["ticket:write", "person:read"],
        "expires_at_0": tomorrow.date().isoformat(),
        "expires_at_1": "12:00:00",
    }
    add_key(admin, project, fields)

    api_key = ApiKey.objects.get(project=project)
    assert api_key.scopes == ["person:read", "ticket:write"]
    assert api_key.expires_at == tomorrow.replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": []},
        {"scopes": ["tickets:read"]},
        {"label": ""},
        {"project": 0},
        {"expires_at_0": "2020-01-01", "expires_at_1": "00:00"},
    ],
)
def test_a_key_that_can_not_be_is_refused(
    admin: Client, project: Project, fields: dict[str, Any]
) -> None:
    response = add_key(admin, project, fields)

    assert response.context["errors"]
    assert not ApiKey.objects.filter(project=project).exists()


def test_neither_secret_nor_digest_of_a_key_is_shown(
    admin: Client, api_key: tuple[ApiKey, str]
) -> None:
    row, secret = api_key
    row.rotate(overlap=timedelta(hours=1))

    page = admin.get(f"/admin/projects/apikey/{row.pk}/change/").content.decode()

    assert "crm" in page
    assert secret not in page
    assert row.digest not in page
    assert str(row.previous_digest) not in page


def test_a_digest_or_another_project_in_the_form_changes_nothing(
    admin: Client, project: Project, neighbour: Project, api_key: tuple[ApiKey, str]
) -> None:
    row, secret = api_key

    saved(
        admin,
        f"/admin/projects/apikey/{row.pk}/change/",
        digest="0" * 64,
        project=neighbour.pk,
        label="other",
    )

    row.refresh_from_db()
    assert (row.label, row.project_id) == ("other", project.pk)
    assert status(secret, project) == 200


def test_taking_a_scope_away_holds_at_once(
    admin: Client, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    row, secret = api_key
    assert status(secret, project) == 200

    saved(admin, f"/admin/projects/apikey/{row.pk}/change/", scopes=["person:read"])

    assert status(secret, project) == 403


def test_revoking_holds_at_once(
    admin: Client, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    row, secret = api_key
    assert status(secret, project) == 200

    page = act(admin, "apikey", "revoke", row)

    assert "crm" in page
    assert "is revoked" in page
    assert status(secret, project) == 401


def test_deleting_a_key_holds_at_once(
    admin: Client, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    row, secret = api_key
    assert status(secret, project) == 200

    act(admin, "apikey", "delete_selected", row)

    assert status(secret, project) == 401


def test_saving_an_open_form_does_not_bring_a_revoked_key_back(
    admin: Client, project: Project, api_key: tuple[ApiKey, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row, secret = api_key
    save_model = ApiKeyAdmin.save_model

    def slow_save(self: Any, request: Any, obj: Any, form: Any, change: bool) -> None:
        # A colleague revokes the key while the form is being saved, on another connection.
        at_once(ApiKey.objects.get(pk=row.pk).revoke)
        save_model(self, request, obj, form, change)

    monkeypatch.setattr(ApiKeyAdmin, "save_model", slow_save)
    saved(admin, f"/admin/projects/apikey/{row.pk}/change/", label="other")

    assert status(secret, project) == 401


def test_a_rotated_key_is_shown_once_and_works_beside_the_old_one(
    admin: Client, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    row, secret = api_key
    assert status(secret, project) == 200

    page = act(admin, "apikey", "rotate", row)

    (new,) = set(KEY.findall(page))
    assert new != secret
    assert status(secret, project) == status(new, project) == 200
    assert new not in admin.get("/admin/projects/apikey/").content.decode()


def test_a_revoked_key_is_not_rotated(admin: Client, api_key: tuple[ApiKey, str]) -> None:
    api_key[0].revoke()

    page = act(admin, "apikey", "rotate", api_key[0])

    assert "is revoked or expired" in page
    assert not KEY.search(page)


def test_keys_are_rotated_one_at_a_time(
    admin: Client, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    other, _ = ApiKey.issue(project=project, label="other", scopes=["*"])

    page = act(admin, "apikey", "rotate", api_key[0], other)

    assert "one key at a time" in page
    assert not KEY.search(page)


def test_who_may_only_look_at_keys_can_not_rotate_or_revoke_them(
    project: Project, api_key: tuple[ApiKey, str]
) -> None:
    row, secret = api_key
    looker = Client()
    looker.force_login(staff_with("view_apikey"))

    for action in ("rotate", "revoke"):
        assert not KEY.search(act(looker, "apikey", action, row))

    row.refresh_from_db()
    assert row.revoked_at is None
    assert row.previous_digest is None
    assert status(secret, project) == 200


# --- Agents and roles --------------------------------------------------------


def test_an_agent_is_made_and_can_log_in(admin: Client) -> None:
    email, password = new_email(), "a long enough phrase"

    admin.post(
        "/admin/projects/user/add/",
        {
            "email": email.upper(),
            "usable_password": "true",
            "password1": password,
            "password2": password,
        },
    )

    assert User.objects.get(email=email).is_staff is False
    assert Client().login(email=email, password=password)


def test_an_address_is_not_taken_twice_in_any_spelling(admin: Client, project: Project) -> None:
    agent = new_agent(project)

    response = admin.post(
        "/admin/projects/user/add/", {"email": agent.email.upper(), "usable_password": "false"}
    )

    assert "already exists" in response.content.decode()


def test_an_agent_is_changed(admin: Client, project: Project) -> None:
    agent, colleague = new_agent(project), new_agent(project)
    url = f"/admin/projects/user/{agent.pk}/change/"

    saved(admin, url, first_name="Mia")

    agent.refresh_from_db()
    assert agent.first_name == "Mia"
    assert refused(admin, url, email=colleague.email.upper())


def test_an_agents_password_is_set(admin: Client, project: Project) -> None:
    agent = new_agent(project)

    admin.post(
        f"/admin/projects/user/{agent.pk}/password/",
        {
            "usable_password": "true",
            "password1": "a long enough phrase",
            "password2": "a long enough phrase",
        },
    )

    assert Client().login(email=agent.email, password="a long enough phrase")


def test_an_agent_is_deleted_and_their_tickets_stay(
    admin: Client, project: Project, make_ticket: MakeTicket, reader: ApiClient, tickets_url: str
) -> None:
    agent = new_agent(project)
    ticket = make_ticket(assignee={"type": "user", "id": agent.pk})

    admin.post(f"/admin/projects/user/{agent.pk}/delete/", {"post": "yes"})

    assert not User.objects.filter(pk=agent.pk).exists()
    assert reader.get(f"{tickets_url}/{ticket['id']}").json()["assignee"] is None


def test_a_membership_is_made_and_ended(admin: Client, project: Project) -> None:
    user = User.objects.create_user(new_email())

    saved(admin, "/admin/projects/membership/add/", project=project.pk, user=user.pk)
    membership = Membership.objects.get(project=project, user=user)
    assert refused(admin, "/admin/projects/membership/add/", project=project.pk, user=user.pk)

    admin.post(f"/admin/projects/membership/{membership.pk}/delete/", {"post": "yes"})
    assert not user.projects.exists()


def test_a_role_has_agents_of_its_project(
    admin: Client, project: Project, neighbour: Project
) -> None:
    agent, stranger = new_agent(project), new_agent(neighbour)
    url = "/admin/projects/role/add/"

    reason = refused(admin, url, project=project.pk, name="Billing", members=[stranger.pk])
    saved(admin, url, project=project.pk, name="Billing", members=[agent.pk])

    role = Role.objects.get(project=project)
    assert stranger.email in reason
    assert role.members.get() == agent
    assert refused(admin, f"/admin/projects/role/{role.pk}/change/", members=[stranger.pk])
    assert refused(admin, url, project=project.pk, name="Billing")


# --- Customers ---------------------------------------------------------------


def test_a_person_is_made_with_distinct_ids(admin: Client, project: Project) -> None:
    saved(
        admin,
        "/admin/projects/person/add/",
        **{
            "project": project.pk,
            "properties": '{"email": "mia@example.org"}',
            "distinct_id_rows-TOTAL_FORMS": "2",
            "distinct_id_rows-0-distinct_id": "mia",
            "distinct_id_rows-1-distinct_id": "mia@example.org",
        },
    )

    person = Person.objects.get(project=project)
    assert person.properties == {"email": "mia@example.org"}
    assert {row.distinct_id for row in person.distinct_id_rows.all()} == {"mia", "mia@example.org"}


@pytest.fixture
def person(project: Project) -> Person:
    person = Person.objects.create(project=project, properties={"name": "Mia"})
    PersonDistinctId.objects.create(project=project, person=person, distinct_id="mia")
    return person


def test_a_persons_properties_are_changed(admin: Client, person: Person) -> None:
    saved(admin, f"/admin/projects/person/{person.pk}/change/", properties='{"name": "Mía"}')

    person.refresh_from_db()
    assert person.properties == {"name": "Mía"}


def test_what_is_typed_is_no_claim_any_more(admin: Client, person: Person) -> None:
    person.properties, person.claimed = {"name": "Eve", "plan": "pro"}, ["name", "plan", "gone"]
    person.save()
    url = f"/admin/projects/person/{person.pk}/change/"

    saved(admin, url, properties='{"name": "Mia", "plan": "pro"}')

    person.refresh_from_db()
    assert person.claimed == ["plan"]


def test_a_person_is_not_deleted_here_where_their_events_would_stay(
    admin: Client, person: Person
) -> None:
    url = f"/admin/projects/person/{person.pk}"

    assert admin.post(f"{url}/delete/", {"post": "yes"}).status_code == 403
    assert Person.objects.filter(pk=person.pk).exists()


@pytest.mark.parametrize("way", ["renamed", "taken away"])
def test_what_is_cached_of_a_distinct_id_goes_with_it(
    admin: Client, person: Person, way: str
) -> None:
    PersonDistinctId.objects.filter(person=person).update(link=person.pk)
    PersonDistinctId.objects.create(
        project=person.project, person=person, distinct_id="other", link=person.pk
    )
    keys = [cache_key(person.project_id, name) for name in ("mia", "other")]
    for key in keys:
        leases.fill(key, lambda: b"mia,other", lifetime_ms=60_000)
    url = f"/admin/projects/person/{person.pk}"

    if way == "renamed":
        saved(admin, f"{url}/change/", **{"distinct_id_rows-0-distinct_id": "new"})
    else:
        saved(admin, f"{url}/change/", **{"distinct_id_rows-0-DELETE": "on"})

    assert get_redis_connection("default").mget(keys) == [None, None]


def test_one_of_several_distinct_ids_is_taken_away(admin: Client, person: Person) -> None:
    url = f"/admin/projects/person/{person.pk}/change/"

    saved(admin, url, **{"distinct_id_rows-0-DELETE": "on"})

    assert not person.distinct_id_rows.exists()


@pytest.mark.parametrize(
    "properties",
    ["[]", "x", "NaN", '{"a": 1e400}', r'{"a": "\u0000"}', r'{"a": "\ud800"}', "[" * 5000],
)
def test_properties_that_can_not_be_are_refused(
    admin: Client, person: Person, properties: str
) -> None:
    url = f"/admin/projects/person/{person.pk}/change/"

    assert refused(admin, url, properties=properties)


def test_a_distinct_id_has_one_person(
    admin: Client, project: Project, neighbour: Project, person: Person
) -> None:
    other = Person.objects.create(project=project)
    elsewhere = Person.objects.create(project=neighbour)
    taken = {"distinct_id_rows-0-distinct_id": "mia"}

    assert refused(admin, f"/admin/projects/person/{other.pk}/change/", **taken)
    saved(admin, f"/admin/projects/person/{elsewhere.pk}/change/", **taken)


def test_a_person_is_found_by_distinct_id(
    admin: Client, person: Person, neighbour: Project
) -> None:
    PersonDistinctId.objects.create(
        project=person.project, person=person, distinct_id=f"id {person.pk}"
    )

    page = admin.get("/admin/projects/person/", {"q": f'"id {person.pk}"'}).content.decode()

    assert "1 person" in page


# --- Tickets and messages ----------------------------------------------------


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket(message="Hello there", distinct_id=f"customer-{uuid.uuid4().hex}")


def test_a_ticket_is_shown_and_stays_unread(
    admin: Client, ticket: Any, reader: ApiClient, unread_count_url: str
) -> None:
    page = admin.get(f"/admin/conversations/ticket/{ticket['id']}/change/").content.decode()

    assert ticket["distinct_id"] in page
    assert "<textarea" not in page
    assert 'name="_save"' not in page
    assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_tickets_messages_are_one_click_away(admin: Client, ticket: Any) -> None:
    page = admin.get(f"/admin/conversations/ticket/{ticket['id']}/change/").content.decode()
    link = re.search(
        r'href="(/admin/conversations/message/[^"]*)"', page.split("Read them")[0][-200:]
    )
    assert link

    messages = admin.get(link[1]).content.decode()

    assert "Hello there" in messages
    assert "1 message" in messages


def test_a_message_is_shown(admin: Client, ticket: Any) -> None:
    message = Message.objects.get(ticket_id=ticket["id"])

    page = admin.get(f"/admin/conversations/message/{message.pk}/change/").content.decode()

    assert "Hello there" in page
    assert 'name="_save"' not in page


def test_an_event_is_shown(admin: Client, ticket: Any) -> None:
    event = Event.objects.get(ticket_id=ticket["id"], type="ticket.created")

    page = admin.get(f"/admin/conversations/event/{event.pk}/change/").content.decode()

    assert ticket["distinct_id"] in page
    assert 'name="_save"' not in page


def test_events_are_found_by_their_ticket(
    admin: Client, ticket: Any, make_ticket: MakeTicket
) -> None:
    make_ticket()

    page = admin.get("/admin/conversations/event/", {"q": ticket["id"]}).content.decode()

    assert "2 events" in page


@pytest.mark.parametrize("model", ["ticket", "message", "event", "delivery"])
def test_tickets_messages_events_and_deliveries_are_not_written(
    admin: Client, ticket: Any, model: str
) -> None:
    event = Event.objects.filter(ticket_id=ticket["id"])[0]
    webhook = Webhook.objects.create(project_id=event.project_id, url="https://example.com/")
    delivery = Delivery.objects.create(
        project_id=event.project_id, webhook=webhook, event=event, next_attempt_at=timezone.now()
    )
    rows = {
        "ticket": ticket["id"],
        "message": Message.objects.get(ticket_id=ticket["id"]).pk,
        "event": event.pk,
        "delivery": delivery.pk,
    }
    row = rows[model]
    urls = [
        f"/admin/conversations/{model}/{path}"
        for path in ("add/", f"{row}/change/", f"{row}/delete/")
    ]

    assert [admin.post(url, {"post": "yes"}).status_code for url in urls] == [403, 403, 403]
    page = admin.get(f"/admin/conversations/{model}/").content.decode()
    assert "delete_selected" not in page
    assert "/add/" not in page.split('id="content"')[1]


def test_tickets_are_found_by_distinct_id(
    admin: Client, ticket: Any, make_ticket: MakeTicket
) -> None:
    make_ticket(distinct_id="somebody else")

    page = admin.get("/admin/conversations/ticket/", {"q": ticket["distinct_id"]}).content.decode()

    assert "1 ticket" in page
    assert ticket["id"] in page


@pytest.mark.parametrize("term", ["2", "#2", " 2 "])
def test_tickets_are_found_by_number(
    admin: Client, project: Project, make_ticket: MakeTicket, term: str
) -> None:
    make_ticket()
    second = make_ticket()

    query = {"q": term, "project__id__exact": str(project.pk)}
    page = admin.get("/admin/conversations/ticket/", query).content.decode()

    assert "1 ticket" in page
    assert second["id"] in page


@pytest.mark.parametrize("term", ["99999999999999999999", "x y", "%", "²"])
def test_a_search_that_matches_nothing_finds_nothing(admin: Client, ticket: Any, term: str) -> None:
    page = admin.get("/admin/conversations/ticket/", {"q": term}).content.decode()

    assert "0 tickets" in page
    assert ticket["id"] not in page


def test_a_search_for_what_can_not_be_stored_is_no_failure(admin: Client) -> None:
    assert admin.get("/admin/conversations/ticket/", {"q": "\x00"}).status_code == 200


LISTS = [
    "conversations/ticket",
    "conversations/message",
    "conversations/event",
    "conversations/webhook",
    "conversations/delivery",
    *(f"projects/{name}" for name in ("project", "apikey", "user", "membership", "role", "person")),
]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_costs_the_same_queries_however_many_rows_it_has(
    admin: Client, name: str, project: Project, make_ticket: MakeTicket
) -> None:
    def fill() -> None:
        Webhook.objects.create(project=project, url="https://example.com/")
        make_ticket(message="Hi", assignee={"type": "user", "id": new_agent(project).pk})
        ApiKey.issue(project=project, label="x", scopes=["*"])
        role = Role.objects.create(project=project, name=uuid.uuid4().hex)
        role.members.add(new_agent(project))
        person = Person.objects.create(project=project)
        PersonDistinctId.objects.create(
            project=project, person=person, distinct_id=uuid.uuid4().hex
        )

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert admin.get(f"/admin/{name}/").status_code == 200
        return len(captured)

    fill()
    few = queries()
    for _ in range(4):
        fill()

    assert queries() == few


@pytest.mark.parametrize("name", LISTS)
def test_every_list_can_be_searched(admin: Client, name: str) -> None:
    assert admin.get(f"/admin/{name}/", {"q": "x"}).status_code == 200


def test_an_agent_who_is_not_staff_does_not_come_in(project: Project) -> None:
    client = Client()
    client.force_login(new_agent(project))

    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")
