"""What the pages of the inbox ask of PostgreSQL: as much for ten rows as for a thousand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.db import connection
from django.utils import timezone

from conversations.inbox.queue.views import MAX_VIEWS
from conversations.models import Macro, Message, SavedView, Ticket
from conversations.webhooks.verbs import add_webhook
from projects.models import ApiKey, Membership, Person, PersonDistinctId, Project, Role, User
from tests.inbox import HTMX, Browser, inbox_of, numbers_in, text_of
from tests.test_inbox_settings import staff_of

FEW, MANY = 10, 1000
PLAIN = {"tags": ["a"], "assignee": ["me"], "unread": True}
SEARCHING = {"search": "kettle", "dateFrom": "2020-01-01"}
# Session, agent, the agent's projects: of every page.
EVERY_PAGE = 3


@dataclass(frozen=True)
class Shop:
    """A project with so much of everything; `views` are the last one and one that searches."""

    project: Project
    agent: User
    views: dict[str, str]

    @property
    def inbox(self) -> str:
        return inbox_of(self.project)


@pytest.fixture(scope="module")
def few(database: None) -> Shop:
    return shop_with(FEW)


@pytest.fixture(scope="module")
def many(database: None) -> Shop:
    return shop_with(MANY)


def shop_with(rows: int) -> Shop:
    """Tickets of as many customers with names, half of them assigned; all of one by one more."""
    project = Project.objects.create(name="Shop", time_zone="Asia/Tokyo")
    agent = staff_of(project, "view", "add", "change")
    persons = Person.objects.bulk_create(
        Person(project=project, properties={"name": f"Customer {n}"}) for n in range(rows)
    )
    PersonDistinctId.objects.bulk_create(
        PersonDistinctId(project=project, person=person, distinct_id=f"customer-{n}")
        for n, person in enumerate(persons)
    )
    tickets = Ticket.objects.bulk_create(
        Ticket(
            project=project,
            ticket_number=n + 1,
            # The first has as many tickets as there are others.
            distinct_id=f"customer-{0 if n % 2 else n}",
            status="open",
            assignee_user=agent if n % 2 else None,
            unread_team_count=1,
            last_seq=rows,
        )
        for n in range(rows)
    )
    Message.objects.bulk_create(
        Message(
            project=project,
            ticket=tickets[0],
            seq=n + 1,
            author_type=("customer", "support")[n % 2],
            content="Where is my kettle?",
            created_at=timezone.now(),
        )
        for n in range(rows)
    )
    with connection.cursor() as cursor:
        cursor.execute(_WORDS, [f"{project.pk}:kettle", project.pk])
    number = min(rows, 2 * MAX_VIEWS)
    # As many of the sidebar for the few as for the many, and the last one.
    searching = {0, number - 1} if number <= MAX_VIEWS else {0, 1, number - 1}
    made = [
        SavedView.objects.create(
            project=project, name=str(n), filters=SEARCHING if n in searching else PLAIN
        )
        for n in range(number)
    ]
    agents = User.objects.bulk_create(
        User(email=f"agent-{project.pk}-{n}@example.com") for n in range(number)
    )
    Membership.objects.bulk_create(Membership(project=project, user=user) for user in agents)
    roles = [Role.objects.create(project=project, name=f"Role {n}") for n in range(min(rows, 20))]
    for n in range(min(rows, 200)):
        actions = {"assignee": {"type": "role", "id": str(roles[n % len(roles)].pk)}}
        Macro.objects.create(project=project, name=f"{n}", content="Hi", actions=actions)
    for _ in range(min(rows, 40)):
        ApiKey.issue(project=project, label="k", scopes=["*"])
        add_webhook(project_id=project.pk, url="https://example.com/hook")
    return Shop(project, agent, {"first": made[0].short_id, "last": made[-1].short_id})


_WORDS = (
    "UPDATE conversations_ticket SET search = array_to_tsvector(ARRAY[%s]) WHERE project_id = %s"
)


def cost(shop: Shop, path: str, *, as_part: bool = False) -> int:
    browser = Browser(shop.agent)
    if as_part:
        browser.client.defaults.update({"HTTP_HX_REQUEST": HTMX["HX-Request"]})
    address = shop.inbox + path.format(**shop.views)
    # The first call of a process asks for what is then kept.
    browser.queries(address)
    return len(browser.queries(address))


# --- The pages ---------------------------------------------------------------

LISTS = {
    # The saved views, whom to assign to, the rows with their number, their persons.
    "": EVERY_PAGE + 4,
    "?status=new,open,pending,on_hold&unread=true": EVERY_PAGE + 4,
    "?limit=100&offset=5": EVERY_PAGE + 4,
    # Without rows there are no persons; that there are none is asked for by itself.
    "?tags=a,b&assignee=me,unassigned&priority=high&sla=breached": EVERY_PAGE + 4,
    # The project's time zone is known.
    "?date_from=2020-01-01": EVERY_PAGE + 4,
    # Besides how many a word has.
    "?search=kettle": EVERY_PAGE + 5,
    "?view={first}": EVERY_PAGE + 5,
    # One that is not among those of the sidebar, of a thousand.
    "?view={last}": EVERY_PAGE + 5,
    "?view={last}&order_by=priority&status=open": EVERY_PAGE + 5,
    "?view={first}&emails=a@example.com&distinct_ids=customer-0": EVERY_PAGE + 5,
}


@pytest.mark.parametrize("as_part", [False, True], ids=["page", "part"])
@pytest.mark.parametrize("path", LISTS)
def test_a_list_asks_for_no_more(few: Shop, many: Shop, path: str, as_part: bool) -> None:
    asked = cost(many, path, as_part=as_part)

    assert asked == LISTS[path] <= 8
    assert asked == cost(few, path, as_part=as_part)


CONVERSATIONS = {
    # The ticket with its person, whom to assign to, their other tickets, messages, events, macros.
    ("page", "/tickets/1"): EVERY_PAGE + 6,
    ("page", "/tickets/1?since=1"): EVERY_PAGE + 6,
    ("page", "/tickets/2"): EVERY_PAGE + 6,
    # Without the macros, which stand where the agent is typing.
    ("part", "/tickets/1?since=1"): EVERY_PAGE + 5,
    # Besides what others said meanwhile.
    ("part", "/tickets/1?seen=5&since=1"): EVERY_PAGE + 6,
}


@pytest.mark.parametrize(("kind", "path"), CONVERSATIONS)
def test_a_conversation_asks_for_no_more(few: Shop, many: Shop, kind: str, path: str) -> None:
    asked = cost(many, path, as_part=kind == "part")

    assert asked == CONVERSATIONS[kind, path] <= 10
    assert asked == cost(few, path, as_part=kind == "part")


PAGES = {
    # Totals, unread, overdue, days.
    "/overview": EVERY_PAGE + 4,
    # Of the sidebar, all their numbers, and one more for each view that searches: two here.
    "/views": EVERY_PAGE + 4,
    "/settings": EVERY_PAGE,
    "/settings/widget": EVERY_PAGE,
    # What the agent may do, by themself and by groups; the keys with their number.
    "/settings/keys": EVERY_PAGE + 3,
    "/settings/webhooks": EVERY_PAGE + 1,
    # What the agent may do, by themself and by groups; agents with their number; roles, with
    # their members.
    "/settings/team": EVERY_PAGE + 5,
}


@pytest.mark.parametrize("path", PAGES)
def test_another_page_asks_for_no_more(few: Shop, many: Shop, path: str) -> None:
    asked = cost(many, path)

    assert asked == PAGES[path]
    assert asked == cost(few, path)


# --- What is counted ---------------------------------------------------------


def test_a_list_of_a_thousand_shows_all_of_them(many: Shop) -> None:
    assert len(numbers_in(Browser(many.agent).get(many.inbox, limit=MANY))) == MANY


def test_a_view_beyond_those_of_the_sidebar_is_there_as_long_as_it_is_shown(many: Shop) -> None:
    browser, last = Browser(many.agent), many.views["last"]

    for page in (
        browser.get(many.inbox, view=last),
        browser.part(f"{many.inbox}/views", current=last),
    ):
        assert text_of(page).count(f'?view={last}" aria-current') == 1
    assert f'?view={last}"' not in text_of(browser.get(many.inbox))
