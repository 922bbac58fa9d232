"""Tags as they are written and kept: trimmed, lower-cased, each once, sorted."""

from typing import Any

import pytest

from tests.api import ApiClient
from tests.conftest import MakeTicket

HUNDRED = [f"{number:03}" for number in range(100)]
DOTTED = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"

KEPT: list[tuple[list[str], list[str]]] = [
    ([], []),
    (["vip"], ["vip"]),
    (["VIP"], ["vip"]),
    ([" vip\n"], ["vip"]),
    (["\u00a0vip\u2003"], ["vip"]),
    (["vip", "VIP ", " Vip"], ["vip"]),
    (["b", "a", "C"], ["a", "b", "c"]),
    (
        ["two words", "a,b", '"quoted"', "{}", "a:b", "#1"],
        sorted(["two words", "a,b", '"quoted"', "{}", "a:b", "#1"]),
    ),
    (["ÄRGER", "ärger"], ["ärger"]),
    (["\N{PARTY POPPER}", "日本"], ["日本", "\N{PARTY POPPER}"]),
    (["NULL", "null"], ["null"]),
    (["x" * 200], ["x" * 200]),
    ([" " + "x" * 200 + " "], ["x" * 200]),
    (HUNDRED, HUNDRED),
    (HUNDRED * 5, HUNDRED),
    (HUNDRED[::-1], HUNDRED),
]
REFUSED: list[tuple[Any, str, str]] = [
    (None, "null", "tags"),
    ("vip", "not_a_list", "tags"),
    ({"vip": True}, "not_a_list", "tags"),
    (5, "not_a_list", "tags"),
    ([""], "blank", "tags__0"),
    (["ok", " \t"], "blank", "tags__1"),
    ([None], "null", "tags__0"),
    (["ok", 5], "invalid_input", "tags__1"),
    ([True], "invalid_input", "tags__0"),
    ([["vip"]], "invalid_input", "tags__0"),
    (["a\x00b"], "invalid_input", "tags__0"),
    (["x" * 201], "max_length", "tags__0"),
    ([DOTTED * 101], "max_length", "tags__0"),
    ([*HUNDRED, "one more"], "max_length", "tags"),
    (["x"] * 1001, "max_length", "tags"),
]
kept = pytest.mark.parametrize(("tags", "expected"), KEPT, ids=lambda value: repr(value)[:40])
refused = pytest.mark.parametrize(
    ("tags", "code", "attr"), REFUSED, ids=lambda value: repr(value)[:40]
)


def refusal(response: Any) -> tuple[int, str, str | None]:
    body = response.json()
    return response.status_code, body["code"], body["attr"]


@kept
def test_tags_are_kept_in_one_form_on_create(
    make_ticket: MakeTicket, tags: list[str], expected: list[str]
) -> None:
    assert make_ticket(tags=tags)["tags"] == expected


@kept
def test_a_list_of_tags_replaces_all_on_patch(
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    tags: list[str],
    expected: list[str],
) -> None:
    url = f"{tickets_url}/{make_ticket(tags=['old'])['id']}"

    assert writer.patch(url, {"tags": tags}).json()["tags"] == expected
    assert writer.get(url).json()["tags"] == expected


@kept
def test_the_same_tags_in_another_form_are_no_change(
    writer: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    tags: list[str],
    expected: list[str],
) -> None:
    ticket = make_ticket(tags=expected)

    assert writer.patch(f"{tickets_url}/{ticket['id']}", {"tags": tags}).json() == ticket


@refused
def test_wrong_tags_are_refused_on_create(
    writer: ApiClient, tickets_url: str, tags: Any, code: str, attr: str
) -> None:
    assert refusal(writer.post(tickets_url, {"tags": tags})) == (400, code, attr)
    assert writer.get(tickets_url).json()["count"] == 0


@refused
def test_wrong_tags_are_refused_on_patch_and_change_nothing_at_all(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket, tags: Any, code: str, attr: str
) -> None:
    ticket = make_ticket(tags=["old"])
    url = f"{tickets_url}/{ticket['id']}"

    assert refusal(writer.patch(url, {"status": "open", "tags": tags})) == (400, code, attr)
    assert writer.get(url).json() == ticket


def test_a_missing_key_changes_nothing(
    writer: ApiClient, tickets_url: str, make_ticket: MakeTicket
) -> None:
    url = f"{tickets_url}/{make_ticket(tags=['old'])['id']}"

    assert writer.patch(url, {"priority": "low"}).json()["tags"] == ["old"]
    assert writer.put(url, {}).json()["tags"] == ["old"]
