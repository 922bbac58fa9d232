"""What a body may hold: everything odd is a 400, never a 500, and changes nothing."""

from typing import Any

import pytest

from conversations.models import Ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket
from tests.refusals import failures, refusal

MIB = 1024 * 1024
PARSE_ERROR = (400, "parse_error", None)


def traits(json_text: str) -> bytes:
    """A ticket whose traits have one value, written as it is."""
    return f'{{"anonymous_traits": {{"x": {json_text}}}}}'.encode()


def nested(levels: int, around: str = "1") -> str:
    return "[" * levels + around + "]" * levels


# --- Text ---


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        (rb'{"escalation_reason": "a\u0000b"}', "escalation_reason"),
        (rb'{"escalation_reason": "a\ud800b"}', "escalation_reason"),
        (rb'{"escalation_reason": "\udc00\ud800"}', "escalation_reason"),
        (rb'{"distinct_id": "\u0000"}', "distinct_id"),
        (rb'{"message": "\udfff"}', "message"),
        (rb'{"tags": ["ok", "\u0000"]}', "tags__1"),
        (rb'{"status": "\u0000"}', "status"),
        (rb'{"anonymous_traits": {"a": [{"b": "\u0000"}]}}', "anonymous_traits__a__0__b"),
        (rb'{"anonymous_traits": {"a\u0000": 1}}', "anonymous_traits__a\N{REPLACEMENT CHARACTER}"),
        (rb'{"anonymous_traits": {"\ud800": 1}}', "anonymous_traits__\N{REPLACEMENT CHARACTER}"),
        (rb'{"a\u0000": 1}', "a\N{REPLACEMENT CHARACTER}"),
        (rb'"\u0000"', None),
    ],
)
def test_text_with_nul_or_lone_surrogates_is_refused_where_it_stands(
    writer: ApiClient, project: Project, tickets_url: str, body: bytes, attr: str | None
) -> None:
    assert refusal(writer.post(tickets_url, body)) == (400, "invalid_input", attr)
    assert not Ticket.objects.in_project(project.pk).exists()


@pytest.mark.parametrize("below", ["/messages", "/reply"])
@pytest.mark.parametrize("bad", [rb"\u0000", rb"\ud83d"])
def test_messages_with_such_text_are_refused_as_well(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, below: str, bad: bytes
) -> None:
    make_ticket()
    name = b"content" if below == "/messages" else b"message"

    for body in (
        b'{"%b": "%b"}' % (name, bad),
        b'{"%b": "x", "rich_content": {"%b": 1}}' % (name, bad),
        b'{"%b": "x", "rich_content": ["%b"]}' % (name, bad),
    ):
        assert refusal(writer.post(f"{tickets_url}/1{below}", body))[:2] == (400, "invalid_input")


def test_a_pair_of_surrogates_is_a_character(writer: ApiClient, tickets_url: str) -> None:
    response = writer.post(tickets_url, rb'{"escalation_reason": "\ud83c\udf89"}')

    assert response.json()["escalation_reason"] == "\N{PARTY POPPER}"


@pytest.mark.parametrize(
    "text", ["\N{ZERO WIDTH SPACE}", "\x01\x1f\x7f", "\u202eabc", "\ufeff", "\u2028"]
)
def test_any_other_character_is_kept(make_ticket: MakeTicket, text: str) -> None:
    kept = f"<{text}>"

    assert make_ticket(message=kept)["last_message_text"] == kept


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "\xff"}',
        '{"status": "open"}'.encode("utf-16"),
        '{"escalation_reason": "é"}'.encode("latin-1"),
        b'{"escalation_reason": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_not_utf_8_is_refused(writer: ApiClient, tickets_url: str, body: bytes) -> None:
    assert refusal(writer.post(tickets_url, body)) == PARSE_ERROR


# --- Numbers ---


@pytest.mark.parametrize(
    "number",
    [
        2**63 - 1,
        -(2**63),
        0,
        1.5,
        1e300,
        -1e-300,
        5e-324,
        1.7976931348623157e308,
        2.0**63,
        1e19,
        1e22,
    ],
)
def test_a_number_of_64_bits_or_a_double_survives(
    writer: ApiClient, tickets_url: str, number: float
) -> None:
    created = writer.post(tickets_url, traits(repr(number)))

    assert created.json()["anonymous_traits"]["x"] == number
    stored = writer.get(f"{tickets_url}/1").json()
    assert stored["anonymous_traits"]["x"] == number
    assert writer.patch(f"{tickets_url}/1", stored).json() == stored


@pytest.mark.parametrize(
    "number", [2**63, -(2**63) - 1, 2**64, 2**65, 10**20, "9" * 5000, "-" + "9" * 5000]
)
def test_an_integer_beyond_64_bits_is_refused(
    writer: ApiClient, tickets_url: str, number: Any
) -> None:
    assert refusal(writer.post(tickets_url, traits(str(number)))) == PARSE_ERROR


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + "0" * 400 + ".0", "1e" + "9" * 5000])
def test_a_number_beyond_doubles_is_refused(
    writer: ApiClient, tickets_url: str, number: str
) -> None:
    assert refusal(writer.post(tickets_url, traits(number))) == PARSE_ERROR


@pytest.mark.parametrize(
    "word", ["NaN", "Infinity", "-Infinity", "nan", "True", "None", "01", "+1", "1."]
)
def test_what_is_no_json_number_is_refused(writer: ApiClient, tickets_url: str, word: str) -> None:
    assert refusal(writer.post(tickets_url, traits(word))) == PARSE_ERROR


def test_a_number_with_very_many_digits_is_the_nearest_double(
    writer: ApiClient, tickets_url: str
) -> None:
    response = writer.post(tickets_url, traits("0." + "3" * 5000))

    assert response.json()["anonymous_traits"]["x"] == 1 / 3


# --- Shape ---


def test_thirty_two_levels_are_taken(writer: ApiClient, tickets_url: str) -> None:
    # The body and the traits are two of them.
    response = writer.post(tickets_url, traits(nested(30)))

    assert response.status_code == 201
    assert writer.get(f"{tickets_url}/1").json() == response.json()


@pytest.mark.parametrize("levels", [31, 100, 10_000, 500_000])
def test_more_levels_are_refused(writer: ApiClient, tickets_url: str, levels: int) -> None:
    assert refusal(writer.post(tickets_url, traits(nested(levels)))) == PARSE_ERROR


@pytest.mark.parametrize("levels", [31, 10_000])
def test_nested_objects_are_counted_like_lists(
    writer: ApiClient, tickets_url: str, levels: int
) -> None:
    deep = '{"a":' * levels + "1" + "}" * levels

    assert refusal(writer.post(tickets_url, traits(deep))) == PARSE_ERROR


def test_an_unknown_field_is_no_place_for_depth_either(writer: ApiClient, tickets_url: str) -> None:
    body = f'{{"slack_thread": {nested(32)}}}'.encode()

    assert refusal(writer.post(tickets_url, body)) == PARSE_ERROR


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": "open", "status": "new"}',
        b'{"anonymous_traits": {"a": 1, "a": 1}}',
        rb'{"tags": [], "t\u0061gs": []}',
    ],
)
def test_a_name_given_twice_is_refused(writer: ApiClient, tickets_url: str, body: bytes) -> None:
    assert refusal(writer.post(tickets_url, body)) == PARSE_ERROR


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b'"text"', b'""', b"5", b"0", b"true", b"false"])
@pytest.mark.parametrize("below", ["", "/1", "/1/messages", "/1/reply", "/1/mark_unread"])
def test_a_body_that_is_no_object_is_refused(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, body: bytes, below: str
) -> None:
    ticket = make_ticket()

    response = writer.request("PATCH" if below == "/1" else "POST", tickets_url + below, body)

    assert refusal(response) == (400, "invalid_input", None)
    assert writer.get(tickets_url).json()["results"] == [ticket]


@pytest.mark.parametrize("below", ["", "/1", "/1/messages", "/1/reply", "/1/mark_unread"])
def test_null_is_no_body(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, below: str
) -> None:
    ticket = make_ticket()

    response = writer.request("PATCH" if below == "/1" else "POST", tickets_url + below, b"null")

    assert refusal(response) == (400, "null", None)
    assert writer.get(tickets_url).json()["results"] == [ticket]


@pytest.mark.parametrize("body", [b" ", b"\n", b"{}{}", b'{"a"}', b"{,}", b'{"a":1,}', b"// x\n{}"])
def test_what_is_nearly_json_is_refused(writer: ApiClient, tickets_url: str, body: bytes) -> None:
    assert refusal(writer.post(tickets_url, body)) == PARSE_ERROR


# --- Size ---


def test_a_body_of_exactly_one_mebibyte_is_read(writer: ApiClient, tickets_url: str) -> None:
    body = b'{"status": "open"}'

    response = writer.post(tickets_url, body + b" " * (MIB - len(body)))

    assert response.status_code == 201
    assert response.json()["status"] == "open"


def test_one_byte_more_is_not(writer: ApiClient, project: Project, tickets_url: str) -> None:
    body = b'{"status": "open"}'

    response = writer.post(tickets_url, body + b" " * (MIB + 1 - len(body)))

    assert refusal(response) == (413, "request_too_large", None)
    assert not Ticket.objects.in_project(project.pk).exists()


@pytest.mark.parametrize("tag", ["x", " ", 5])
def test_very_many_tags_are_one_failure(writer: ApiClient, tickets_url: str, tag: Any) -> None:
    response = writer.post(tickets_url, {"tags": [tag] * 150_000})

    assert failures(response) == {("max_length", "tags")}


def test_very_many_traits_are_one_failure(writer: ApiClient, tickets_url: str) -> None:
    many = {str(number): number for number in range(60_000)}

    response = writer.post(tickets_url, {"anonymous_traits": many})

    assert failures(response) == {("max_length", "anonymous_traits")}


@pytest.mark.parametrize(
    ("below", "prefix"),
    [("tickets", ""), ("tickets", "assignee"), ("views", ""), ("views", "filters")],
)
def test_of_very_many_unknown_names_a_hundred_are_listed(
    writer: ApiClient, tickets_url: str, below: str, prefix: str
) -> None:
    many: dict[str, Any] = dict.fromkeys(["x" * 10_000, *map(str, range(3_000))], 1)
    body = {prefix: {"type": "user", "id": 1, **many}} if prefix else many

    response = writer.post(tickets_url.replace("tickets", below), body)

    listed = [attr for code, attr in failures(response) if code == "unknown_field"]
    assert len(listed) == 100
    assert max(len(str(attr)) for attr in listed) <= len("filters__") + 200


# --- Names ---


@pytest.mark.parametrize(
    "name",
    [
        "ai_triage",
        "organization_id",
        "slack_channel_id",
        "slack_thread_ts",
        "slack_",
        "github_repo",
        "github_issue_number",
        "email_to",
        "cc_participants",
    ],
)
def test_names_that_only_posthogs_tickets_have_are_ignored(
    writer: ApiClient, tickets_url: str, name: str
) -> None:
    created = writer.post(tickets_url, {name: {"any": ["thing"]}})
    assert created.status_code == 201

    changed = writer.patch(f"{tickets_url}/1", {name: 5})
    assert (changed.status_code, changed.json()) == (200, created.json())


@pytest.mark.parametrize(
    "name",
    ["state", "Status", "status ", "ai_triage_", "slack", "githubrepo", "email_to_", "", "1"],
)
def test_any_other_name_is_unknown(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, name: str
) -> None:
    ticket = make_ticket()

    for method, url in (("POST", tickets_url), ("PATCH", f"{tickets_url}/1")):
        response = writer.request(method, url, {name: 1, "priority": "low"})
        assert failures(response) == {("unknown_field", name)}
    assert writer.get(tickets_url).json()["results"] == [ticket]


@pytest.mark.parametrize("below", ["/1/messages", "/1/reply"])
def test_messages_know_no_names_of_tickets(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, below: str
) -> None:
    make_ticket()

    response = writer.post(
        tickets_url + below, {"content": "x", "message": "x", "slack_thread": 1, "status": "open"}
    )

    assert {("unknown_field", "slack_thread"), ("unknown_field", "status")} <= failures(response)


@pytest.mark.parametrize(
    ("method", "below"),
    [
        ("POST", ""),
        ("PATCH", "/1"),
        ("PUT", "/1"),
        ("DELETE", "/1"),
        ("POST", "/1/mark_unread"),
        ("POST", "/1/messages"),
        ("POST", "/1/reply"),
        ("GET", "/unread_count"),
    ],
)
def test_a_parameter_that_does_not_exist_stops_every_request(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str, method: str, below: str
) -> None:
    ticket = make_ticket()

    response = writer.request(method, tickets_url + below, query={"dry_run": "true"})

    assert refusal(response) == (400, "unknown_parameter", "dry_run")
    assert writer.get(tickets_url).json()["results"] == [ticket]
