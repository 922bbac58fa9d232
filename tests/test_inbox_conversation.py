"""The page of a conversation: what it shows, and what an agent does there."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from conversations.events.actors import SYSTEM
from conversations.inbox.conversation.snoozes import Snooze, snoozes
from conversations.messages.verbs import delete_message, post_message
from conversations.models import Event, Macro, Message, Ticket
from conversations.templatetags.inbox import linked
from conversations.tickets.verbs import open_ticket, update_ticket
from projects.models import Membership, Project, Role, User
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.inbox import Browser, agent_of, inbox_of, page_of, text_of


@pytest.fixture
def agent(project: Project) -> User:
    return agent_of(project)


@pytest.fixture
def browser(agent: User) -> Browser:
    return Browser(agent)


@pytest.fixture
def ticket(make_ticket: MakeTicket) -> Any:
    return make_ticket(message="Where is my kettle?", distinct_id="user_1")


@pytest.fixture
def page(project: Project, ticket: Any) -> str:
    return page_of(project, ticket)


def row(ticket: Any) -> Ticket:
    return Ticket.objects.get(pk=ticket["id"])


def messages(ticket: Any) -> list[tuple[str, str | None, str, bool]]:
    rows = Message.objects.filter(ticket_id=ticket["id"], deleted_at=None).order_by("seq")
    return [
        (message.author_type, message.author_name, message.content, message.is_private)
        for message in rows
    ]


def shown(page: Any) -> list[str]:
    return re.findall(r'<div class="content" dir="auto">([^<]*)', text_of(page))


# --- What it shows -----------------------------------------------------------


def test_it_shows_what_was_said_notes_set_apart_and_nothing_that_was_deleted(
    browser: Browser, ticket: Any, page: str
) -> None:
    stored = row(ticket)
    post_message(
        ticket=stored, actor=SYSTEM, author_type="support", content="Ask Sam", is_private=True
    )
    gone = post_message(ticket=stored, actor=SYSTEM, author_type="support", content="Oops")
    delete_message(message=gone, ticket=stored, actor=SYSTEM)

    answer = browser.get(page)

    assert shown(answer) == ["Where is my kettle?", "Ask Sam"]
    assert re.findall(r'<li class="message ([\w ]+)"', text_of(answer)) == [
        "customer",
        "support note",
    ]


def test_looking_marks_nothing_and_reading_marks_what_was_shown(
    browser: Browser, ticket: Any, page: str
) -> None:
    browser.get(page)
    assert row(ticket).unread_team_count == 1

    assert browser.post_part(f"{page}/read", seen="1").status_code == 204

    assert row(ticket).unread_team_count == 0


def test_a_message_that_the_page_does_not_show_stays_unread(
    browser: Browser, ticket: Any, page: str
) -> None:
    post_message(ticket=row(ticket), actor=SYSTEM, author_type="customer", content="Hello?")

    assert browser.post_part(f"{page}/read", seen="1").status_code == 409

    assert row(ticket).unread_team_count == 2


def test_marked_unread_it_is_among_the_unread_ones(
    browser: Browser, ticket: Any, page: str
) -> None:
    browser.post_part(f"{page}/read", seen="1")

    answer = browser.post(f"{page}/unread")

    assert answer.status_code == 302
    assert row(ticket).unread_team_count == 1


def test_of_a_long_conversation_it_shows_the_end_and_the_rest_when_asked(
    browser: Browser, ticket: Any, page: str
) -> None:
    stored = row(ticket)
    for number in range(2, 121):
        post_message(ticket=stored, actor=SYSTEM, author_type="AI", content=str(number))
    browser.post_part(f"{page}/read", seen="120")
    pages = [browser.get(page)]
    while more := re.search(r'hx-get="([^"]*before=\d+)"', text_of(pages[-1])):
        pages.append(browser.part(more[1]))

    assert [len(shown(part)) for part in pages] == [50, 50, 20]
    seen = [text for part in reversed(pages) for text in shown(part)]
    assert seen == ["Where is my kettle?", *map(str, range(2, 121))]


def test_of_a_long_conversation_all_that_is_not_read_is_there(
    browser: Browser, ticket: Any, page: str
) -> None:
    """Whoever has seen the page is taken to have read it."""
    stored = row(ticket)
    browser.post_part(f"{page}/read", seen="1")
    for number in range(2, 81):
        post_message(ticket=stored, actor=SYSTEM, author_type="customer", content=str(number))

    assert shown(browser.get(page)) == [str(number) for number in range(2, 81)]


def test_a_refresh_begins_where_the_page_does(browser: Browser, ticket: Any, page: str) -> None:
    stored = row(ticket)
    for number in range(2, 60):
        post_message(ticket=stored, actor=SYSTEM, author_type="AI", content=str(number))

    assert shown(browser.part(page, since="3")) == [str(number) for number in range(3, 60)]


def test_links_of_customers_are_safe_and_all_else_is_text() -> None:
    text = 'See (https://example.com/a?b=1&c="x), javascript:alert(1), <b> and kim@example.com.'

    apart = 'rel="noopener noreferrer nofollow ugc" target="_blank"'
    assert linked(text) == (
        f'See (<a dir="ltr" href="https://example.com/a?b=1&amp;c=" {apart}>'
        "https://example.com/a?b=1&amp;c=</a>&quot;x), javascript:alert(1),"
        f' &lt;b&gt; and <a dir="ltr" href="mailto:kim@example.com" {apart}>kim@example.com</a>.'
    )


@pytest.mark.parametrize("turn", ["\u202e", "\u2067", "\u200f", "\u061c"])
def test_a_link_ends_before_what_would_turn_its_address_around(turn: str) -> None:
    assert f">https://evil.example/</a>{turn}moc.knab" in linked(
        f"https://evil.example/{turn}moc.knab"
    )


def test_the_customer_is_there_with_properties_and_other_tickets(
    browser: Browser,
    project: Project,
    ticket: Any,
    page: str,
    make_ticket: MakeTicket,
    client_for: Any,
) -> None:
    person = {"distinct_ids": ["user_1", "mail"], "properties": {"name": "Kim", "plan": "<i>gold"}}
    client_for(project, "person:write").post(f"/api/projects/{project.pk}/persons", person)
    make_ticket(message="An earlier one", distinct_id="mail")
    make_ticket(message="Of somebody else", distinct_id="user_2")

    answer = browser.get(page).content.decode()

    assert "&lt;i&gt;gold" in answer
    assert "An earlier one" in answer
    assert "Of somebody else" not in answer


def test_the_activity_says_who_changed_what(
    browser: Browser, agent: User, ticket: Any, page: str
) -> None:
    browser.post(f"{page}/change", version="1", status="pending")
    browser.post(f"{page}/change", version="2", assignee=f"user:{agent.pk}")
    browser.post(f"{page}/reply", message="It left us.", seen="1")

    text = text_of(browser.get(page))

    told = re.findall(r"<p><b><bdi>([^<]*)</bdi></b> ([\w ]+) <", text)
    assert told == [
        ("Dana", "answered"),
        ("Dana", "changed"),
        ("Dana", "changed"),
        ("API key test", "wrote"),
        ("API key test", "opened the ticket"),
    ]
    assert 'status: <bdi class="was">new</bdi> → <bdi>pending</bdi>' in text
    assert 'assignee: <bdi class="was">none</bdi> → <bdi>Dana</bdi>' in text


def test_the_activity_calls_who_is_no_member_any_more_by_their_address(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    former = agent_of(project, "Kim")
    browser.post(f"{page}/change", version="1", assignee=f"user:{former.pk}")
    Membership.objects.filter(user=former).delete()

    text = text_of(browser.get(page))

    assert f'assignee: <bdi class="was">none</bdi> → <bdi>{former.email}</bdi>' in text


def test_earlier_activity_calls_assignees_by_their_names_as_well(
    browser: Browser, agent: User, ticket: Any, page: str
) -> None:
    browser.post(f"{page}/change", version="1", assignee=f"user:{agent.pk}")
    last = Event.objects.filter(ticket_id=ticket["id"]).latest("position").position

    text = text_of(browser.part(page, activity_before=str(last + 1)))

    assert "→ <bdi>Dana</bdi>" in text


# --- Replies and notes -------------------------------------------------------


def test_a_reply_is_sent_under_the_agents_name(browser: Browser, ticket: Any, page: str) -> None:
    answer = browser.post_part(f"{page}/reply", message=" It left us.\r\nToday. ", seen="1")

    assert answer.headers["HX-Trigger"] == '{"inbox:sent": {}}'
    assert messages(ticket)[1:] == [("support", "Dana", "It left us.\nToday.", False)]
    assert shown(answer)[-1] == "It left us.\nToday."


def test_a_note_is_seen_by_the_team_alone(browser: Browser, ticket: Any, page: str) -> None:
    browser.post_part(f"{page}/reply", message="Ask Sam", kind="note", seen="1")

    assert messages(ticket)[1:] == [("support", "Dana", "Ask Sam", True)]


def test_a_reply_can_resolve_as_well(browser: Browser, ticket: Any, page: str) -> None:
    browser.post_part(f"{page}/reply", message="Done", seen="1", then="resolved")

    assert row(ticket).status == "resolved"


@pytest.mark.parametrize("text", ["", "  \n", "x" * 10_001, "a\0b"])
@pytest.mark.parametrize("how", ["post", "post_part"])
def test_what_can_not_be_sent_is_told_beside_the_box_and_kept(
    browser: Browser, ticket: Any, page: str, text: str, how: str
) -> None:
    answer = getattr(browser, how)(f"{page}/reply", message=text, seen="1")

    assert answer.status_code == 400
    assert "Not sent." in text_of(answer)
    assert len(messages(ticket)) == 1
    if how == "post":
        assert f">{text}</textarea>" in text_of(answer)
    else:
        # The box itself is left as it is.
        assert "<textarea" not in text_of(answer)


def test_a_reply_waits_when_somebody_has_answered_meanwhile(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    other = Browser(agent_of(project, "Kim"))
    other.post(f"{page}/reply", message="I am on it", seen="1")

    refused = browser.post_part(f"{page}/reply", message="It left us.", seen="1")

    assert refused.status_code == 409
    assert "<bdi>Kim</bdi> wrote meanwhile." in text_of(refused)
    assert "Yours is not sent." in text_of(refused)
    assert len(messages(ticket)) == 2
    [told] = re.findall(r'name="seen" value="(\d+)"\s*>\s*</div>', text_of(refused))
    browser.post_part(f"{page}/reply", message="It left us.", seen=["1", told])
    assert messages(ticket)[2][2] == "It left us."


def test_without_javascript_a_reply_that_waits_is_kept_in_the_box(
    browser: Browser, ticket: Any, page: str
) -> None:
    post_message(ticket=row(ticket), actor=SYSTEM, author_type="customer", content="Hello?")

    refused = browser.post(f"{page}/reply", message="It left <us>", seen="1", kind="note")

    assert refused.status_code == 409
    assert ">It left <us></textarea>" in text_of(refused)
    assert re.search(r'value="note" id="kind-note" checked', text_of(refused))


def test_the_same_reply_again_is_not_sent_twice(browser: Browser, ticket: Any, page: str) -> None:
    for _ in range(2):
        # As after an answer that was lost on its way.
        last = browser.post_part(f"{page}/reply", message="It left us.", seen="1")

    assert last.status_code == 409
    assert len(messages(ticket)) == 2


def test_a_refresh_tells_who_is_writing_of_what_came_meanwhile(
    browser: Browser, ticket: Any, page: str
) -> None:
    assert "meanwhile" not in text_of(browser.part(page, seen="1"))

    post_message(ticket=row(ticket), actor=SYSTEM, author_type="customer", content="Hello?")

    assert "<bdi>The customer</bdi> wrote meanwhile." in text_of(browser.part(page, seen="1"))
    # Who writes nothing has it on the page and need not be told.
    unseen = text_of(browser.part(page))
    assert "meanwhile" not in unseen
    assert 'id="seen" value="2"' in unseen


def test_a_macro_is_applied_as_the_agent_has_edited_it(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    macro = Macro.objects.create(
        project=project,
        name="Sent",
        content="It left us.",
        rich_content={"a": 1},
        actions={"status": "pending", "tags": ["delivery"]},
    )

    browser.post(f"{page}/reply", message="It left us today.", macro=macro.short_id, seen="1")

    assert messages(ticket)[1:] == [("support", "Dana", "It left us today.", False)]
    assert (row(ticket).status, row(ticket).tags) == ("pending", ["delivery"])
    assert Macro.objects.get(pk=macro.pk).content == "It left us."


def test_a_macro_without_words_does_what_it_does(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    macro = Macro.objects.create(project=project, name="Close", actions={"status": "resolved"})

    browser.post(f"{page}/reply", message="", macro=macro.short_id, seen="1")

    assert row(ticket).status == "resolved"
    assert len(messages(ticket)) == 1


def test_a_macro_whose_assignee_is_gone_is_refused_as_a_whole(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    macro = Macro.objects.create(
        project=project, name="Sent", content="Hi", actions={"assignee": {"type": "user", "id": 0}}
    )

    answer = browser.post_part(f"{page}/reply", message="Hi", macro=macro.short_id, seen="1")

    assert answer.status_code == 400
    assert "user is not a member of this project" in text_of(answer)
    assert len(messages(ticket)) == 1


# --- Changes -----------------------------------------------------------------


def test_each_control_changes_its_field(
    browser: Browser, project: Project, agent: User, ticket: Any, page: str
) -> None:
    role = Role.objects.create(project=project, name="Billing")
    project.time_zone = "Asia/Kolkata"
    project.save()
    forms: list[dict[str, Any]] = [
        {"status": "open"},
        {"priority": "high"},
        {"assignee": f"role:{role.pk}"},
        {"tags": "B, a,"},
        {"snoozed_until": "2999-01-31T09:00"},
        {"sla_due_at": "2999-02-01T09:00"},
    ]
    for version, form in enumerate(forms, 1):
        answer = browser.post_part(f"{page}/change", version=str(version), **form)
        assert "Saved." in text_of(answer)

    changed = row(ticket)
    # Snoozed after it was opened, so that it is on hold.
    assert (changed.status, changed.priority, changed.tags) == ("on_hold", "high", ["a", "b"])
    assert changed.assignee_role_id == role.pk
    assert changed.snoozed_until == datetime(2999, 1, 31, 3, 30, tzinfo=UTC)
    assert changed.sla_due_at == datetime(2999, 2, 1, 3, 30, tzinfo=UTC)
    assert Event.objects.filter(ticket_id=ticket["id"], type="ticket.updated").count() == 6


def test_controls_take_back_what_they_set(browser: Browser, ticket: Any, page: str) -> None:
    later = timezone.now() + timedelta(days=1)
    update_ticket(
        ticket=row(ticket), actor=SYSTEM, priority="high", snoozed_until=later, sla_due_at=later
    )
    for version, name in enumerate(("priority", "snoozed_until", "sla_due_at", "assignee"), 2):
        browser.post(f"{page}/change", **{"version": str(version), name: ""})

    changed = row(ticket)
    assert (changed.priority, changed.snoozed_until, changed.sla_due_at) == (None, None, None)
    assert changed.status == "open"


def test_a_deadline_is_so_long_from_now(browser: Browser, ticket: Any, page: str) -> None:
    browser.post(f"{page}/change", version="1", sla_amount="3", sla_unit="hour")

    due = row(ticket).sla_due_at
    assert due is not None
    assert abs(due - timezone.now() - timedelta(hours=3)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"status": "opne"}, '"opne" is not a valid choice.'),
        ({"assignee": "user:0"}, "user is not a member of this project"),
        ({"tags": "x" * 201}, "no more than 200 characters"),
        ({"snoozed_until": "2001-01-01T00:00"}, "Must be in the future."),
        ({"snoozed_until": "soon"}, "Datetime has wrong format"),
        ({"sla_amount": "0", "sla_unit": "hour"}, "greater than or equal to 1"),
        ({"sla_amount": "many", "sla_unit": "hour"}, "A valid integer is required."),
    ],
    ids=str,
)
def test_what_is_refused_is_told_beside_its_control_which_keeps_it(
    browser: Browser, ticket: Any, page: str, form: dict[str, str], told: str
) -> None:
    answer = browser.post_part(f"{page}/change", version="1", **form)

    assert answer.status_code == 400
    assert told in text_of(answer)
    [entered, *_] = form.values()
    if "status" not in form and "assignee" not in form:
        assert f'value="{entered}"' in text_of(answer)
    assert row(ticket).version == 1


def test_nobody_overwrites_a_colleagues_change_unseen(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    Browser(agent_of(project, "Kim")).post(f"{page}/change", version="1", tags="urgent")

    refused = browser.post_part(f"{page}/change", version="1", tags="a, b")

    assert refused.status_code == 409
    assert "Somebody changed this ticket meanwhile." in text_of(refused)
    assert "<bdi>Kim</bdi> changed tags: <bdi>none</bdi> → <bdi>urgent</bdi>" in text_of(refused)
    assert 'value="a, b"' in text_of(refused)
    assert row(ticket).tags == ["urgent"]
    # Told of it, the agent may.
    [version, *_] = re.findall(r'name="version" value="(\d+)"', text_of(refused))
    browser.post_part(f"{page}/change", version=version, tags="a, b")
    assert row(ticket).tags == ["a", "b"]


def test_a_ticket_that_is_gone_is_not_found(browser: Browser, project: Project) -> None:
    ticket = open_ticket(project_id=project.pk, actor=SYSTEM)
    page = page_of(project, {"ticket_number": ticket.ticket_number})
    ticket.delete()

    assert browser.get(page).status_code == 404
    assert browser.post_part(f"{page}/reply", message="Hi", seen="1").status_code == 404


@pytest.mark.parametrize("number", ["0", "9999999999999999999999"])
def test_a_number_that_no_ticket_has_is_not_found(
    browser: Browser, project: Project, number: str
) -> None:
    assert browser.get(f"/inbox/{project.pk}/tickets/{number}").status_code == 404


@pytest.mark.parametrize("place", ["-1", "x", "²", "9" * 30, ""])
def test_a_place_that_is_none_is_refused(browser: Browser, page: str, place: str) -> None:
    for name in ("since", "before", "seen", "activity_before"):
        answer = browser.part(page, **{name: place})

        assert answer.status_code == 400
        assert f"<code>{name}</code>" in text_of(answer)


@pytest.mark.parametrize("place", ["0", str(2**31 - 1)])
def test_a_place_where_nothing_is_shows_the_page(browser: Browser, page: str, place: str) -> None:
    for name in ("since", "before", "seen", "activity_before"):
        assert browser.part(page, **{name: place}).status_code == 200


def test_the_api_could_have_done_each_of_it(
    browser: Browser, reader: ApiClient, ticket: Any, page: str, tickets_url: str
) -> None:
    """What a page has written is what the API answers."""
    browser.post(
        f"{page}/change",
        version="1",
        tags="a",
    )
    browser.post(f"{page}/reply", message="Hi", seen="1")

    answer = reader.get(f"{tickets_url}/{ticket['id']}", mark_read="false").json()
    assert (answer["tags"], answer["last_message_text"]) == (["a"], "Hi")


# --- Messages that are changed -----------------------------------------------


def said_by(ticket: Any, author_type: str = "support", **fields: Any) -> Message:
    fields = {"content": "It left us.", **fields}
    return post_message(ticket=row(ticket), actor=SYSTEM, author_type=author_type, **fields)


def form_of(page: Any, message: Message) -> dict[str, str]:
    """What the form to edit a message has in it."""
    [form] = re.findall(rf'<form id="edit-{message.seq}".*?</form>', text_of(page), re.DOTALL)
    [version] = re.findall(r'name="version" value="([^"]*)"', form)
    [content] = re.findall(r"<textarea[^>]*>\n(.*?)</textarea>", form, re.DOTALL)
    return {"version": version, "content": content}


def place_of(page: str, message: Message) -> str:
    return f"{page}/messages/{message.pk}"


@pytest.mark.parametrize(
    ("author_type", "is_private"), [("support", False), ("support", True), ("AI", False)]
)
def test_what_the_team_said_is_edited_in_its_place_and_says_so(
    browser: Browser, agent: User, ticket: Any, page: str, author_type: str, is_private: bool
) -> None:
    message = said_by(ticket, author_type, is_private=is_private, rich_content={"a": 1})
    before = browser.get(page)
    assert "edited" not in text_of(before)
    form = form_of(before, message)
    assert form["content"] == "It left us."

    answer = browser.post(
        f"{place_of(page, message)}?since=1", act="edit", **form | {"content": " It left\r\nus. "}
    )

    assert answer.status_code == 302
    assert answer.headers["Location"] == f"{page}?since=1#message-2"
    assert "· edited" in text_of(browser.get(page))
    message.refresh_from_db()
    # What is formatted would still say what it said before.
    assert (message.content, message.rich_content) == ("It left\nus.", None)
    told = Event.objects.filter(ticket_id=ticket["id"]).latest("position")
    assert (told.type, told.actor["id"]) == ("message.updated", agent.pk)


def test_a_message_that_was_edited_by_the_api_says_so(
    browser: Browser, writer: ApiClient, ticket: Any, page: str, tickets_url: str
) -> None:
    message = said_by(ticket)

    writer.patch(f"{tickets_url}/{ticket['id']}/messages/{message.pk}", {"content": "It left."})

    assert "· edited" in text_of(browser.get(page))


def test_a_message_that_is_saved_as_it_was_is_not_edited(
    browser: Browser, ticket: Any, page: str
) -> None:
    message = said_by(ticket, rich_content={"a": 1})

    answer = browser.post_part(
        place_of(page, message), act="edit", **form_of(browser.get(page), message)
    )

    assert "It was so already." in text_of(answer)
    assert "· edited" not in text_of(answer)
    message.refresh_from_db()
    assert message.rich_content == {"a": 1}


def test_what_a_customer_said_can_be_deleted_and_not_be_edited(
    browser: Browser, ticket: Any, page: str
) -> None:
    message = Message.objects.get(ticket_id=ticket["id"])
    assert 'id="edit-1"' not in text_of(browser.get(page))
    assert 'id="delete-1"' in text_of(browser.get(page))

    refused = browser.post(place_of(page, message), act="edit", version="", content="Never mind")

    assert refused.status_code == 400
    assert "A customer's message can not be edited." in text_of(refused)
    assert messages(ticket)[0][2] == "Where is my kettle?"


@pytest.mark.parametrize("author_type", ["customer", "support", "AI"])
def test_a_message_is_deleted(browser: Browser, ticket: Any, page: str, author_type: str) -> None:
    message = said_by(ticket, author_type, content="Oops")

    answer = browser.post(f"{place_of(page, message)}?since=1", act="delete")

    assert answer.headers["Location"].startswith(page)
    assert shown(browser.get(page)) == ["Where is my kettle?"]
    assert row(ticket).last_message_text == "Where is my kettle?"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "may not be blank"),
        ("  \n", "may not be blank"),
        ("x" * 10_001, "no more than 10000 characters"),
        ("a\0b", "Null characters are not allowed"),
    ],
    ids=["empty", "blank", "long", "null"],
)
@pytest.mark.parametrize("how", ["post", "post_part"])
def test_a_text_that_a_message_can_not_have_is_told_beside_it_and_kept(
    browser: Browser, ticket: Any, page: str, text: str, told: str, how: str
) -> None:
    message = said_by(ticket)

    answer = getattr(browser, how)(place_of(page, message), act="edit", version="", content=text)

    assert answer.status_code == 400
    assert told in text_of(answer)
    assert form_of(answer, message)["content"] == text
    assert 'id="change-2" open' in text_of(answer)
    assert 'id="change-1" open' not in text_of(answer)
    assert messages(ticket)[1][2] == "It left us."


@pytest.mark.parametrize("how", ["post", "post_part"])
def test_nobody_overwrites_what_a_colleague_has_edited_unseen(
    browser: Browser, project: Project, ticket: Any, page: str, how: str
) -> None:
    message = said_by(ticket)
    form = form_of(browser.get(page), message)
    kim = Browser(agent_of(project, "Kim"))
    kim.post(place_of(page, message), act="edit", **form | {"content": "It left us on Monday."})

    refused = getattr(browser, how)(
        place_of(page, message), act="edit", **form | {"content": "It is here."}
    )

    assert refused.status_code == 409
    assert "Somebody edited this message meanwhile." in text_of(refused)
    assert shown(refused)[-1] == "It left us on Monday."
    again = form_of(refused, message)
    assert again["content"] == "It is here."
    assert messages(ticket)[1][2] == "It left us on Monday."
    # Told of it, the agent may.
    browser.post(place_of(page, message), act="edit", **again)
    assert messages(ticket)[1][2] == "It is here."


def test_what_was_typed_at_a_message_that_is_gone_is_shown(
    browser: Browser, ticket: Any, page: str
) -> None:
    message = said_by(ticket)
    delete_message(message=message, ticket=row(ticket), actor=SYSTEM)

    refused = browser.post(place_of(page, message), act="edit", version="", content="It <is> here.")

    assert refused.status_code == 404
    assert "There is no such message." in text_of(refused)
    assert "It &lt;is&gt; here." in refused.content.decode()


@pytest.mark.parametrize("message_id", ["1", "x", "9" * 40])
def test_a_message_that_is_none_is_not_there(browser: Browser, page: str, message_id: str) -> None:
    assert browser.post(f"{page}/messages/{message_id}", act="delete").status_code == 404


def test_a_message_of_another_ticket_is_not_there(
    browser: Browser, ticket: Any, page: str, make_ticket: MakeTicket
) -> None:
    other = Message.objects.get(ticket_id=make_ticket(message="Another")["id"])

    assert browser.post(place_of(page, other), act="delete").status_code == 404

    other.refresh_from_db()
    assert other.deleted_at is None


def test_an_action_on_a_message_that_there_is_not_is_refused(
    browser: Browser, ticket: Any, page: str
) -> None:
    answer = browser.post(place_of(page, said_by(ticket)), act="explode")

    assert answer.status_code == 400
    assert "There is no such action." in text_of(answer)
    assert len(messages(ticket)) == 2


def test_what_was_said_before_the_page_begins_is_changed_where_it_is_shown(
    browser: Browser, ticket: Any, page: str
) -> None:
    early = [said_by(ticket, content=text) for text in ("Two", "Three")]
    said_by(ticket, content="Four")

    for message, act in zip(early, ("edit", "delete"), strict=True):
        answer = text_of(
            browser.post_part(
                place_of(page, message), act=act, version="", content="Changed", since="4"
            )
        )
        # What htmx puts in the place of the one message, beside the part that begins after it.
        [swap] = re.findall(rf'id="message-{message.seq}" hx-swap-oob="(\w+)"', answer)
        assert swap == {"edit": "outerHTML", "delete": "delete"}[act]
        assert 'data-first="4"' in answer
    assert [message[2] for message in messages(ticket)][1:] == ["Changed", "Four"]


def test_an_answer_begins_where_the_page_does(browser: Browser, ticket: Any, page: str) -> None:
    stored = row(ticket)
    for number in range(2, 60):
        post_message(ticket=stored, actor=SYSTEM, author_type="AI", content=str(number))

    answer = browser.post_part(f"{page}/reply", message="Hi", seen="59", since="10")

    assert shown(answer) == [*map(str, range(10, 60)), "Hi"]


# --- What was sent, and is sent again ----------------------------------------


def test_who_does_not_hear_that_a_message_was_sent_sends_it_again_and_it_is_there_once(
    browser: Browser, ticket: Any, page: str
) -> None:
    form = {"form": str(uuid4()), "message": "It left us.", "seen": "1"}
    assert browser.post_part(f"{page}/reply", **form).status_code == 200

    again = browser.post_part(f"{page}/reply", **form)

    assert again.status_code == 200
    assert "inbox:sent" in again.headers["HX-Trigger"]
    assert [text for _, _, text, _ in messages(ticket)[1:]] == ["It left us."]


def test_what_was_written_anew_meanwhile_is_another_message(
    browser: Browser, ticket: Any, page: str
) -> None:
    form = {"form": str(uuid4()), "seen": "1"}
    browser.post_part(f"{page}/reply", message="It left us.", **form)

    again = browser.post_part(f"{page}/reply", message="It left us today.", **form)

    assert again.status_code == 409
    assert "wrote meanwhile" in text_of(again)
    assert [text for _, _, text, _ in messages(ticket)[1:]] == ["It left us."]


@pytest.mark.parametrize("form", ["", "x"])
def test_a_message_needs_the_form_of_a_page(
    browser: Browser, ticket: Any, page: str, form: str
) -> None:
    answer = browser.post_part(f"{page}/reply", message="Hi", seen="1", form=form)

    assert answer.status_code == 400
    assert "The form is incomplete." in text_of(answer)
    assert len(messages(ticket)) == 1


def test_a_ticket_is_not_resolved_over_what_the_customer_has_just_added(
    browser: Browser, ticket: Any, page: str
) -> None:
    shown_version = str(row(ticket).version)
    post_message(ticket=row(ticket), actor=SYSTEM, author_type="customer", content="Wait!")

    refused = browser.post_part(
        f"{page}/change", status="resolved", version=shown_version, seen="1"
    )

    assert refused.status_code == 409
    assert "The ticket is not resolved." in text_of(refused)
    assert row(ticket).status != "resolved"
    told = browser.post_part(f"{page}/change", status="resolved", version=shown_version, seen="2")
    assert told.status_code == 200
    assert row(ticket).status == "resolved"


def test_a_macro_whose_text_was_taken_out_of_the_box_says_nothing(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    macro = Macro.objects.create(
        project=project, name="Refund", content="We refund you.", actions={"status": "pending"}
    )
    form = {"message": "", "macro": macro.short_id, "filled": macro.short_id, "seen": "1"}

    refused = browser.post_part(f"{page}/reply", **form)

    assert refused.status_code == 400
    assert len(messages(ticket)) == 1
    assert row(ticket).status != "pending"


@pytest.mark.parametrize(
    ("asked", "leads"),
    [("{queue}?status=new", "{queue}?status=new"), ("//evil.example", "{queue}"), ("", "{queue}")],
)
def test_who_marks_unread_is_back_at_the_list_they_came_from(
    browser: Browser, project: Project, page: str, asked: str, leads: str
) -> None:
    queue = inbox_of(project)

    answer = browser.post(f"{page}/unread", next=asked.format(queue=queue))

    assert answer.headers["Location"] == leads.format(queue=queue)


# --- What a form does not have -------------------------------------------------


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"kind": "foo"}, "kind: There is no “foo” to write."),
        ({"then": "reopened"}, "then: There is no “reopened” to do after it."),
        ({"values": "1"}, "There is no field “values”."),
    ],
)
def test_what_is_no_reply_and_no_note_is_not_sent(
    browser: Browser, ticket: Any, page: str, form: dict[str, str], told: str
) -> None:
    answer = browser.post_part(f"{page}/reply", message="Psst", seen="1", **form)

    assert answer.status_code == 400
    assert told in text_of(answer)
    assert len(messages(ticket)) == 1


@pytest.mark.parametrize("name", ["statuss", "us", "items"])
def test_a_field_that_a_ticket_does_not_have_is_named(
    browser: Browser, ticket: Any, page: str, name: str
) -> None:
    answer = browser.post_part(f"{page}/change", **{"version": "1", "status": "pending", name: "x"})

    assert answer.status_code == 400
    assert f"There is no field “{name}”." in text_of(answer)
    assert row(ticket).version == 1


def test_a_macro_that_is_sent_as_it_is_stays_formatted(
    browser: Browser, project: Project, ticket: Any, page: str
) -> None:
    formatted = {"type": "doc", "content": []}
    macro = Macro.objects.create(
        project=project, name="Two", content="One\r\nTwo", rich_content=formatted, actions={}
    )

    browser.post(f"{page}/reply", macro=macro.short_id, message="One\r\nTwo", seen="1")

    said = Message.objects.get(ticket_id=ticket["id"], author_type="support")
    assert said.rich_content == formatted


# --- Times that are saved ------------------------------------------------------


@pytest.mark.parametrize(
    ("microseconds", "shown", "step"),
    [(0, "2999-02-01T09:00:30", "1"), (123456, "2999-02-01T09:00:30.123", "0.001")],
)
def test_a_deadline_that_is_saved_as_it_was_stays_to_the_microsecond(
    browser: Browser, ticket: Any, page: str, microseconds: int, shown: str, step: str
) -> None:
    due = datetime(2999, 2, 1, 9, 0, 30, microseconds, tzinfo=UTC)
    update_ticket(ticket=row(ticket), actor=SYSTEM, sla_due_at=due)
    assert f'name="sla_due_at" value="{shown}" step="{step}"' in text_of(browser.get(page))

    browser.post(f"{page}/change", version="2", sla_due_at=shown)

    assert row(ticket).sla_due_at == due
    assert row(ticket).version == 2


def labelled(now: datetime) -> dict[str, Snooze]:
    return {snooze.label: snooze for snooze in snoozes(now)}


@pytest.mark.parametrize(
    ("now", "until", "typed"),
    [
        # The clocks go forward at 2:00, and back at 3:00.
        ("2027-03-28T00:30+01:00", "2027-03-28T05:30+02:00", "2027-03-28T05:30"),
        ("2027-10-31T00:30+02:00", "2027-10-31T03:30+01:00", "2027-10-31T03:30"),
        ("2027-10-30T22:30+02:00", "2027-10-31T02:30+02:00", "2027-10-31T02:30"),
        ("2027-10-30T23:30+02:00", "2027-10-31T02:30+01:00", "2027-10-31T02:30+01:00"),
    ],
)
def test_in_four_hours_is_four_hours_later_whatever_the_clocks_do(
    now: str, until: str, typed: str
) -> None:
    here = datetime.fromisoformat(now).astimezone(ZoneInfo("Europe/Berlin"))

    with timezone.override(ZoneInfo("Europe/Berlin")):
        snooze = labelled(here)["In 4 hours"]

        # Python calls no time equal that another zone's clock shows twice.
        assert snooze.until.astimezone(UTC) == datetime.fromisoformat(until)
        assert snooze.typed == typed


def test_a_morning_that_the_calendar_leaves_out_is_the_next_one() -> None:
    # Samoa went over the date line: the 30th of December 2011 was not there.
    here = datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia"))

    tomorrow = labelled(here)["Tomorrow, 9:00"].until

    assert tomorrow.isoformat() == "2011-12-31T09:00:00+14:00"


def test_a_morning_is_the_same_in_the_hour_that_the_clock_shows_again() -> None:
    here = datetime(2027, 10, 31, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)

    assert labelled(here)["Tomorrow, 9:00"].until.isoformat() == "2027-11-01T09:00:00+01:00"


def test_a_tag_with_a_comma_stays_one_tag(browser: Browser, ticket: Any, page: str) -> None:
    update_ticket(ticket=row(ticket), actor=SYSTEM, tags=["a,b", "c"])
    [shown_tags] = re.findall(r'name="tags" value="([^"]*)"', browser.get(page).content.decode())

    version = str(row(ticket).version)
    browser.post(f"{page}/change", tags=unescape(shown_tags)[:-1] + ', "d"]', version=version)

    assert row(ticket).tags == ["a,b", "c", "d"]
