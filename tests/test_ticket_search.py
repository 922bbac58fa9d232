# ruff: noqa: RUF001  (Letters that look like others are what this is about.)
"""GET …/tickets?search=: where words are looked for, what a word is, and what keeps up with it."""

from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection

from conversations.models import Message, Ticket
from projects.models import Project
from rest.words import MAX_WORD, words
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket, tickets_url_of


@pytest.fixture(params=["few", "many"])
def found(
    reader: ApiClient, tickets_url: str, monkeypatch: pytest.MonkeyPatch, request: Any
) -> Any:
    """The numbers of the tickets that a search finds, which it also counts.

    By either of its ways: the one for few hits, and the one for very many.
    """
    if request.param == "many":
        monkeypatch.setattr("conversations.search.FEW", -1)

    def find(search: str, **query: Any) -> list[int]:
        response = reader.get(tickets_url, search=search, order_by="ticket_number", **query)
        assert response.status_code == 200, response.content
        page = response.json()
        assert page["count"] == len(page["results"])
        return [ticket["ticket_number"] for ticket in page["results"]]

    return find


# --- Where ---


@pytest.mark.parametrize(
    "fields",
    [
        {"anonymous_traits": {"name": "Zoe Quark"}},
        {"anonymous_traits": {"email": "quark@example.org"}},
        {"email_from": "quark@example.org"},
        {"email_subject": "About my quark"},
        {"tags": ["quark"]},
        {"message": "Hello, where is my quark?"},
    ],
)
def test_a_word_is_found_wherever_a_customer_may_have_left_it(
    make_ticket: MakeTicket, found: Any, fields: dict[str, Any]
) -> None:
    make_ticket(message="Hi")
    make_ticket(**fields)

    assert found("quark") == [2]


@pytest.mark.parametrize(
    "message",
    [
        {"content": "quark", "author_type": "customer"},
        {"content": "quark", "author_type": "support"},
        {"content": "quark", "author_type": "AI"},
        {"content": "quark", "is_private": True},
    ],
)
def test_every_message_is_searched_notes_as_well(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any, message: Any
) -> None:
    make_ticket(message="Hi")
    writer.post(f"{tickets_url}/1/messages", message)

    assert found("quark") == [1]


def test_a_reply_is_searched(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any
) -> None:
    make_ticket()
    writer.post(f"{tickets_url}/1/reply", {"message": "A quark for you"})

    assert found("quark") == [1]


@pytest.mark.parametrize(
    "fields",
    [
        {"distinct_id": "quark"},
        {"escalation_reason": "quark"},
        {"session_context": {"page": "quark"}},
        {"anonymous_traits": {"plan": "quark", "Name": "quark"}},
    ],
)
def test_nothing_else_is_searched(
    make_ticket: MakeTicket, found: Any, fields: dict[str, Any]
) -> None:
    make_ticket(**fields)

    assert found("quark") == []


def test_all_words_must_be_there_though_not_in_one_place(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any
) -> None:
    make_ticket(
        anonymous_traits={"name": "Zoe"}, email_subject="Refund", tags=["vip"], message="Broken cup"
    )
    writer.post(f"{tickets_url}/1/messages", {"content": "Which colour?"})
    make_ticket(anonymous_traits={"name": "Zoe"}, message="Broken plate")

    assert found("zoe refund vip broken colour") == [1]
    assert found("zoe broken") == [1, 2]
    assert found("zoe refund plate") == []
    assert found("cup broken") == [1]


def test_another_projects_tickets_are_not_found(
    client_for: ClientFor, neighbour: Project, make_ticket: MakeTicket, found: Any
) -> None:
    other = client_for(neighbour, "*")
    other.post(tickets_url_of(neighbour), {"email_subject": "quark", "message": "quark"})
    make_ticket(message="quark")

    assert found("quark") == [1]
    assert other.get(tickets_url_of(neighbour), search="quark").json()["count"] == 1


# --- Words ---


@pytest.mark.parametrize(
    ("text", "search", "is_found"),
    [
        ("refund", "refund", True),
        ("refund", "ref", True),
        ("refund", "REF", True),
        ("ReFund", "refu", True),
        ("refund", "fund", False),
        ("ref", "refund", False),
        ("re-fund", "fund", True),
        ("re_fund", "fund", True),
        ("the refund's", "refund s", True),
        ("Ann.Smith@Example.org", "ann.smith@example.org", True),
        ("Ann.Smith@Example.org", "smith", True),
        ("Ann.Smith@Example.org", "example", True),
        ("Ann.Smith@Example.org", "org ann", True),
        ("Ann.Smith@Example.org", "xample.org", False),
        ("order A12-99", "a12", True),
        ("order A12-99", "A12-99", True),
        ("order A12-99", "a12 100", False),
        ("ref fund", "ref refund", False),
        ("refund", "ref refu refund", True),
        # Letters of other scripts, with their case and their marks.
        ("Straße", "strasse", True),
        ("STRASSE", "straße", True),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς", True),
        ("Привет", "прив", True),
        ("İstanbul", "i̇stan", True),
        ("café", "cafe\u0301", True),
        ("cafe\u0301", "CAFÉ", True),
        ("café", "caf", True),
        ("café", "cafe", False),
        ("हिन्दी में", "हिन्दी", True),
        ("हिन्दी", "दी", False),
        ("ｗｉｄｅ １２ｂ", "wide 12b", True),
        ("ﬁne", "fine", True),
        ("Kunden\u00addienst", "kundendienst", True),
        ("نمی\u200cخواهم", "نمیخواهم", True),
        ("東京都に住む", "東京", True),
        ("東京都に住む", "住む", False),
        ("한국어", "한국", True),
        ("👍 well", "well", True),
        # What PostgreSQL's query language would take for its own.
        ("a & b | !c:* 'd' \\e <-> f", "a & b | !c:* 'd' \\e <-> f", True),
        ("d'Arc", "d'arc", True),
        ("100% sure", "100% s%", True),
    ],
)
def test_a_word_is_a_run_of_letters_and_digits_and_found_by_its_beginning(
    make_ticket: MakeTicket, found: Any, text: str, search: str, is_found: bool
) -> None:
    make_ticket(message=text)
    make_ticket(email_subject=text)

    assert found(search) == ([1, 2] if is_found else [])


def test_a_word_is_compared_by_its_first_64_characters(make_ticket: MakeTicket, found: Any) -> None:
    make_ticket(message="a" * 70)

    assert found("a" * MAX_WORD) == [1]
    assert found("a" * 100) == [1]
    assert found("a" * (MAX_WORD - 1) + "b") == []


def test_a_search_may_have_200_characters(make_ticket: MakeTicket, found: Any) -> None:
    # As many words as go in, none of which begins another.
    many = " ".join(f"{number}x" for number in range(10, 60))
    make_ticket(message=many)

    assert len(many) == 199
    assert found(many) == [1]
    assert found(many[:-1] + "y") == []


@pytest.mark.parametrize(
    ("search", "code"),
    [
        ("", "blank"),
        ("   ", "blank"),
        ("#", "no_word"),
        ("!?", "no_word"),
        ("_", "no_word"),
        ("👍", "no_word"),
        ("\u0301", "no_word"),
        ("\u00ad", "no_word"),
        ("x" * 201, "max_length"),
        ("a\x00b", "null_characters_not_allowed"),
    ],
)
def test_a_search_without_a_word_is_refused(
    reader: ApiClient, tickets_url: str, search: str, code: str
) -> None:
    response = reader.get(tickets_url, search=search)

    assert response.status_code == 400
    assert (response.json()["code"], response.json()["attr"]) == (code, "search")


# --- Numbers ---


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("2", [2]),
        ("#2", [2]),
        (" #2 ", [2]),
        ("002", [2]),
        ("＃２", [2]),
        ("3", []),
        ("0", []),
        ("#0", []),
        ("2147483647", []),
        ("2147483648", []),
        ("9" * 19, []),
        ("9" * 200, []),
        # Not digits alone: words.
        ("# 2", [1]),
        ("2 cups", [1]),
        ("-2", [1]),
    ],
)
def test_digits_are_the_number_of_a_ticket(
    make_ticket: MakeTicket, found: Any, search: str, expected: list[int]
) -> None:
    make_ticket(message="2 cups")
    make_ticket()

    assert found(search) == expected


# --- Staying current ---


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"anonymous_traits": {"name": "Quark"}}, {"anonymous_traits": {"name": "Gluon"}}),
        ({"anonymous_traits": {"email": "quark@b.org"}}, {"anonymous_traits": {}}),
        ({"tags": ["quark"]}, {"tags": ["gluon"]}),
    ],
)
def test_what_a_change_replaces_is_not_found_any_more(
    writer: ApiClient,
    make_ticket: MakeTicket,
    tickets_url: str,
    found: Any,
    before: Any,
    after: Any,
) -> None:
    make_ticket(**before, email_subject="stays")
    assert found("quark") == [1]

    writer.patch(f"{tickets_url}/1", after)

    assert found("quark") == []
    assert found("stays") == [1]
    assert found("gluon") == ([1] if "gluon" in str(after).lower() else [])


def test_an_edited_message_is_found_by_what_it_says_now(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any
) -> None:
    make_ticket()
    message = writer.post(f"{tickets_url}/1/messages", {"content": "quark"}).json()

    writer.patch(f"{tickets_url}/1/messages/{message['id']}", {"content": "gluon"})

    assert (found("quark"), found("gluon")) == ([], [1])


def test_a_deleted_message_is_not_found(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any
) -> None:
    make_ticket(message="quark gluon")
    message = writer.post(f"{tickets_url}/1/messages", {"content": "quark"}).json()
    first = writer.get(f"{tickets_url}/1/messages").json()["results"][0]

    writer.delete(f"{tickets_url}/1/messages/{first['id']}")
    assert (found("quark"), found("gluon")) == ([1], [])

    writer.delete(f"{tickets_url}/1/messages/{message['id']}")
    assert found("quark") == []


def test_a_deleted_ticket_is_not_found(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any
) -> None:
    make_ticket(message="quark")

    writer.delete(f"{tickets_url}/1")

    assert found("quark") == []


def test_tags_that_are_changed_in_bulk_are_found(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any
) -> None:
    ids = [make_ticket(tags=["quark"])["id"], make_ticket()["id"]]

    body = {"ids": ids, "action": "set", "tags": ["gluon"]}
    assert writer.post(f"{tickets_url}/bulk_update_tags", body).status_code == 200

    assert (found("quark"), found("gluon")) == ([], [1, 2])


def test_what_the_columns_hold_is_what_a_refill_would_put_there(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, project: Project
) -> None:
    make_ticket(message="quark", tags=["b", "a"], anonymous_traits={"name": "Zoe", "email": None})
    writer.patch(f"{tickets_url}/1", {"tags": ["c"], "status": "open"})

    ticket = Ticket.objects.values_list("search", flat=True).get(project=project)
    message = Message.objects.values_list("search", flat=True).get(project=project)

    assert ticket == f"'{project.pk}:c' '{project.pk}:zoe'"
    assert message == f"'{project.pk}:quark'"


def test_rows_from_before_the_search_are_filled_by_the_migration(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, project: Project, found: Any
) -> None:
    make_ticket(
        message="quark", tags=["vip"], anonymous_traits={"name": "Zoe", "n": 1e300, "email": None}
    )
    make_ticket(message="gluon", email_subject="Hi")
    message = writer.get(f"{tickets_url}/2/messages").json()["results"][0]
    writer.delete(f"{tickets_url}/2/messages/{message['id']}")
    Ticket.objects.filter(project=project).update(search=None)
    Message.objects.filter(project=project).update(search=None)
    assert found("quark") == []

    migration = import_module("conversations.migrations.0004_fill_search")
    migration.fill(apps, connection.schema_editor())

    assert found("quark zoe vip") == [1]
    assert found("hi") == [2]
    assert found("gluon") == []


# --- Extremes ---


@pytest.mark.parametrize(
    "text",
    [
        # As many words as go in; as long ones; letters that grow when they are folded.
        " ".join(chr(0x4E00 + number) for number in range(5000)),
        " ".join(f"{number:x}" for number in range(2000)),
        "𐐀" * 10_000,
        "ﷺ" * 10_000,
        "ΐ" * 10_000,
        "㍿ " * 5_000,
        " ".join(f"ﷺ{chr(0x4E00 + number)}" for number in range(3300)),
    ],
)
def test_the_longest_message_is_searched(make_ticket: MakeTicket, found: Any, text: str) -> None:
    make_ticket(message=f"{text[:9_990].strip()} quark")

    assert found("quark") == [1]


def test_the_largest_ticket_is_searched(make_ticket: MakeTicket, found: Any) -> None:
    traits: dict[str, Any] = {f"trait-{number}": number for number in range(48)}
    traits["name"] = " ".join(f"n{number}" for number in range(2400))
    traits["email"] = "quark@example.org"
    tags = [f"{number:04}" + "𐐨" * 196 for number in range(100)]

    make_ticket(anonymous_traits=traits, tags=tags, email_subject="s " * 249)

    assert found("quark n2399 0099𐐀") == [1]


def test_words_are_the_same_in_whichever_case() -> None:
    text = "Straße ΟΔΥΣΣΕΥΣ ǅ ﬀ Ⅷ ᾳ İ " + str(uuid4())

    assert words(text.upper()) == words(text.casefold())


def test_a_search_combines_with_filters_and_pages(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str, found: Any
) -> None:
    for number in range(5):
        make_ticket(message="quark", status="open" if number % 2 else "new")
    make_ticket(status="open")

    assert found("quark", status="open") == [2, 4]
    seen = []
    url = f"{tickets_url}?search=quark&limit=2&order_by=ticket_number"
    while url:
        page = reader.get(url.removeprefix("http://testserver")).json()
        assert page["count"] == 5
        seen += [ticket["ticket_number"] for ticket in page["results"]]
        url = page["next"]
    assert seen == [1, 2, 3, 4, 5]
