"""The inbox's settings: what an agent may set, and what only the staff; secrets are shown once."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.utils import timezone

from config import embedded
from conversations.models import Delivery, Ticket, Webhook
from conversations.webhooks.models import DeliveryStatus
from conversations.webhooks.verbs import add_webhook
from projects.models import SCOPES, ApiKey, Membership, Project, Role, User
from rest.models import StoredAnswer
from tests.api import ApiClient
from tests.conftest import MakeTicket, tickets_url_of
from tests.inbox import Browser, agent_of, inbox_of, text_of

KEY = re.compile(r"cvk_\w{36}")
WEBHOOK_SECRET = re.compile(r"whsec_[0-9A-Za-z+/]{40,}=*")
HOOK = "https://example.com/hook"
PAGES = ["", "/widget", "/keys", "/webhooks", "/team"]
# Session, agent, the agent's projects; staff have permissions of their own and of groups; the rest
# is the page's.
QUERIES = 8


def staff_of(project: Project, *permissions: str) -> User:
    """An agent who may do this to keys in the admin site."""
    agent = agent_of(project, "Stella")
    agent.is_staff = True
    agent.save()
    names = [f"{permission}_apikey" for permission in permissions]
    agent.user_permissions.set(Permission.objects.filter(codename__in=names))
    return agent


@pytest.fixture
def agent(project: Project) -> User:
    return agent_of(project)


@pytest.fixture
def browser(agent: User) -> Browser:
    return Browser(agent)


@pytest.fixture
def staff(project: Project) -> Browser:
    return Browser(staff_of(project, "view", "add", "change"))


@pytest.fixture
def settings_url(project: Project) -> str:
    return f"{inbox_of(project)}/settings"


@pytest.fixture
def keys_url(settings_url: str) -> str:
    return f"{settings_url}/keys"


@pytest.fixture
def webhooks_url(settings_url: str) -> str:
    return f"{settings_url}/webhooks"


@pytest.fixture
def webhook(project: Project) -> Webhook:
    return add_webhook(project_id=project.pk, url=HOOK)


@pytest.fixture
def webhook_url(webhooks_url: str, webhook: Webhook) -> str:
    return f"{webhooks_url}/{webhook.pk}"


@pytest.fixture
def api_key(project: Project) -> ApiKey:
    return ApiKey.issue(project=project, label="backend", scopes=["ticket:read"])[0]


class Form(HTMLParser):
    """What a browser would send of the form whose button has this value of `act`."""

    def __init__(self, page: Any, act: str) -> None:
        super().__init__()
        self.forms: list[tuple[dict[str, list[str]], set[str]]] = []
        self.area = ""
        self.feed(page.content.decode())
        found = next(data for data, acts in self.forms if act in acts)
        self.data: dict[str, Any] = {**found, "act": act}
        del self.data["csrfmiddlewaretoken"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self.forms.append(({}, set()))
        elif tag == "button" and name == "act":
            self.forms[-1][1].add(given["value"])
        elif tag == "input" and name and ("checked" in given or given["type"] != "checkbox"):
            self.forms[-1][0].setdefault(name, []).append(given.get("value", "on"))
        elif tag == "select":
            self.select = name
        elif tag == "option" and "selected" in given:
            self.forms[-1][0][self.select] = [given["value"]]
        elif tag == "textarea":
            self.area = name
            self.forms[-1][0][name] = [""]

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.area = ""

    def handle_data(self, data: str) -> None:
        if self.area:
            # The first line break of a textarea is not part of it.
            self.forms[-1][0][self.area] = [data.removeprefix("\n")]


def submit(browser: Browser, url: str, act: str, /, **fields: Any) -> Any:
    """Opens the page and sends the form that does this, with these of its controls filled in."""
    form = {**Form(browser.get(url), act).data, **fields}
    return send(browser, url, {name: value for name, value in form.items() if value is not None})


def send(browser: Browser, url: str, form: dict[str, Any]) -> Any:
    return browser.client.post(url, form)


def main_of(page: Any) -> str:
    return text_of(page).split("<main")[1].split("</main>")[0]


def errors_beside(page: Any, name: str) -> str:
    """What a form says beside a control, which refers to it."""
    text = text_of(page)
    assert re.search(rf'name="{name}"[^>]*aria-invalid="true"[^>]*error-{name}', text) or re.search(
        rf'<fieldset class="field"[^>]*aria-invalid="true"[^>]*error-{name}', text
    )
    found = re.search(rf'id="error-{name}">([^<]*)<', text)
    assert found
    return found[1]


# --- Who may -----------------------------------------------------------------

RENAME = {"name": "Renamed", "time_zone": "UTC"}
MAKE = {"act": "make", "label": "backend", "scopes": ["ticket:read"]}
# Who they are, and what they get for a look at the keys, for making one, for rotating one, and for
# a change of the project.
RIGHTS = [
    ("nobody", 302, 302, 302, 302),
    ("an agent of another project", 403, 403, 403, 403),
    ("staff without a place in the project", 403, 403, 403, 403),
    ("an agent", 200, 403, 403, 302),
    ("an agent with permissions and no staff", 200, 403, 403, 302),
    ("staff who may look", 200, 403, 403, 302),
    ("staff who may make keys", 200, 200, 403, 302),
    ("staff who may change keys", 200, 403, 200, 302),
    ("a superuser", 200, 200, 200, 302),
]


def caller(who: str, project: Project, neighbour: Project) -> Browser:
    if who == "nobody":
        return Browser()
    if who == "an agent of another project":
        return Browser(agent_of(neighbour))
    if who == "an agent":
        return Browser(agent_of(project))
    permissions = {"staff who may make keys": "add", "staff who may change keys": "change"}
    if who == "an agent with permissions and no staff":
        agent = staff_of(project, "view", "add", "change")
        User.objects.filter(pk=agent.pk).update(is_staff=False)
    elif who == "staff without a place in the project":
        agent = staff_of(project, "view", "add", "change")
        Membership.objects.filter(user=agent).delete()
    else:
        agent = staff_of(project, permissions.get(who, "view"))
        User.objects.filter(pk=agent.pk).update(is_superuser=who == "a superuser")
    return Browser(User.objects.get(pk=agent.pk))


@pytest.mark.parametrize(("who", "look", "make", "rotate", "save"), RIGHTS)
def test_the_rights_are_those_of_the_api_and_of_the_admin_site(
    project: Project,
    neighbour: Project,
    api_key: ApiKey,
    keys_url: str,
    settings_url: str,
    who: str,
    look: int,
    make: int,
    rotate: int,
    save: int,
) -> None:
    browser = caller(who, project, neighbour)
    change = {"act": "rotate", "key": api_key.pk}

    assert browser.get(keys_url).status_code == look
    assert browser.post(keys_url, form=new_form(1), **MAKE).status_code == make
    assert browser.post(keys_url, form=new_form(2), **change).status_code == rotate
    assert browser.post(keys_url, act="revoke", key=api_key.pk).status_code == (
        302 if rotate == 200 else rotate
    )
    assert send(browser, settings_url, RENAME).status_code == save
    is_renamed = Project.objects.get(pk=project.pk).name == "Renamed"
    assert is_renamed == (save == 302 and who != "nobody")
    is_revoked = ApiKey.objects.get(pk=api_key.pk).revoked_at is not None
    assert is_revoked == (rotate == 200)
    assert ApiKey.objects.filter(project=project).count() == 1 + (make == 200)


def new_form(number: int) -> str:
    return f"00000000-0000-4000-8000-00000000000{number}"


def test_an_agent_sees_no_key_and_is_told_who_manages_them(
    browser: Browser, keys_url: str, api_key: ApiKey
) -> None:
    page = main_of(browser.get(keys_url))

    assert "managed by the staff of this service" in page
    assert api_key.label not in page
    assert "<form" not in page


def test_staff_who_may_look_at_keys_is_shown_no_form(
    project: Project, keys_url: str, api_key: ApiKey
) -> None:
    page = main_of(Browser(staff_of(project, "view")).get(keys_url))

    assert api_key.label in page
    assert "<form" not in page


@pytest.mark.parametrize("act", ["rotate", "revoke"])
def test_a_key_of_another_project_is_not_found(
    staff: Browser, neighbour: Project, keys_url: str, act: str
) -> None:
    foreign, _ = ApiKey.issue(project=neighbour, label="foreign", scopes=["*"])

    for named in (foreign.pk, 2**62, "x", ""):
        assert staff.post(keys_url, form=new_form(3), act=act, key=named).status_code == 404
    foreign.refresh_from_db()
    assert (foreign.revoked_at, foreign.previous_digest) == (None, None)


def test_a_webhook_of_another_project_is_not_found(
    browser: Browser, neighbour: Project, webhooks_url: str
) -> None:
    foreign = add_webhook(project_id=neighbour.pk, url=HOOK)

    for named in (foreign.pk, new_form(1)):
        assert browser.get(f"{webhooks_url}/{named}").status_code == 404
        for act in ("save", "rotate", "delete", "replay"):
            response = browser.post(f"{webhooks_url}/{named}", act=act, form=new_form(2))
            assert response.status_code == 404
    assert Webhook.objects.kept().filter(pk=foreign.pk, secret=foreign.secret).exists()


def test_nothing_is_done_without_the_token_of_the_page(
    project: Project, webhook: Webhook, api_key: ApiKey, settings_url: str
) -> None:
    browser = Browser(staff_of(project, "view", "add", "change"), csrf=True)
    posts: list[tuple[str, dict[str, Any]]] = [
        ("", {"name": "Renamed"}),
        ("/widget", {"widget_color": "red"}),
        ("/keys", MAKE),
        ("/keys", {"act": "rotate", "key": api_key.pk}),
        ("/keys", {"act": "revoke", "key": api_key.pk}),
        ("/webhooks", {"act": "make", "url": HOOK}),
        *((f"/webhooks/{webhook.pk}", {"act": act}) for act in ("save", "rotate", "delete")),
    ]

    for path, form in posts:
        response = send(browser, settings_url + path, {"form": new_form(4), **form})
        assert response.status_code == 403
        assert "send the form once more" in text_of(response)


def test_an_action_that_there_is_not_is_refused(browser: Browser, settings_url: str) -> None:
    for path in ("", "/keys", "/webhooks"):
        response = browser.post(settings_url + path, act="destroy")
        assert response.status_code == 400
        assert "There is no such action." in text_of(response)


# --- The pages ---------------------------------------------------------------


class Inline(HTMLParser):
    """What the pages' policy would not let a browser do."""

    def __init__(self, page: Any) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or name.startswith("on")]


@pytest.mark.usefixtures("api_key", "webhook")
def test_each_page_is_for_its_agent_alone_and_within_its_policy(
    staff: Browser, settings_url: str, webhook_url: str
) -> None:
    for url in [*(settings_url + path for path in PAGES), webhook_url]:
        page = staff.get(url)
        assert page.status_code == 200
        assert "no-store" in page.headers["Cache-Control"]
        assert Inline(page).found == []
        assert 'aria-current="page"' in text_of(page)


def test_each_page_asks_for_no_more_however_much_there_is(
    project: Project,
    staff: Browser,
    settings_url: str,
    webhook: Webhook,
    webhook_url: str,
    make_ticket: MakeTicket,
) -> None:
    for number in range(3):
        ApiKey.issue(project=project, label="k", scopes=["*"])
        add_webhook(project_id=project.pk, url=HOOK)
        role = Role.objects.create(project=project, name=f"Role {number}")
        role.members.add(agent_of(project))
        make_ticket(message="Hi")
    assert Delivery.objects.filter(webhook=webhook).count() == 6

    for url in [*(settings_url + path for path in PAGES), webhook_url]:
        asked = staff.queries(url)
        assert len(asked) <= QUERIES, asked


# --- The project -------------------------------------------------------------


def test_the_settings_are_saved_and_shown(
    browser: Browser, settings_url: str, project: Project
) -> None:
    response = submit(
        browser, settings_url, "save", name="Tea", time_zone="Asia/Tokyo", reopen_on_reply=None
    )

    assert (response.status_code, response.headers["Location"]) == (302, settings_url)
    page = text_of(browser.get(settings_url))
    assert "Saved." in page
    assert 'value="Tea"' in page
    project.refresh_from_db()
    assert (project.name, project.time_zone) == ("Tea", "Asia/Tokyo")
    assert (project.reopen_on_reply, project.conversations_enabled) == (False, True)


def test_what_is_wrong_is_said_beside_it_and_what_was_typed_stays(
    browser: Browser, settings_url: str, project: Project
) -> None:
    response = submit(browser, settings_url, "save", name="Tea", time_zone="Mars/Olympus")

    assert response.status_code == 400
    assert "not a time zone" in errors_beside(response, "time_zone")
    assert 'value="Tea"' in text_of(response)
    project.refresh_from_db()
    assert project.name == "Shop"


def test_a_refused_form_says_first_what_is_wrong_and_where(
    staff: Browser, keys_url: str, project: Project
) -> None:
    page = text_of(submit(staff, keys_url, "make", label="", scopes=[]))

    assert "<title>Error: API keys" in page
    [summary] = re.findall(r'<section class="error".*?</section>', page, re.DOTALL)
    assert re.findall(r'href="#(\S+)"', summary) == ["field-label", "field-scopes"]
    assert 'id="field-label"' in page
    assert 'id="field-scopes"' in page
    # Said once aloud.
    assert page.count('role="alert"') - page.count('id="problem"') == 1


def test_a_form_does_not_put_back_what_a_colleague_has_changed_meanwhile(
    browser: Browser, settings_url: str, project: Project
) -> None:
    form = Form(browser.get(settings_url), "save").data
    Project.objects.filter(pk=project.pk).update(time_zone="Asia/Tokyo", reopen_on_reply=False)

    send(browser, settings_url, {**form, "name": "Tea"})

    project.refresh_from_db()
    assert (project.name, project.time_zone) == ("Tea", "Asia/Tokyo")
    assert not project.reopen_on_reply


@pytest.mark.parametrize("was", ["", "[]", "{", "1" * 5000, "[" * 5000])
def test_a_form_that_does_not_say_what_it_was_sets_all_that_it_has(
    browser: Browser, settings_url: str, project: Project, was: str
) -> None:
    assert submit(browser, settings_url, "save", was=was, name="Tea").status_code == 302

    project.refresh_from_db()
    assert project.name == "Tea"


def test_markup_in_a_name_is_text(browser: Browser, settings_url: str) -> None:
    submit(browser, settings_url, "save", name='"><img src=x onerror=alert(1)>')

    assert Inline(browser.get(settings_url)).found == []
    assert b"<img" not in browser.get(settings_url).content


# --- The widget --------------------------------------------------------------


def test_the_widgets_settings_are_saved(
    browser: Browser, settings_url: str, project: Project
) -> None:
    domains = "shop.example.com\r\nwww.example.com, shop.example.com"
    greeting = "Hi!\r\nHow can we help?"

    response = submit(
        browser,
        f"{settings_url}/widget",
        "save",
        widget_domains=domains,
        widget_greeting_text=greeting,
        widget_collect_name=None,
    )

    assert response.status_code == 302
    project.refresh_from_db()
    assert project.widget_domains == ["shop.example.com", "www.example.com"]
    assert project.widget_greeting_text == "Hi!\nHow can we help?"
    assert (project.widget_collect_name, project.widget_enabled) == (False, True)


def test_a_host_that_is_none_is_refused_and_stays_in_the_form(
    browser: Browser, settings_url: str
) -> None:
    url = f"{settings_url}/widget"
    response = submit(browser, url, "save", widget_domains="https://shop.example.com")

    assert response.status_code == 400
    assert "not a host name" in errors_beside(response, "widget_domains")
    assert Form(response, "save").data["widget_domains"] == ["https://shop.example.com"]


def test_the_snippet_is_the_readmes_with_this_projects_token(
    browser: Browser, settings_url: str, project: Project
) -> None:
    readme = (embedded.CHECKOUT / "README.md").read_text()
    [tag] = re.findall(r"```html\n(.*?)\n```", readme, re.DOTALL)
    tag = tag.replace("https://support.example.com", "http://testserver")
    tag = tag.replace("cvp_your_public_token", project.public_token)

    page = text_of(browser.get(f"{settings_url}/widget"))

    assert f'<code id="snippet" translate="no">{tag}</code>' in page
    assert project.identity_secret not in page


# --- API keys ----------------------------------------------------------------


def make_key(staff: Browser, url: str, **fields: Any) -> Any:
    return submit(staff, url, "make", **{"label": "backend", "scopes": ["ticket:read"], **fields})


def shown_key(page: Any) -> str:
    [secret] = KEY.findall(text_of(page))
    return str(secret)


def works(secret: str, project: Project) -> bool:
    return bool(ApiClient(secret).get(tickets_url_of(project)).status_code == 200)


def test_a_new_key_works_and_is_shown_once(staff: Browser, keys_url: str, project: Project) -> None:
    response = make_key(staff, keys_url)

    secret = shown_key(response)
    assert (response.status_code, "no-store" in response.headers["Cache-Control"]) == (200, True)
    assert works(secret, project)
    page = text_of(staff.get(keys_url))
    assert "backend" in page
    assert not KEY.search(page)


def test_the_secret_of_a_key_is_stored_nowhere(
    staff: Browser, keys_url: str, project: Project
) -> None:
    response = make_key(staff, keys_url)

    secret = shown_key(response)
    session = Session.objects.get(pk=staff.client.cookies["sessionid"].value)
    [api_key] = ApiKey.objects.filter(project=project)
    [entry] = LogEntry.objects.filter(object_id=str(api_key.pk))
    stored = [session.get_decoded(), vars(api_key), vars(entry), response.headers]
    stored += [vars(answer) | {"body": bytes(answer.body)} for answer in StoredAnswer.objects.all()]
    stored += [{name: cookie.value} for name, cookie in response.cookies.items()]
    assert secret not in str(stored)
    assert entry.get_change_message() == "Made."


@pytest.mark.parametrize("act", ["make", "rotate"])
def test_a_form_that_is_sent_again_does_nothing_and_shows_no_secret(
    staff: Browser, keys_url: str, project: Project, api_key: ApiKey, act: str
) -> None:
    form = Form(staff.get(keys_url), act).data
    form |= {"label": "again", "scopes": ["ticket:read"]} if act == "make" else {}
    first = send(staff, keys_url, form)
    keys = list(ApiKey.objects.filter(project=project).order_by("pk").values())

    again = send(staff, keys_url, form)

    assert (first.status_code, again.status_code) == (200, 409)
    assert "This form was sent before" in text_of(again)
    assert not KEY.search(text_of(again))
    assert list(ApiKey.objects.filter(project=project).order_by("pk").values()) == keys


def test_a_form_that_was_refused_may_be_sent_again(
    staff: Browser, keys_url: str, project: Project
) -> None:
    form = Form(staff.get(keys_url), "make").data
    assert send(staff, keys_url, form).status_code == 400

    form |= {"label": "backend", "scopes": ["ticket:read"]}
    assert send(staff, keys_url, form).status_code == 200


def test_a_form_of_nobodys_is_refused(staff: Browser, keys_url: str, project: Project) -> None:
    for form in ("", "x", "0" * 36):
        response = make_key(staff, keys_url, form=form)
        assert response.status_code == 400
        assert "Load the page again" in text_of(response)
    assert not ApiKey.objects.filter(project=project).exists()


def test_a_key_has_what_was_chosen(staff: Browser, keys_url: str, project: Project) -> None:
    make_key(
        staff,
        keys_url,
        label="  worker ",
        scopes=["webhook:read", "ticket:write"],
        expires_in_days="30",
        rate_limits="10/minute\r\n100/hour",
    )

    [api_key] = ApiKey.objects.filter(project=project)
    assert (api_key.label, api_key.scopes) == ("worker", ["ticket:write", "webhook:read"])
    assert api_key.rate_limits == ["10/minute", "100/hour"]
    assert api_key.expires_at is not None
    lifetime = api_key.expires_at - timezone.now()
    assert timedelta(days=30) - timedelta(minutes=5) < lifetime <= timedelta(days=30)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label", " "),
        ("label", "x" * 201),
        ("label", "\0"),
        ("scopes", []),
        ("scopes", ["ticket:delete"]),
        ("expires_in_days", "7000000"),
        ("rate_limits", "many"),
        ("rate_limits", "1/minute 2/minute"),
        ("rate_limits", "1/minute " * 20),
    ],
)
def test_a_key_that_can_not_be_is_refused_beside_its_control(
    staff: Browser, keys_url: str, project: Project, name: str, value: Any
) -> None:
    response = make_key(staff, keys_url, **{"label": "kept", name: value})

    assert response.status_code == 400
    assert errors_beside(response, name)
    assert name == "label" or 'value="kept"' in text_of(response)
    assert not ApiKey.objects.filter(project=project).exists()


def test_the_scopes_that_can_be_chosen_are_all_there_are(staff: Browser, keys_url: str) -> None:
    page = text_of(staff.get(keys_url))

    assert tuple(re.findall(r'name="scopes" value="([^"]+)"', page)) == SCOPES


def test_a_rotated_key_has_a_new_secret_beside_the_old_one(
    staff: Browser, keys_url: str, project: Project
) -> None:
    old = shown_key(make_key(staff, keys_url))

    new = shown_key(submit(staff, keys_url, "rotate"))

    assert works(old, project)
    assert works(new, project)
    api_key = ApiKey.objects.get(project=project)
    assert api_key.previous_expires_at is not None
    assert api_key.previous_expires_at <= timezone.now() + timedelta(hours=1)
    assert not KEY.search(text_of(staff.get(keys_url)))


def test_a_rotated_key_says_until_when_the_secret_before_works(
    staff: Browser, keys_url: str, api_key: ApiKey
) -> None:
    told = "the secret before works until"
    assert told not in main_of(staff.get(keys_url))

    submit(staff, keys_url, "rotate")

    assert told in main_of(staff.get(keys_url))
    ApiKey.objects.filter(pk=api_key.pk).update(previous_expires_at=timezone.now())
    assert told not in main_of(staff.get(keys_url))


def test_a_revoked_key_is_refused_at_once(staff: Browser, keys_url: str, project: Project) -> None:
    secret = shown_key(make_key(staff, keys_url))
    assert works(secret, project)

    response = submit(staff, keys_url, "revoke")

    assert (response.status_code, response.headers["Location"]) == (302, keys_url)
    assert ApiClient(secret).get(tickets_url_of(project)).status_code == 401
    page = text_of(staff.get(keys_url))
    assert "is revoked." in page
    assert 'value="rotate"' not in page


def test_a_key_that_was_revoked_meanwhile_is_not_rotated(
    staff: Browser, keys_url: str, api_key: ApiKey
) -> None:
    form = Form(staff.get(keys_url), "rotate").data
    api_key.revoke()

    response = send(staff, keys_url, form)

    assert response.status_code == 409
    assert "revoked or expired" in text_of(response)


def test_the_admin_sites_log_has_what_is_done_to_keys(
    staff: Browser, keys_url: str, project: Project
) -> None:
    make_key(staff, keys_url)
    submit(staff, keys_url, "rotate")
    submit(staff, keys_url, "revoke")

    api_key = ApiKey.objects.get(project=project)
    entries = LogEntry.objects.filter(object_id=str(api_key.pk)).order_by("pk")
    assert [entry.get_change_message() for entry in entries] == ["Made.", "Rotated.", "Revoked."]


# --- Webhooks ----------------------------------------------------------------


def test_a_new_webhook_shows_its_secret_once(
    browser: Browser, webhooks_url: str, project: Project
) -> None:
    response = submit(
        browser, webhooks_url, "make", url=HOOK, event_types=["message.created"], description="D"
    )

    [webhook] = Webhook.objects.filter(project=project)
    assert WEBHOOK_SECRET.findall(text_of(response)) == [webhook.secret]
    assert (webhook.url, webhook.event_types, webhook.enabled) == (HOOK, ["message.created"], True)
    for url in (webhooks_url, f"{webhooks_url}/{webhook.pk}"):
        page = text_of(browser.get(url))
        assert HOOK in page
        assert not WEBHOOK_SECRET.search(page)


def test_the_form_of_a_webhook_that_is_sent_again_makes_no_second_one(
    browser: Browser, webhooks_url: str, project: Project
) -> None:
    form = {**Form(browser.get(webhooks_url), "make").data, "url": HOOK}
    send(browser, webhooks_url, form)

    again = send(browser, webhooks_url, form)

    assert again.status_code == 409
    assert not WEBHOOK_SECRET.search(text_of(again))
    assert Webhook.objects.filter(project=project).count() == 1


def test_an_address_that_can_not_be_is_refused_beside_it(
    browser: Browser, webhooks_url: str
) -> None:
    response = submit(
        browser, webhooks_url, "make", url="http://10.0.0.1/", description="typed", enabled=None
    )

    assert response.status_code == 400
    assert "not on the public internet" in errors_beside(response, "url")
    form = Form(response, "make").data
    assert (form["url"], form["description"]) == (["http://10.0.0.1/"], ["typed"])
    assert "enabled" not in form


def test_one_webhook_too_many_is_refused(
    browser: Browser, webhooks_url: str, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.webhooks.verbs.MAX_WEBHOOKS", 1)

    response = submit(browser, webhooks_url, "make", url=HOOK, description="typed")

    assert response.status_code == 409
    assert "as many webhooks" in text_of(response)
    assert Form(response, "make").data["description"] == ["typed"]


def test_a_webhook_is_changed(browser: Browser, webhook: Webhook, webhook_url: str) -> None:
    secret = webhook.secret

    response = submit(browser, webhook_url, "save", description="New", enabled=None)

    assert (response.status_code, response.headers["Location"]) == (302, webhook_url)
    webhook.refresh_from_db()
    assert (webhook.description, webhook.enabled, webhook.url) == ("New", False, HOOK)
    assert webhook.secret == secret


def test_a_change_that_can_not_be_is_refused_beside_it(
    browser: Browser, webhook_url: str, webhook: Webhook
) -> None:
    response = submit(browser, webhook_url, "save", url="ftp://example.com", description="typed")

    assert response.status_code == 400
    assert errors_beside(response, "url")
    assert Form(response, "save").data["description"] == ["typed"]
    webhook.refresh_from_db()
    assert webhook.url == HOOK


def test_a_rotated_webhook_signs_with_both_secrets(
    browser: Browser, webhook: Webhook, webhook_url: str
) -> None:
    old = webhook.secret
    form = Form(browser.get(webhook_url), "rotate").data

    response = send(browser, webhook_url, form)
    again = send(browser, webhook_url, form)

    webhook.refresh_from_db()
    assert WEBHOOK_SECRET.findall(text_of(response)) == [webhook.secret]
    assert webhook.signing_secrets(timezone.now()) == [webhook.secret, old]
    assert (again.status_code, WEBHOOK_SECRET.findall(text_of(again))) == (409, [])


def test_a_secret_that_is_rotated_too_often_is_refused(browser: Browser, webhook_url: str) -> None:
    answers = [submit(browser, webhook_url, "rotate").status_code for _ in range(5)]

    assert answers == [200, 200, 200, 200, 409]


def test_a_deleted_webhook_is_gone(
    browser: Browser, webhook: Webhook, webhook_url: str, webhooks_url: str
) -> None:
    response = submit(browser, webhook_url, "delete")

    assert (response.status_code, response.headers["Location"]) == (302, webhooks_url)
    page = text_of(browser.get(webhooks_url))
    assert "The webhook is deleted." in page
    assert HOOK not in page.split("<form")[0]
    assert browser.get(webhook_url).status_code == 404


# --- Deliveries --------------------------------------------------------------


@pytest.fixture
def deliveries(webhook: Webhook, make_ticket: MakeTicket) -> list[Delivery]:
    """Of a new ticket and its message: one that failed, and one that waits."""
    make_ticket(message="Hi")
    failed, waiting = Delivery.objects.filter(webhook=webhook).order_by("created_at", "pk")
    Delivery.objects.filter(pk=failed.pk).update(
        status=DeliveryStatus.FAILED,
        attempts=10,
        next_attempt_at=None,
        last_attempt_at=timezone.now(),
        duration_ms=12,
        response_status=500,
        response_body="<b>Out of order</b>",
        error="The receiver answered 500.",
    )
    return [failed, waiting]


@pytest.mark.usefixtures("deliveries")
def test_a_webhooks_deliveries_have_their_outcome(browser: Browser, webhook_url: str) -> None:
    response = browser.get(webhook_url)

    page = text_of(response)
    assert "10 attempts" in page
    assert "answered 500 in 12 ms: The receiver answered 500." in page
    assert "Not attempted yet" in page
    assert "&lt;b&gt;Out of order&lt;/b&gt;" in response.content.decode()


@pytest.mark.usefixtures("deliveries")
def test_deliveries_are_listed_by_their_state(browser: Browser, webhook_url: str) -> None:
    listed = {
        status: text_of(browser.get(webhook_url, status=status)).count('class="delivery"')
        for status in DeliveryStatus.values
    }

    assert listed == {"pending": 1, "succeeded": 0, "failed": 1}


@pytest.mark.usefixtures("deliveries")
def test_deliveries_come_in_pages(browser: Browser, webhook_url: str) -> None:
    first = text_of(browser.get(webhook_url, limit=1))
    [address] = re.findall(r'<a href="([^"]+)" rel="next"', first)
    second = text_of(browser.get(address))

    assert [page.count('class="delivery"') for page in (first, second)] == [1, 1]
    assert 'rel="prev"' in second
    assert 'rel="next"' not in second


def test_a_list_that_there_is_not_is_refused(
    staff: Browser, webhook_url: str, keys_url: str, settings_url: str
) -> None:
    wrong = [f"{webhook_url}?status=lost", f"{keys_url}?cursor=x", f"{settings_url}/team?limit=0"]

    assert [staff.get(url).status_code for url in wrong] == [400, 400, 400]
    assert "<code>status</code>" in text_of(staff.get(wrong[0]))


def test_a_delivery_is_sent_again(
    browser: Browser, webhook_url: str, deliveries: list[Delivery]
) -> None:
    url = f"{webhook_url}?status=failed"

    response = submit(browser, url, "replay")

    assert (response.status_code, response.headers["Location"]) == (302, url)
    deliveries[0].refresh_from_db()
    assert (deliveries[0].status, deliveries[0].tries) == (DeliveryStatus.PENDING, 0)


@pytest.mark.parametrize("query", ["cursor=x", "status=lost", "status=sent&status=failed"])
def test_nothing_is_sent_again_from_a_list_that_there_is_not(
    browser: Browser, webhook_url: str, deliveries: list[Delivery], query: str
) -> None:
    before = list(Delivery.objects.order_by("pk").values())

    answer = browser.post(f"{webhook_url}?{query}", act="replay", delivery=deliveries[0].pk)

    assert answer.status_code == 400
    assert f"<code>{query.partition('=')[0]}</code>" in text_of(answer)
    assert list(Delivery.objects.order_by("pk").values()) == before


def test_nothing_is_sent_again_to_a_disabled_webhook(
    browser: Browser, webhook_url: str, webhook: Webhook, deliveries: list[Delivery]
) -> None:
    Webhook.objects.filter(pk=webhook.pk).update(enabled=False)

    response = browser.post(webhook_url, act="replay", delivery=deliveries[0].pk)

    assert response.status_code == 409
    assert "enable it first" in text_of(response)


def test_a_delivery_of_another_webhook_is_not_found(
    browser: Browser, webhooks_url: str, project: Project, deliveries: list[Delivery]
) -> None:
    other = add_webhook(project_id=project.pk, url=HOOK)

    for named in (deliveries[0].pk, "x", ""):
        response = browser.post(f"{webhooks_url}/{other.pk}", act="replay", delivery=named)
        assert response.status_code == 404


# --- The team ----------------------------------------------------------------


def test_the_team_is_listed_with_its_roles(
    browser: Browser, agent: User, settings_url: str, project: Project, neighbour: Project
) -> None:
    colleague, stranger = agent_of(project, "Grace"), agent_of(neighbour, "Mallory")
    Role.objects.create(project=project, name="Billing").members.set([colleague, stranger])
    Role.objects.create(project=neighbour, name="Foreign")

    page = text_of(browser.get(f"{settings_url}/team"))

    assert agent.email in page
    assert colleague.email in page
    assert '<bdi>Billing</bdi></b> <span class="faint">1 agent</span>' in page
    assert "Foreign" not in page
    assert stranger.email not in page


# --- The team, changed -------------------------------------------------------


@pytest.fixture
def team_url(settings_url: str) -> str:
    return f"{settings_url}/team"


def team_staff(project: Project, *permissions: str) -> User:
    agent = staff_of(project)
    agent.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return agent


ALL_OF_THE_TEAM = (
    "add_membership",
    "delete_membership",
    "add_role",
    "change_role",
    "delete_role",
)


@pytest.fixture
def head(project: Project) -> Browser:
    return Browser(team_staff(project, *ALL_OF_THE_TEAM))


@pytest.fixture
def role(project: Project, agent: User) -> Role:
    role = Role.objects.create(project=project, name="Billing")
    role.members.add(agent)
    return role


def in_role(role: Role) -> set[str]:
    return set(role.members.values_list("email", flat=True))


def logged(row: Any) -> list[int]:
    """What the admin site's log has of it, the oldest first."""
    entries = LogEntry.objects.filter(
        object_id=str(row.pk), content_type__model=type(row)._meta.model_name
    )
    return list(entries.order_by("pk").values_list("action_flag", flat=True))


@pytest.mark.parametrize("missing", [None, *ALL_OF_THE_TEAM])
def test_each_change_of_the_team_needs_the_admin_sites_right_for_it(
    project: Project, agent: User, team_url: str, role: Role, missing: str | None
) -> None:
    other = User.objects.create_user(f"other-{project.pk}@example.com")
    granted = set(ALL_OF_THE_TEAM) - {missing}
    browser = Browser(team_staff(project, *granted))
    forms: dict[str, dict[str, Any]] = {
        "add_membership": {"act": "add", "email": other.email},
        "add_role": {"act": "add_role", "name": "Shipping"},
        "change_role": {"act": "change_role", "role": role.pk, "role_name": "Bills"},
        "delete_role": {"act": "delete_role", "role": role.pk},
        "delete_membership": {"act": "remove", "agent": agent.pk},
    }

    shown = re.findall(r'name="act" value="(\w+)"', main_of(browser.get(team_url)))
    answers = {name: send(browser, team_url, form).status_code for name, form in forms.items()}

    assert answers == {name: 403 if name == missing else 302 for name in forms}
    assert set(shown) == {form["act"] for name, form in forms.items() if name != missing}


def test_an_agent_without_these_rights_looks_at_the_team(
    browser: Browser, team_url: str, role: Role
) -> None:
    page = main_of(browser.get(team_url))

    assert "Billing" in page
    assert "<form" not in page
    assert send(browser, team_url, {"act": "add", "email": "x@example.com"}).status_code == 403


def test_somebody_with_an_account_is_added(head: Browser, project: Project, team_url: str) -> None:
    other = User.objects.create_user(f"other-{project.pk}@example.com")

    assert submit(head, team_url, "add", email=other.email.upper()).status_code == 302

    membership = Membership.objects.get(project=project, user=other)
    assert logged(membership) == [ADDITION]


def test_who_can_not_be_added_is_told_beside_the_address(
    head: Browser, agent: User, team_url: str
) -> None:
    nobody = submit(head, team_url, "add", email="nobody@example.com")
    already = submit(head, team_url, "add", email=agent.email)

    assert (nobody.status_code, already.status_code) == (400, 400)
    assert "Nobody has an account" in errors_beside(nobody, "email")
    assert "already" in errors_beside(already, "email")


def test_an_agent_is_taken_out_and_would_come_back_into_their_role(
    head: Browser, project: Project, agent: User, role: Role, team_url: str
) -> None:
    membership = Membership.objects.get(project=project, user=agent)

    assert send(head, team_url, {"act": "remove", "agent": agent.pk}).status_code == 302

    assert not Membership.objects.filter(project=project, user=agent).exists()
    assert logged(membership) == [DELETION]
    assert in_role(role) == {agent.email}


def test_who_takes_themselves_out_is_led_away(project: Project, team_url: str) -> None:
    staff = team_staff(project, *ALL_OF_THE_TEAM)

    answer = send(Browser(staff), team_url, {"act": "remove", "agent": staff.pk})

    assert answer.headers["Location"] == "/inbox"


def test_a_role_is_made_once(head: Browser, project: Project, team_url: str) -> None:
    assert submit(head, team_url, "add_role", name="Shipping").status_code == 302
    again = submit(head, team_url, "add_role", name="Shipping")

    assert again.status_code == 400
    assert "already" in errors_beside(again, "name")
    assert logged(Role.objects.get(project=project)) == [ADDITION]


def test_a_role_is_renamed_and_its_agents_are_others(
    head: Browser, project: Project, agent: User, role: Role, team_url: str
) -> None:
    kim = agent_of(project, "Kim")

    answer = submit(head, team_url, "change_role", role_name="Bills", role_members=kim.email)

    assert answer.status_code == 302
    role.refresh_from_db()
    assert (role.name, in_role(role)) == ("Bills", {kim.email})
    assert logged(role) == [CHANGE]


def test_a_role_keeps_whom_a_colleague_has_put_into_it_meanwhile(
    head: Browser, project: Project, agent: User, role: Role, team_url: str
) -> None:
    form = Form(head.get(team_url), "change_role").data
    kim = agent_of(project, "Kim")
    role.members.add(kim)

    send(head, team_url, {**form, "role_members": ""})

    assert in_role(role) == {kim.email}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"role_members": "stranger@example.com"}, "stranger@example.com is not an agent"),
        ({"role_name": "Shipping"}, "has a role of this name already"),
    ],
)
def test_a_role_that_can_not_be_so_stays_and_what_was_typed_too(
    head: Browser, project: Project, role: Role, team_url: str, fields: dict[str, str], told: str
) -> None:
    Role.objects.create(project=project, name="Shipping")
    before = role.name, in_role(role)
    form = {**Form(head.get(team_url), "change_role").data, **fields}

    page = send(head, team_url, form)

    assert page.status_code == 400
    assert told in main_of(page)
    [typed] = fields.values()
    assert typed in main_of(page).split("aria-invalid")[1]
    role.refresh_from_db()
    assert (role.name, in_role(role)) == before


def test_a_role_is_deleted_and_its_tickets_are_nobodys(
    head: Browser, role: Role, team_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(assignee={"type": "role", "id": str(role.pk)})

    assert submit(head, team_url, "delete_role").status_code == 302

    assert Ticket.objects.get(pk=ticket["id"]).assignee_role_id is None
    assert logged(role) == [DELETION]


@pytest.mark.parametrize("act", ["change_role", "delete_role", "remove"])
def test_the_team_of_another_project_is_not_found(
    head: Browser, neighbour: Project, team_url: str, act: str
) -> None:
    theirs = Role.objects.create(project=neighbour, name="Theirs")
    stranger = agent_of(neighbour)

    form = {"act": act, "role": theirs.pk, "role_name": "Mine", "agent": stranger.pk}
    assert send(head, team_url, form).status_code == 404

    theirs.refresh_from_db()
    assert theirs.name == "Theirs"
    assert stranger.projects.count() == 1
