"""Who may see the inbox, and what its pages are allowed to do and to cost."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from conversations.events.actors import SYSTEM
from conversations.messages.verbs import post_message
from conversations.models import Message, SavedView, Ticket
from conversations.tickets.verbs import open_ticket
from projects.models import Membership, Project, User
from projects.persons.verbs import identify
from tests.conftest import MakeTicket
from tests.inbox import Browser, agent_of, inbox_of, numbers_in, page_of, text_of
from tests.isolation import routes

LIST_QUERIES = 8
CONVERSATION_QUERIES = 10


@pytest.fixture
def agent(project: Project) -> User:
    return agent_of(project)


@pytest.fixture
def browser(agent: User) -> Browser:
    return Browser(agent)


def pages(project: Project, ticket: Any) -> list[str]:
    return [inbox_of(project), f"{inbox_of(project)}/views", page_of(project, ticket)]


def forms(project: Project, ticket: Any) -> list[str]:
    page = page_of(project, ticket)
    message = Message.objects.get(ticket_id=ticket["id"])
    return [
        inbox_of(project),
        f"{inbox_of(project)}/bulk",
        f"{page}/messages/{message.pk}",
        *[f"{page}/{act}" for act in ACTS],
    ]


ACTS = ("reply", "change", "read", "unread")
PROJECT = "<int:project_id>"


# --- Who may -----------------------------------------------------------------


def test_whoever_is_not_signed_in_is_led_to_the_form_and_back(project: Project) -> None:
    response = Browser().get(f"/inbox/{project.pk}?status=new")

    assert response.status_code == 302
    assert response.headers["Location"] == f"/login?next=/inbox/{project.pk}%3Fstatus%3Dnew"


def test_a_part_of_a_page_is_not_replaced_by_the_form_to_sign_in(project: Project) -> None:
    here = f"http://testserver/inbox/{project.pk}?status=new"
    response = Client().get(
        f"/inbox/{project.pk}", headers={"HX-Request": "true", "HX-Current-URL": here}
    )

    assert response.headers["HX-Redirect"] == f"/login?next=/inbox/{project.pk}%3Fstatus%3Dnew"
    assert response.content == b""


def test_an_address_that_is_none_does_not_keep_anybody_from_signing_in(project: Project) -> None:
    response = Client(raise_request_exception=False).get(
        f"/inbox/{project.pk}", headers={"HX-Request": "true", "HX-Current-URL": "http://[evil"}
    )

    assert response.headers["HX-Redirect"] == f"/login?next=/inbox/{project.pk}"


def test_who_had_to_sign_in_to_send_a_form_comes_back_to_its_page(
    agent: User, project: Project, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(message="Hi")
    for form in forms(project, ticket):
        led = Browser().post(f"{form}?status=new" if form.endswith("/bulk") else form)
        back = parse_qs(urlsplit(led.headers["Location"]).query)["next"][0]

        page = Browser(agent).client.get(back, follow=True)

        assert page.status_code == 200
        assert page.wsgi_request.get_full_path() in {
            inbox_of(project),
            f"{inbox_of(project)}?status=new",
            page_of(project, ticket),
        }


# Every page and form of a project, those included that are made after this test.
ROUTES = [route.path for route in routes() if route.path.startswith("inbox/")]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_foreign_project_is_refused_like_one_that_is_not_there(
    browser: Browser, neighbour: Project, route: str, method: str
) -> None:
    assert PROJECT in route
    foreign, missing = (
        getattr(browser, method)("/" + re.sub("<[^>]*>", "1", route.replace(PROJECT, str(named))))
        for named in (neighbour.pk, 2**62)
    )

    assert (foreign.status_code, missing.status_code) == (403, 403)
    assert foreign.content == missing.content


def test_who_leaves_the_project_sees_nothing_of_it_any_more(
    browser: Browser, agent: User, project: Project
) -> None:
    assert browser.get(inbox_of(project)).status_code == 200

    Membership.objects.filter(user=agent).delete()

    assert browser.get(inbox_of(project)).status_code == 403


def test_a_ticket_of_another_project_is_not_found_by_its_number(
    browser: Browser, project: Project, neighbour: Project
) -> None:
    neighbour.last_ticket_number = 500
    neighbour.save()
    ticket = open_ticket(project_id=neighbour.pk, actor=SYSTEM, message="Theirs")

    page = page_of(project, {"ticket_number": ticket.ticket_number})
    answers = [browser.get(page), *[browser.post(f"{page}/{act}") for act in ACTS]]

    assert {answer.status_code for answer in answers} == {404}


def test_bulk_leaves_tickets_of_other_projects_alone(
    browser: Browser, project: Project, neighbour: Project
) -> None:
    theirs = open_ticket(project_id=neighbour.pk, actor=SYSTEM, message="Theirs")

    bulk = f"{inbox_of(project)}/bulk"
    browser.post(bulk, ids=[str(theirs.pk)], act="status", status="resolved")

    assert Ticket.objects.get(pk=theirs.pk).status == "new"


def test_an_api_key_opens_no_page(project: Project, key: str) -> None:
    response = Client().get(inbox_of(project), headers={"authorization": f"Bearer {key}"})

    assert response.status_code == 302


# For each of the forms an action that would change something.
FORM_ACTS = ("keep", "status", "delete", *["" for _ in ACTS])


def send_form(browser: Browser, project: Project, ticket: Any, number: int) -> Any:
    return browser.post(
        forms(project, ticket)[number],
        message="x",
        seen="1",
        version="1",
        status="open",
        ids=ticket["id"],
        act=FORM_ACTS[number],
        name="One",
    )


def what_forms_change(project: Project, ticket: Any) -> list[Any]:
    [stored] = Ticket.objects.filter(pk=ticket["id"]).values()
    views = list(SavedView.objects.filter(project=project))
    return [stored, Message.objects.get(ticket_id=ticket["id"]).deleted_at, views]


@pytest.mark.parametrize("number", range(len(FORM_ACTS)))
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_no_form_is_taken_without_its_token_or_without_signing_in(
    agent: User, project: Project, make_ticket: MakeTicket, number: int, is_signed_in: bool
) -> None:
    ticket = make_ticket(message="Hi")
    before = what_forms_change(project, ticket)
    browser = Browser(agent, csrf=True) if is_signed_in else Browser()

    response = send_form(browser, project, ticket, number)

    assert response.status_code == (403 if is_signed_in else 302)
    assert is_signed_in or response.headers["Location"].startswith("/login?next=/inbox/")
    assert what_forms_change(project, ticket) == before


def test_the_one_project_of_an_agent_is_where_the_inbox_leads(
    browser: Browser, project: Project
) -> None:
    response = browser.get("/inbox")

    unresolved = "status=new,open,pending,on_hold&snoozed=false"
    assert response.headers["Location"] == f"/inbox/{project.pk}?{unresolved}"


def test_an_agent_of_several_projects_chooses(
    browser: Browser, agent: User, neighbour: Project, project: Project
) -> None:
    Membership.objects.create(project=neighbour, user=agent)

    page = text_of(browser.get("/inbox"))

    assert f'href="/inbox/{project.pk}?' in page
    assert f'href="/inbox/{neighbour.pk}?' in page


def test_an_agent_of_no_project_is_told_so() -> None:
    agent = User.objects.create_user(email="alone@example.com")

    assert "agent of no project" in text_of(Browser(agent).get("/inbox"))


# --- What there is not -------------------------------------------------------


def test_a_page_that_there_is_not_says_so_and_leads_back(
    browser: Browser, project: Project, neighbour: Project
) -> None:
    here = inbox_of(project)
    for address, status, told in (
        (inbox_of(neighbour), 403, "This is not for you"),
        (f"{here}/tickets/999", 404, "There is no such ticket."),
        (f"{here}/nonsense", 404, "There is nothing here"),
        ("/inbox/nonsense", 404, "There is nothing here"),
        (f"{here}/overview?days=7", 400, "<code>days</code>: There is no such parameter."),
    ):
        page = browser.get(address)

        assert page.status_code == status
        assert told in text_of(page)
        assert 'href="/inbox"' in text_of(page)
        assert "inbox/inbox.css" in text_of(page)
        assert page.headers["Cache-Control"] == "private, no-store"


def test_what_was_sent_with_an_old_token_is_said_to_be_so(agent: User, project: Project) -> None:
    page = Browser(agent, csrf=True).post(inbox_of(project), act="keep")

    assert page.status_code == 403
    assert "send the form once more" in text_of(page)
    assert page.headers["Cache-Control"] == "private, no-store"


def test_where_nobody_is_of_the_inbox_pages_are_as_they_were(browser: Browser) -> None:
    assert "inbox.css" not in text_of(browser.get("/nonsense"))
    assert browser.get("/api/nonsense").json()["code"] == "not_found"


@pytest.mark.parametrize(
    "below", ["/overview", "/settings", "/settings/widget", "/settings/webhooks", "/views"]
)
def test_a_page_takes_no_parameter_that_it_does_not_know(
    browser: Browser, project: Project, below: str
) -> None:
    assert browser.get(f"{inbox_of(project)}{below}", utm="1").status_code == 400


def test_a_redirect_is_kept_by_no_cache_either(browser: Browser, project: Project) -> None:
    for led in (
        browser.get("/inbox"),
        Browser().get(inbox_of(project)),
        Browser().part(inbox_of(project)),
        browser.get(f"{inbox_of(project)}/bulk"),
    ):
        assert led.headers["Cache-Control"] == "private, no-store"


# --- What a page may do ------------------------------------------------------


def test_nothing_of_a_page_is_kept_by_a_cache_or_runs_in_the_page(
    browser: Browser, project: Project, make_ticket: MakeTicket
) -> None:
    for page in pages(project, make_ticket(message="Hi")):
        response = browser.get(page)

        assert response.headers["Cache-Control"] == "private, no-store"
        assert "'unsafe" not in response.headers["Content-Security-Policy"]
        for inline in (" style=", " onclick=", "<style", "<script>", "javascript:", "hx-on"):
            assert inline not in text_of(response)


# --- What it costs -----------------------------------------------------------


def fill(project: Project, agent: User, tickets: int) -> None:
    """Tickets of as many customers, all of them assigned, and some by name."""
    for number in range(tickets):
        name = f"customer-{number}"
        identify(project_id=project.pk, distinct_ids=[name], properties={"name": name})
        ticket = open_ticket(
            project_id=project.pk,
            actor=SYSTEM,
            message="Hi",
            distinct_id=name,
            tags=["a", "b"],
        )
        Ticket.objects.filter(pk=ticket.pk).update(assignee_user=agent)


def test_a_list_costs_the_same_for_any_number_of_tickets(
    browser: Browser, project: Project, agent: User
) -> None:
    SavedView.objects.create(project=project, name="All", filters={})
    fill(project, agent, 10)
    few = browser.queries(inbox_of(project))
    fill(project, agent, 100)

    many = browser.queries(inbox_of(project))

    # With a view that it was made from, which is not in the sidebar.
    elsewhere = browser.queries(f"{inbox_of(project)}?status=new&from_view=elsewhere")
    assert len(elsewhere) == len(many) + 1 <= LIST_QUERIES

    # Session, agent, projects, views, whom to assign to, the page, its persons.
    assert len(few) == len(many) <= LIST_QUERIES
    assert len(numbers_in(browser.get(inbox_of(project)))) == 100


def test_the_numbers_of_all_saved_views_are_one_query(
    browser: Browser, project: Project, agent: User
) -> None:
    fill(project, agent, 3)
    address = f"{inbox_of(project)}/views"
    SavedView.objects.create(project=project, name="One", filters={"status": ["new"]})
    one = browser.queries(address)
    for number in range(10):
        filters = {"tags": ["a"], "unread": True, "assignee": ["me"]}
        SavedView.objects.create(project=project, name=f"View {number}", filters=filters)

    assert len(browser.queries(address)) == len(one)


def test_a_conversation_costs_the_same_for_any_number_of_messages(
    browser: Browser, project: Project, agent: User, make_ticket: MakeTicket
) -> None:
    fill(project, agent, 1)
    [ticket] = Ticket.objects.in_project(project.pk)
    page = page_of(project, {"ticket_number": ticket.ticket_number})
    few = browser.queries(page)
    for _ in range(60):
        post_message(ticket=ticket, actor=SYSTEM, author_type="customer", content="Again")
    for _ in range(12):
        open_ticket(project_id=project.pk, actor=SYSTEM, message="x", distinct_id="customer-0")

    many = browser.queries(page)

    # Session, agent, projects, ticket, person, whom to assign to, their other tickets,
    # messages, events, macros.
    assert len(few) == len(many) <= CONVERSATION_QUERIES
