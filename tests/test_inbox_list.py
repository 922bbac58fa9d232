"""The list of the inbox: the API's filters as an address and as controls, and bulk changes."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from conversations.models import SavedView, Ticket
from projects.models import Project, Role, User
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.inbox import Browser, agent_of, inbox_of, numbers_in, text_of


@pytest.fixture
def agent(project: Project) -> User:
    return agent_of(project)


@pytest.fixture
def browser(agent: User) -> Browser:
    return Browser(agent)


@pytest.fixture
def inbox(project: Project) -> str:
    return inbox_of(project)


# --- The address -------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"status": "resolved"},
        {"status": ["resolved", "open"]},
        {"priority": "none"},
        {"assignee": "me"},
        {"assignee": "unassigned"},
        {"tags": "delivery"},
        {"tags_exclude": "delivery"},
        {"channel_source": "email"},
        {"sla": "breached"},
        {"snoozed": "true"},
        {"unread": "true"},
        {"search": "kettle"},
        {"order_by": "ticket_number"},
        {"created_from": "-1d", "date_to": "2000-01-01"},
    ],
    ids=str,
)
def test_an_address_shows_what_the_api_lists_for_the_same_parameters(
    browser: Browser,
    agent: User,
    inbox: str,
    tickets_url: str,
    make_ticket: MakeTicket,
    query: dict[str, Any],
) -> None:
    soon, ago = timezone.now() + timedelta(hours=5), timezone.now() - timedelta(hours=5)
    make_ticket(message="Where is my kettle?")
    make_ticket(status="resolved", tags=["delivery"], priority="high")
    make_ticket(status="open", assignee={"type": "user", "id": agent.pk})
    make_ticket(sla_due_at=ago.isoformat(), snoozed_until=soon.isoformat())

    page = browser.get(inbox, **query)

    as_in_the_api = {
        name: ",".join(value) if isinstance(value, list) else value for name, value in query.items()
    }
    listed = browser.get(tickets_url, **as_in_the_api).json()["results"]
    assert numbers_in(page) == [ticket["ticket_number"] for ticket in listed]
    assert len(listed) < 4 or "order_by" in query


def test_controls_show_what_the_address_says(browser: Browser, inbox: str) -> None:
    page = text_of(
        browser.get(f"{inbox}?status=new,open&unread=true&tags=a%2Cb&order_by=-priority")
    )

    assert re.findall(r'name="status" value="(\w+)" checked', page) == ["new", "open"]
    assert re.findall(r'<option value="(\S+)" selected', page)[:2] == ["true", "-priority"]
    assert 'name="tags" value="a,b"' in page


@pytest.mark.parametrize(
    ("tags", "typed"),
    [(["a", "b c"], "a, b c"), (["a,b"], '["a,b"]'), (["[a]", "b"], '["[a]", "b"]')],
)
def test_tags_of_a_view_are_shown_as_they_would_be_typed(
    browser: Browser, project: Project, inbox: str, tags: list[str], typed: str
) -> None:
    view = SavedView.objects.create(project=project, name="One", filters={"tags": tags})

    assert f'name="tags" value="{typed}"' in text_of(browser.get(inbox, view=view.short_id))


@pytest.mark.parametrize("name", ["Unresolved", "Unread", "Mine", "Unassigned"])
def test_what_is_snoozed_is_put_aside(
    browser: Browser, agent: User, inbox: str, make_ticket: MakeTicket, name: str
) -> None:
    later = (timezone.now() + timedelta(hours=5)).isoformat()
    whose = {"type": "user", "id": agent.pk} if name == "Mine" else None
    for until in (None, later):
        make_ticket(message="Hi", assignee=whose, snoozed_until=until)
    [address] = re.findall(rf'href="(\S+)"[^>]*>{name}<', text_of(browser.get(inbox)))

    assert numbers_in(browser.get(address)) == [1]


def test_a_project_without_tickets_is_not_said_to_be_filtered(
    browser: Browser, inbox: str, make_ticket: MakeTicket
) -> None:
    assert "No tickets yet." in text_of(browser.get(f"{inbox}?status=open"))

    make_ticket(status="new")

    assert "nothing here, by these filters" in text_of(browser.get(f"{inbox}?status=open"))


def test_a_value_that_no_control_offers_is_kept_by_it(browser: Browser, inbox: str) -> None:
    page = text_of(browser.get(f"{inbox}?assignee=me,unassigned"))

    assert '<option value="me,unassigned" selected' in page


@pytest.mark.parametrize(
    ("query", "is_offered"),
    [
        ("search=kettle&status=open", True),
        ("search=kettle&order_by=created_at&limit=5", False),
        ("status=open", False),
    ],
)
def test_a_search_among_some_tickets_offers_all_of_them(
    browser: Browser, inbox: str, query: str, is_offered: bool
) -> None:
    offered = f'href="{inbox}?search=kettle">Search all tickets'

    assert (offered in text_of(browser.get(f"{inbox}?{query}"))) is is_offered


def test_empty_controls_ask_for_nothing(
    browser: Browser, inbox: str, make_ticket: MakeTicket
) -> None:
    make_ticket()

    page = browser.get(f"{inbox}?status=&search=&assignee=&order_by=")

    assert page.status_code == 200
    assert len(numbers_in(page)) == 1


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"sla": "opne"}, 'Deadline: "opne" is not a valid choice.'),
        ({"tags": "x" * 201}, "Tags: Ensure this field has no more than 200 characters."),
        ({"search": "!?"}, "Search: There is no word in it"),
        ({"nonsense": "1"}, "There is no such parameter."),
        ({"view": "gone"}, "There is no such view."),
        ({"cursor": "x"}, "not a cursor"),
        ({"date_from": "soon"}, "Changed from: Neither a date"),
    ],
    ids=str,
)
def test_what_is_wrong_with_an_address_is_said_and_nothing_is_listed(
    browser: Browser, inbox: str, make_ticket: MakeTicket, query: dict[str, str], told: str
) -> None:
    make_ticket()

    page = browser.get(inbox, **query)

    assert page.status_code == 400
    assert told in text_of(page)
    assert numbers_in(page) == []


def test_a_view_shows_its_filters_and_what_it_lists(
    browser: Browser, project: Project, inbox: str, make_ticket: MakeTicket
) -> None:
    make_ticket(status="open")
    make_ticket(status="resolved")
    view = SavedView.objects.create(
        project=project, name="Done <b>", filters={"status": ["resolved"]}
    )

    page = browser.get(inbox, view=view.short_id)

    assert numbers_in(page) == [2]
    assert re.findall(r'name="status" value="(\w+)" checked', text_of(page)) == ["resolved"]
    assert b"Done &lt;b&gt;" in page.content


def test_the_numbers_of_views_are_parts_of_the_unread_count(
    browser: Browser, project: Project, inbox: str, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Hi", tags=["a"])
    make_ticket(message="Hi", tags=["b"])
    make_ticket(message="Hi", tags=["a"], status="resolved")
    for name, tags in (("One", ["a"]), ("Both", ["a", "b"]), ("None", ["c"])):
        SavedView.objects.create(project=project, name=name, filters={"tags": tags})

    page = text_of(browser.part(f"{inbox}/views"))

    numbers = re.findall(r"<bdi>(\w+)</bdi>(?:<span class=\"number\">(\d+))?", page)
    assert numbers == [("One", "1"), ("Both", "2"), ("None", "")]


def test_pages_lead_through_all_tickets_and_back(
    browser: Browser, inbox: str, make_ticket: MakeTicket
) -> None:
    for _ in range(5):
        make_ticket()
    seen, address = [], f"{inbox}?limit=2&order_by=ticket_number"
    for _ in range(3):
        page = browser.get(address)
        seen.append(numbers_in(page))
        following = re.search(r'href="([^"]*)" rel="next"', text_of(page))
        address = following[1] if following else ""

    assert seen == [[1, 2], [3, 4], [5]]
    assert address == ""
    before = re.search(r'href="([^"]*)" rel="prev"', text_of(page))
    assert before is not None
    assert numbers_in(browser.get(before[1])) == [3, 4]


def test_a_filter_that_was_changed_is_put_into_the_address(browser: Browser, inbox: str) -> None:
    answer = browser.client.get(
        f"{inbox}?status=new&status=open&search=",
        headers={"HX-Request": "true", "HX-Trigger": "filters"},
    )

    assert answer.headers["HX-Push-Url"] == f"{inbox}?status=new,open"
    assert "<html" not in text_of(answer)


def test_a_refresh_leaves_the_address_alone(browser: Browser, inbox: str) -> None:
    answer = browser.client.get(inbox, headers={"HX-Request": "true", "HX-Trigger": "refresh"})

    assert "HX-Push-Url" not in answer.headers


# --- A row -------------------------------------------------------------------


def test_what_customers_say_is_text(browser: Browser, inbox: str, make_ticket: MakeTicket) -> None:
    evil = "<script>alert(1)</script>"
    make_ticket(message=evil, email_subject=evil, anonymous_traits={"name": evil}, tags=[evil])

    page = browser.get(inbox).content

    assert b"<script>alert" not in page
    assert page.count(b"&lt;script&gt;") >= 4


def test_a_time_is_in_the_projects_zone_and_for_machines_besides(
    browser: Browser, project: Project, inbox: str, make_ticket: MakeTicket
) -> None:
    project.time_zone = "Asia/Kolkata"
    project.save()
    ticket = make_ticket(message="Hi")
    at = "2024-01-31T20:00:00+00:00"
    Ticket.objects.filter(pk=ticket["id"]).update(last_message_at=at)

    page = text_of(browser.get(inbox))

    assert f'<time datetime="{at}" title="Thursday, 1 February 2024, 01:30:00 IST">' in page
    assert ">1 Feb 2024</time>" in page


@pytest.mark.parametrize(
    ("hours", "status", "shown"),
    [
        (-1, "open", "overdue"),
        (0.5, "open", "due soon"),
        (30, "open", "due "),
        (-1, "resolved", None),
    ],
)
def test_a_row_says_how_its_deadline_stands(
    browser: Browser,
    inbox: str,
    make_ticket: MakeTicket,
    hours: float,
    status: str,
    shown: str | None,
) -> None:
    due = timezone.now() + timedelta(hours=hours)
    make_ticket(sla_due_at=due.isoformat(), status=status)

    chips = re.findall(r'<span class="chip sla [\w-]+">([^<]*)', text_of(browser.get(inbox)))

    assert chips == ([] if shown is None else [shown])


# --- Many at once ------------------------------------------------------------


def test_many_get_a_status(browser: Browser, inbox: str, make_ticket: MakeTicket) -> None:
    tickets = [make_ticket() for _ in range(3)]
    ids = [ticket["id"] for ticket in tickets[:2]]

    answer = browser.post_part(f"{inbox}/bulk?status=new", ids=ids, act="status", status="pending")

    assert "2 of 2 tickets changed." in text_of(answer)
    # The list that the address asks for, as it is now.
    assert numbers_in(answer) == [3]


def test_many_get_tags_and_lose_them(
    browser: Browser, inbox: str, reader: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ids = [make_ticket(tags=["a"])["id"] for _ in range(2)]

    browser.post(f"{inbox}/bulk", ids=ids, act="add", tags="B, c")
    browser.post(f"{inbox}/bulk", ids=ids[:1], act="remove", tags="a,c")

    tags = [
        ticket["tags"]
        for ticket in reader.get(tickets_url, order_by="ticket_number").json()["results"]
    ]
    assert tags == [["b"], ["a", "b", "c"]]


def test_many_are_assigned_to_an_agent_a_role_or_nobody(
    browser: Browser, agent: User, project: Project, inbox: str, make_ticket: MakeTicket
) -> None:
    role = Role.objects.create(project=project, name="Billing")
    ticket = Ticket.objects.get(pk=make_ticket()["id"])
    assigned = []
    for whom in (f"user:{agent.pk}", f"role:{role.pk}", "unassigned"):
        browser.post(f"{inbox}/bulk", ids=[str(ticket.pk)], act="assign", assignee=whom)
        ticket.refresh_from_db()
        assigned.append((ticket.assignee_user_id, ticket.assignee_role_id))

    assert assigned == [(agent.pk, None), (None, role.pk), (None, None)]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"act": "status", "status": "opne"}, '"opne" is not a valid choice.'),
        ({"act": "add", "tags": " , "}, "Which tags?"),
        ({"act": "add", "tags": "x" * 201}, "no more than 200 characters"),
        ({"act": "assign", "assignee": "user:0"}, "user is not a member of this project"),
        ({"act": "assign", "assignee": "nonsense"}, "type must be 'user' or 'role'"),
        ({"act": "explode"}, "There is no such action."),
    ],
    ids=str,
)
def test_what_can_not_be_done_is_said_with_the_selection_and_the_text_kept(
    browser: Browser, inbox: str, make_ticket: MakeTicket, form: dict[str, str], told: str
) -> None:
    ticket = make_ticket()

    answer = browser.post_part(f"{inbox}/bulk", ids=[ticket["id"]], **form)

    assert answer.status_code == 400
    assert told in text_of(answer)
    assert f'value="{ticket["id"]}" checked' in text_of(answer)
    assert f'value="{form.get("tags", "")}"' in text_of(answer)
    assert Ticket.objects.get(pk=ticket["id"]).version == 1


def test_more_than_can_be_changed_at_once_is_said_to_be_too_many(
    browser: Browser, inbox: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket()
    ids = [ticket["id"], *(str(uuid4()) for _ in range(900))]

    answer = browser.post(f"{inbox}/bulk", ids=ids, act="status", status="open")

    assert answer.status_code == 400
    assert "no more than 500" in text_of(answer)
    assert numbers_in(answer) == [1]
    assert "Up to 500 tickets at once." in text_of(browser.get(inbox))


def test_what_is_a_part_of_a_page_says_so(browser: Browser, inbox: str) -> None:
    assert browser.part(inbox).headers["X-Inbox"] == "page"
    assert browser.post_part(f"{inbox}/bulk", act="explode").headers["X-Inbox"] == "page"
    assert "X-Inbox" not in browser.part(f"{inbox}/tickets/1").headers


def test_without_javascript_a_bulk_change_leads_back_to_the_same_list(
    browser: Browser, inbox: str, make_ticket: MakeTicket
) -> None:
    answer = browser.post(
        f"{inbox}/bulk?status=new", ids=[make_ticket()["id"]], act="status", status="open"
    )

    assert (answer.status_code, answer.headers["Location"]) == (302, f"{inbox}?status=new")


@pytest.mark.parametrize("query", ["cursor=bad", "status=opne", "x=1", "search=a&search=b"])
@pytest.mark.parametrize("how", ["post", "post_part"])
def test_nothing_is_changed_from_a_list_that_is_refused(
    browser: Browser, inbox: str, make_ticket: MakeTicket, query: str, how: str
) -> None:
    ticket = make_ticket()
    form = {"ids": [ticket["id"]], "act": "status", "status": "open"}

    answer = getattr(browser, how)(f"{inbox}/bulk?{query}", **form)

    assert answer.status_code == 400
    assert "The list asks for what there is not" in text_of(answer)
    assert Ticket.objects.get(pk=ticket["id"]).status == "new"


def test_a_parameter_that_is_given_twice_and_is_no_list_is_refused_as_by_the_api(
    browser: Browser, inbox: str, tickets_url: str
) -> None:
    query = "search=a&search=b&status=new&status=open"

    answer = browser.get(f"{inbox}?{query}")

    assert answer.status_code == browser.get(f"{tickets_url}?{query}").status_code == 400
    assert "Search: The parameter is given more than once." in text_of(answer)


# --- Saved views -------------------------------------------------------------


def keep(page: Any) -> str:
    """The part of a list that is about saved views."""
    [part] = re.findall(r'<div id="keep".*?\n</div>', text_of(page), re.DOTALL)
    return str(part)


def acts(page: Any) -> list[str]:
    return re.findall(r'name="act" value="(\w+)"', keep(page))


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("status=new,%20open&unread=true", {"status": ["new", "open"], "unread": True}),
        ("status=new&cursor=&offset=5&limit=5", {"status": ["new"]}),
        ("priority=none,high&snoozed=false", {"priority": ["none", "high"], "snoozed": False}),
        ("assignee=me,user:7", {"assignee": ["me", "user:7"]}),
        ("tags=a,b&tags_exclude=c", {"tags": ["a", "b"], "tagsExclude": ["c"]}),
        ('tags_all=["a,b"]', {"tags": ["a,b"], "tagsMatch": "all"}),
        ("search=my+kettle&sla=breached", {"search": "my kettle", "sla": "breached"}),
        ("channel_source=email&date_from=-7d", {"channel": "email", "dateFrom": "-7d"}),
        (
            "date_to=2026-01-31&order_by=-priority",
            {"dateTo": "2026-01-31", "sorting": {"columnKey": "priority", "order": -1}},
        ),
        ("status=new&order_by=-updated_at", {"status": ["new"]}),
    ],
)
def test_a_list_is_kept_as_a_view_that_lists_the_same(
    browser: Browser, agent: User, project: Project, inbox: str, query: str, filters: dict[str, Any]
) -> None:
    answer = browser.post(f"{inbox}?{query}", act="keep", name=" Kettles ")

    view = SavedView.objects.get(project=project)
    assert (view.name, view.filters, view.created_by) == ("Kettles", filters, agent)
    assert (answer.status_code, answer.headers["Location"]) == (
        302,
        f"{inbox}?view={view.short_id}",
    )
    shown = browser.get(answer.headers["Location"])
    assert "Saved as a view." in text_of(shown)
    # It is what it says, so that there is nothing to save of it.
    assert acts(shown) == ["rename", "delete"]


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        ("", []),
        ("order_by=-updated_at&limit=5", []),
        ("status=new", ["keep"]),
        ("order_by=created_at", ["keep"]),
        # As the saved view has it, in other words.
        ("status=pending,open", []),
        ("status=open", ["keep"]),
        ("sla=opne", []),
    ],
)
def test_a_list_can_be_kept_that_is_not_a_view_already(
    browser: Browser, project: Project, inbox: str, query: str, offered: list[str]
) -> None:
    SavedView.objects.create(project=project, name="One", filters={"status": ["open", "pending"]})

    assert acts(browser.get(f"{inbox}?{query}")) == offered


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "may not be blank"),
        ("  ", "may not be blank"),
        ("x" * 201, "no more than 200 characters"),
    ],
)
@pytest.mark.parametrize("act", ["keep", "rename"])
def test_a_name_that_a_view_can_not_have_is_told_beside_it_and_kept(
    browser: Browser, project: Project, inbox: str, act: str, name: str, told: str
) -> None:
    view = SavedView.objects.create(project=project, name="One", filters={})

    answer = browser.post(f"{inbox}?view={view.short_id}&status=open", act=act, name=name)

    assert answer.status_code == 400
    assert told in keep(answer)
    assert f'name="name" value="{name}"' in keep(answer)
    assert [one.name for one in SavedView.objects.filter(project=project)] == ["One"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("status=open&emails=kim@example.com", "A view can not keep `emails`."),
        ("tags=a&tags_all=b", "A view keeps `tags` or `tags_all`, not both."),
    ],
)
def test_what_a_view_can_not_keep_is_said_before_and_not_left_out(
    browser: Browser, project: Project, inbox: str, query: str, told: str
) -> None:
    assert told in keep(browser.get(f"{inbox}?{query}"))
    assert acts(browser.get(f"{inbox}?{query}")) == []

    assert browser.post(f"{inbox}?{query}", act="keep", name="One").status_code == 400

    assert not SavedView.objects.filter(project=project).exists()


def test_a_list_that_the_api_refuses_is_not_kept(
    browser: Browser, project: Project, inbox: str
) -> None:
    answer = browser.post(f"{inbox}?status=opne", act="keep", name="One")

    assert answer.status_code == 400
    assert '"opne" is not a valid choice.' in keep(answer)
    assert not SavedView.objects.filter(project=project).exists()


@pytest.mark.parametrize("name", ["view", "from_view"])
def test_a_view_is_renamed_and_the_list_stays(
    browser: Browser, project: Project, inbox: str, name: str
) -> None:
    view = SavedView.objects.create(project=project, name="One", filters={"status": ["open"]})
    address = f"{inbox}?{name}={view.short_id}&status=new"

    answer = browser.post(address, act="rename", name="Two")

    assert answer.headers["Location"] == address
    view.refresh_from_db()
    assert (view.name, view.filters) == ("Two", {"status": ["open"]})


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ("view={}&status=new", {"status": ["new"], "tags": ["a"]}),
        ("view={}&tags_all=b", {"status": ["open"], "tags": ["b"], "tagsMatch": "all"}),
        # A filter that was taken away is gone.
        ("status=open&from_view={}", {"status": ["open"]}),
        ("from_view={}", {}),
    ],
)
def test_a_view_gets_the_filters_that_were_changed(
    browser: Browser, project: Project, inbox: str, query: str, filters: dict[str, Any]
) -> None:
    stored = {"status": ["open"], "tags": ["a"]}
    view = SavedView.objects.create(project=project, name="One", filters=stored)
    address = f"{inbox}?{query.format(view.short_id)}"
    assert "change" in acts(browser.get(address))

    answer = browser.post(address, act="change")

    assert answer.headers["Location"] == f"{inbox}?view={view.short_id}"
    view.refresh_from_db()
    assert (view.name, view.filters) == ("One", filters)


def test_a_view_whose_filters_are_changed_by_the_controls_is_still_known(
    browser: Browser, project: Project, inbox: str, make_ticket: MakeTicket
) -> None:
    for status in ("new", "open", "open"):
        make_ticket(status=status)
    view = SavedView.objects.create(project=project, name="One", filters={"status": ["new"]})
    page = browser.get(f"{inbox}?view={view.short_id}")
    [hidden] = re.findall(r'name="(from_view)" value="(\w+)"', text_of(page))

    answer = browser.client.get(
        inbox,
        {hidden[0]: hidden[1], "status": "open", "limit": "1"},
        headers={"HX-Request": "true", "HX-Trigger": "filters"},
    )

    assert answer.headers["HX-Push-Url"] == f"{inbox}?from_view={view.short_id}&status=open&limit=1"
    assert numbers_in(answer) == [3]
    assert 'hx-swap-oob="outerHTML"' in keep(answer)
    assert acts(answer) == ["change", "keep", "rename", "delete"]
    # The next page is one of the same list.
    [following] = set(re.findall(r'href="([^"]*)" rel="next"', text_of(answer)))
    assert acts(browser.get(following)) == ["change", "keep", "rename", "delete"]


def test_a_refresh_leaves_a_name_that_is_being_typed_alone(browser: Browser, inbox: str) -> None:
    answer = browser.client.get(
        f"{inbox}?status=new", headers={"HX-Request": "true", "HX-Trigger": "refresh"}
    )

    assert 'id="keep"' not in text_of(answer)


def test_a_view_is_deleted_and_its_tickets_stay(
    browser: Browser, project: Project, inbox: str, make_ticket: MakeTicket
) -> None:
    make_ticket()
    view = SavedView.objects.create(project=project, name="One", filters={"status": ["new"]})

    answer = browser.post(f"{inbox}?view={view.short_id}", act="delete")

    assert answer.status_code == 302
    assert not SavedView.objects.filter(project=project).exists()
    assert len(numbers_in(browser.get(answer.headers["Location"]))) == 1


def test_a_list_made_from_a_view_that_is_gone_is_a_list(browser: Browser, inbox: str) -> None:
    page = browser.get(f"{inbox}?from_view=gone&status=new")

    assert page.status_code == 200
    assert acts(page) == ["keep"]


@pytest.mark.parametrize("act", ["rename", "change", "delete"])
@pytest.mark.parametrize("query", ["view={}", "from_view={}&status=new", "status=new"])
def test_a_view_of_another_project_is_none(
    browser: Browser, neighbour: Project, inbox: str, act: str, query: str
) -> None:
    theirs = SavedView.objects.create(project=neighbour, name="Theirs", filters={"sla": "breached"})

    answer = browser.post(f"{inbox}?{query.format(theirs.short_id)}", act=act, name="Mine")

    assert answer.status_code == 400
    assert "There is no such view." in keep(answer)
    assert "Theirs" not in text_of(answer)
    kept = SavedView.objects.get(pk=theirs.pk)
    assert (kept.name, kept.filters) == ("Theirs", {"sla": "breached"})


def test_an_action_on_views_that_there_is_not_is_refused(browser: Browser, inbox: str) -> None:
    answer = browser.post(f"{inbox}?status=new", act="explode")

    assert answer.status_code == 400
    assert "There is no such action." in keep(answer)
