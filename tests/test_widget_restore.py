"""POST …/widget/restore/request and …/widget/restore: old conversations in a new browser."""

import re
import smtplib
import traceback
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail
from django.core.mail.backends import locmem
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from conversations.jobs import prune_restores
from conversations.models import Restore, Ticket
from conversations.widget import restores
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.jobs import enqueue, jobs_named, run_jobs
from tests.test_queries import statements
from tests.threads import at_once
from tests.widget import WIDGET, Browser

ORIGIN = "https://shop.example.com"
PAGE = f"{ORIGIN}/help?topic=orders#chat"


@pytest.fixture
def shop(project: Project) -> Project:
    project.widget_domains = ["shop.example.com"]
    project.save()
    return project


@pytest.fixture
def ada(shop: Project) -> str:
    """A customer's address, which no other test uses."""
    return f"ada-{shop.pk}@example.com"


@pytest.fixture
def browser(shop: Project) -> Browser:
    return Browser(shop, origin=ORIGIN)


@pytest.fixture
def ticket_id(browser: Browser, ada: str) -> str:
    return str(browser.sent("Long ago", traits={"email": ada})["ticket_id"])


def ask(browser: Browser, email: str, page: str = PAGE) -> Any:
    return browser.post(f"{WIDGET}/restore/request", {"email": email, "request_url": page})


def mails_to(address: str) -> list[Any]:
    run_jobs()
    return [sent for sent in mail.outbox if sent.to == [address]]


def link_in(sent: Any) -> str:
    [link] = re.findall(r"https?://\S+", sent.body)
    return str(link)


def token_of(link: str) -> str:
    [token] = parse_qs(urlsplit(link).query)["ph_conv_restore"]
    return token


def mailed_token(browser: Browser, address: str) -> str:
    assert ask(browser, address).json() == {"ok": True}
    return token_of(link_in(mails_to(address)[-1]))


def redeem(browser: Browser, token: str) -> Any:
    body = {"restore_token": token, "widget_session_id": browser.session_id}
    response = browser.post(f"{WIDGET}/restore", body)
    assert response.status_code == 200
    return response.json()


def test_the_link_opens_the_old_conversations_in_a_new_browser(
    shop: Project, browser: Browser, ticket_id: str, ada: str
) -> None:
    new = Browser(shop, origin=ORIGIN)
    token = mailed_token(new, ada)

    assert redeem(new, token) == {
        "status": "success",
        "widget_session_id": new.session_id,
        "migrated_ticket_ids": [ticket_id],
    }
    assert new.texts(ticket_id) == ["Long ago"]
    assert browser.poll(ticket_id).status_code == 403


def test_the_link_leads_to_the_page_that_asked(browser: Browser, ticket_id: str, ada: str) -> None:
    ask(browser, ada)

    link = link_in(mails_to(ada)[0])

    page = urlsplit(link)
    assert f"{page.scheme}://{page.netloc}{page.path}" == f"{ORIGIN}/help"
    assert parse_qs(page.query)["topic"] == ["orders"]
    assert page.fragment == "chat"


def test_an_old_token_in_the_address_is_replaced(
    browser: Browser, ticket_id: str, ada: str
) -> None:
    ask(browser, ada, f"{ORIGIN}/?ph_conv_restore=old")

    assert token_of(link_in(mails_to(ada)[0])) != "old"


def test_an_address_is_found_whatever_its_case(browser: Browser, ticket_id: str, ada: str) -> None:
    ask(browser, ada.upper())

    assert mails_to(ada)


def test_tickets_that_came_by_mail_are_restored_as_well(
    browser: Browser, make_ticket: MakeTicket, ada: str
) -> None:
    ticket = make_ticket(email_from=ada.replace("ada", "Ada"), message="By mail")

    assert redeem(browser, mailed_token(browser, ada))["migrated_ticket_ids"] == [ticket["id"]]


def test_an_address_without_conversations_gets_the_same_answer_and_no_mail(
    browser: Browser, ticket_id: str, ada: str
) -> None:
    nobody = f"nobody-{ada}"

    with statements() as for_nobody:
        answer = ask(browser, nobody)
    with statements() as for_ada:
        assert ask(browser, ada).content == answer.content

    assert answer.json() == {"ok": True}
    assert [sql.split()[:3] for sql in for_nobody] == [sql.split()[:3] for sql in for_ada]
    assert mails_to(nobody) == []


def test_neither_address_nor_token_is_in_the_job_or_the_database(
    browser: Browser, ticket_id: str, ada: str
) -> None:
    ask(browser, ada)
    [job] = [job for job in jobs_named("send_restore_link") if job.status == "todo"][-1:]
    assert list(job.args) == ["restore_id"]

    token = token_of(link_in(mails_to(ada)[0]))

    assert token not in str(list(Restore.objects.filter(email=ada).values()))


def test_an_address_gets_at_most_three_mails_an_hour(
    browser: Browser, ticket_id: str, ada: str
) -> None:
    for _ in range(5):
        ask(browser, ada)

    assert len(mails_to(ada)) == 3


def test_a_job_that_runs_twice_sends_one_mail(browser: Browser, ticket_id: str, ada: str) -> None:
    from conversations.widget.jobs import send_restore_link

    ask(browser, ada)
    mails_to(ada)
    send_restore_link.defer(restore_id=str(Restore.objects.get(email=ada).pk))

    assert len(mails_to(ada)) == 1


def test_a_project_name_of_several_lines_makes_no_further_headers(
    shop: Project, browser: Browser, ticket_id: str, ada: str
) -> None:
    Project.objects.filter(pk=shop.pk).update(name="Shop\nBcc: all@example.com")

    ask(browser, ada)

    [sent] = mails_to(ada)
    assert sent.subject == "Your conversations with Shop Bcc: all@example.com"


def test_those_who_ask_do_not_share_a_limit_of_one_session(
    shop: Project, browser: Browser, ada: str
) -> None:
    statuses = {ask(browser, f"{number}-{ada}").status_code for number in range(31)}

    assert statuses == {200}


# --- Redeeming ---------------------------------------------------------------


def test_a_token_works_once(shop: Project, browser: Browser, ticket_id: str, ada: str) -> None:
    token = mailed_token(browser, ada)
    redeem(browser, token)

    thief = Browser(shop, origin=ORIGIN)

    assert redeem(thief, token) == {"status": "used"}
    assert thief.poll(ticket_id).status_code == 403


def test_of_many_at_once_one_redeems(shop: Project, browser: Browser, ada: str) -> None:
    browser.sent(traits={"email": ada})
    token = mailed_token(browser, ada)
    others = [Browser(shop, origin=ORIGIN) for _ in range(6)]

    answers = at_once(*[lambda other=other: redeem(other, token) for other in others])

    assert sorted(answer["status"] for answer in answers) == ["success"] + ["used"] * 5


def test_a_token_ends_after_an_hour(browser: Browser, ticket_id: str, ada: str) -> None:
    token = mailed_token(browser, ada)
    earlier = timezone.now() - timedelta(minutes=61)
    Restore.objects.filter(email=ada).update(created_at=earlier, sent_at=earlier)

    assert redeem(browser, token) == {"status": "expired"}


def test_redeeming_one_burns_the_others(browser: Browser, ticket_id: str, ada: str) -> None:
    first, second = mailed_token(browser, ada), mailed_token(browser, ada)

    assert redeem(browser, second)["status"] == "success"
    assert redeem(browser, first) == {"status": "used"}


def test_two_tokens_of_an_address_at_once_do_not_wait_for_each_other(
    shop: Project, browser: Browser, ticket_id: str, ada: str
) -> None:
    tokens = [mailed_token(browser, ada) for _ in range(3)]

    answers = at_once(
        *[lambda token=token: redeem(Browser(shop, origin=ORIGIN), token) for token in tokens]
    )

    assert sorted(answer["status"] for answer in answers) == ["success", "used", "used"]


@pytest.mark.parametrize("token", ["nonsense", "caf\u00e9", "x" * 200])
def test_an_unknown_token_is_invalid(browser: Browser, token: str) -> None:
    assert redeem(browser, token) == {"status": "invalid"}


def test_a_token_is_for_its_project_alone(
    neighbour: Project, browser: Browser, ticket_id: str, ada: str
) -> None:
    token = mailed_token(browser, ada)

    assert redeem(Browser(neighbour), token) == {"status": "invalid"}


def test_old_wishes_are_forgotten(browser: Browser, ada: str) -> None:
    ask(browser, ada)
    run_jobs()
    Restore.objects.filter(email=ada).update(created_at=timezone.now() - timedelta(days=8))

    enqueue(prune_restores)
    run_jobs()

    assert not Restore.objects.filter(email=ada).exists()


def test_an_erased_person_leaves_no_wish(
    shop: Project, client_for: ClientFor, browser: Browser, ada: str
) -> None:
    ask(browser, ada)
    persons = client_for(shop, "person:write")
    url = f"/api/projects/{shop.pk}/persons"
    person = persons.post(url, {"distinct_ids": ["a"], "properties": {"email": ada}}).json()

    persons.delete(f"{url}/{person['id']}")

    assert not Restore.objects.filter(email=ada).exists()


# --- Where a link may lead ---------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        (ORIGIN, "https://evil.example.com/"),
        (ORIGIN, "http://shop.example.com/"),
        (ORIGIN, "https://shop.example.com:8443/"),
        (ORIGIN, "https://shop.example.com@evil.example.com/"),
        (ORIGIN, "https://evil.example.com\\@shop.example.com/"),
        (ORIGIN, "https://evil.example.com#@shop.example.com/"),
        (ORIGIN, "//shop.example.com/"),
        (ORIGIN, "javascript:alert(1)//shop.example.com"),
        (ORIGIN, "https://shop.example.com /"),
        (ORIGIN, "https://["),
        ("https://evil.example.com", "https://evil.example.com/"),
        ("https://evil.example.com", PAGE),
        ("null", PAGE),
        (None, PAGE),
    ],
)
def test_a_link_leads_to_no_foreign_page(
    shop: Project, ada: str, origin: str | None, page: str
) -> None:
    Browser(shop, origin=ORIGIN).sent(traits={"email": ada})
    attacker = Browser(shop, **({"origin": origin} if origin else {}))

    assert ask(attacker, ada, page).status_code == 403
    assert mails_to(ada) == []


def test_without_domains_nothing_can_be_restored(project: Project) -> None:
    browser = Browser(project, origin=ORIGIN)

    assert ask(browser, "ada@example.com").status_code == 403


@pytest.mark.parametrize("path", ["/admin/", "/demo/x", "/"])
def test_a_link_leads_to_no_other_page_of_the_service(
    project: Project, settings: Any, path: str
) -> None:
    settings.DEMO_PROJECT = project.pk
    browser = Browser(project, origin="http://testserver")

    assert ask(browser, "ada@example.com", f"http://testserver{path}").status_code == 403


def test_the_demo_page_is_for_the_demos_project_alone(project: Project) -> None:
    browser = Browser(project, origin="http://testserver")

    assert ask(browser, "ada@example.com", "http://testserver/demo").status_code == 403


def test_from_the_services_own_demo_page_it_can(project: Project, settings: Any) -> None:
    settings.DEMO_PROJECT = project.pk
    address = f"demo-{project.pk}@example.com"
    browser = Browser(project, origin="http://testserver")
    browser.sent(traits={"email": address})

    assert ask(browser, address, "http://testserver/demo").status_code == 200
    assert mails_to(address)


def test_where_restoring_is_off_it_is_a_403(shop: Project, browser: Browser, ada: str) -> None:
    shop.widget_restore_enabled = False
    shop.save()

    assert ask(browser, ada).status_code == 403


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"email": "nope", "request_url": PAGE}, "email"),
        ({"request_url": PAGE}, "email"),
        ({"email": "ada@example.com"}, "request_url"),
        ({"email": "ada@example.com", "request_url": "https://x/" + "x" * 2000}, "request_url"),
    ],
    ids=["no address", "none", "no page", "a long page"],
)
def test_a_wrong_wish_is_named(browser: Browser, body: dict[str, Any], attr: str) -> None:
    response = browser.post(f"{WIDGET}/restore/request", body)

    assert response.status_code == 400
    assert attr in response.json()["details"]


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"widget_session_id": str(uuid.UUID(int=7))}, "restore_token"),
        ({"restore_token": "x"}, "widget_session_id"),
        ({"restore_token": "x", "widget_session_id": "7"}, "widget_session_id"),
    ],
    ids=["no token", "no session", "no UUID"],
)
def test_a_wrong_redemption_is_named(browser: Browser, body: dict[str, Any], attr: str) -> None:
    response = browser.post(f"{WIDGET}/restore", body)

    assert response.status_code == 400
    assert attr in response.json()["details"]


def test_a_restored_session_does_not_speak_as_a_verified_customer(
    shop: Project, browser: Browser, ada: str, reader: ApiClient, tickets_url: str
) -> None:
    """The address is what the customer typed, perhaps with a mistake."""
    ticket_id = Browser(shop, "vip", origin=ORIGIN).sent(traits={"email": ada})["ticket_id"]

    redeem(browser, mailed_token(browser, ada))
    browser.sent("Hi", ticket_id=ticket_id)

    ticket = reader.get(f"{tickets_url}/{ticket_id}").json()
    assert ticket["identity_verified"] is False


@pytest.mark.parametrize("identity", ["mallory", None])
def test_who_typed_anothers_address_reads_there_no_more(
    shop: Project, browser: Browser, ada: str, identity: str | None
) -> None:
    mallory = Browser(shop, identity, origin=ORIGIN)
    ticket_id = mallory.sent(traits={"email": ada}, distinct_id="mallory")["ticket_id"]
    mallory.news(ticket_id)
    mallory.tickets()

    redeem(browser, mailed_token(browser, ada))
    browser.sent("My secret", ticket_id=ticket_id)

    for thief in (mallory, Browser(shop, "mallory", origin=ORIGIN)):
        assert thief.poll(ticket_id).status_code == 403
        assert thief.tickets().json()["count"] == 0


@pytest.mark.parametrize("origin", ["http://127.0.0.1:99999", "https://shop.example.com:x"])
def test_an_origin_that_is_none_is_a_403(shop: Project, ada: str, origin: str) -> None:
    assert ask(Browser(shop, origin=origin), ada).status_code == 403


# --- Attacks -----------------------------------------------------------------


def test_somebodys_address_on_a_ticket_of_ones_own_restores_nothing_of_theirs(
    shop: Project, browser: Browser, ticket_id: str, ada: str
) -> None:
    attacker = Browser(shop, origin=ORIGIN)
    attacker.sent(traits={"email": ada})

    ask(attacker, ada)

    assert [sent.to for sent in mails_to(ada)] == [[ada]]
    assert attacker.poll(ticket_id).status_code == 403


def test_a_persons_address_is_not_looked_at(
    shop: Project, client_for: ClientFor, browser: Browser, ada: str
) -> None:
    """Only what the tickets themselves say: a person's properties may be claims."""
    evil = f"evil-{ada}"
    browser.sent(distinct_id="user_1", traits={"email": ada})
    persons = client_for(shop, "person:write")
    body = {"distinct_ids": ["user_1"], "properties": {"email": evil}}
    persons.post(f"/api/projects/{shop.pk}/persons", body)

    ask(browser, evil)

    assert mails_to(evil) == []


def test_setting_somebodys_address_by_an_event_restores_nothing_of_theirs(
    shop: Project, browser: Browser, ticket_id: str, ada: str
) -> None:
    attacker = Browser(shop, origin=ORIGIN)
    mine = attacker.sent(distinct_id="mallory")["ticket_id"]
    body = {
        "api_key": shop.public_token,
        "event": "$set",
        "distinct_id": "mallory",
        "properties": {"$set": {"email": ada}},
    }
    assert attacker.client.post("/e/", body, content_type="application/json").status_code == 200
    run_jobs()

    moved = redeem(browser, mailed_token(browser, ada))["migrated_ticket_ids"]

    assert moved == [ticket_id]
    assert attacker.poll(ticket_id).status_code == 403
    assert attacker.poll(mine).status_code == 200


def test_the_tickets_are_the_same_to_the_team(
    browser: Browser, ticket_id: str, ada: str, reader: ApiClient, tickets_url: str
) -> None:
    before = reader.get(f"{tickets_url}/{ticket_id}").json()

    redeem(browser, mailed_token(browser, ada))

    assert reader.get(f"{tickets_url}/{ticket_id}").json() == before
    assert Ticket.objects.get(pk=ticket_id).widget_session_id == uuid.UUID(browser.session_id)


def test_a_mail_that_is_refused_fails_without_naming_whom_it_was_for(
    browser: Browser, ticket_id: str, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, messages: Any) -> int:
        raise smtplib.SMTPRecipientsRefused({ada: (550, f"<{ada}> is unknown".encode())})

    monkeypatch.setattr(locmem.EmailBackend, "send_messages", refuse)
    ask(browser, ada)
    wish = Restore.objects.get(email=ada)

    with pytest.raises(restores.MailRefused) as raised:
        restores.send_link(restore_id=wish.pk)

    assert "SMTPRecipientsRefused" in str(raised.value)
    assert ada not in "".join(traceback.format_exception(raised.value))
    wish.refresh_from_db()
    assert wish.sent_at is None
    # Else the job that waits would send it after all.
    wish.delete()


def test_no_job_of_restoring_fails() -> None:
    failed = ProcrastinateJob.objects.filter(task_name="send_restore_link", status="failed")

    assert not failed.exists()
