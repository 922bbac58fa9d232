"""A change of the schema that breaks clients is found, and has to be named in the changelog."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compatibility import Change, changes, main, unnamed

TICKETS = "/api/tickets"
TEXT = {"type": "string"}
FEW = {"type": "string", "enum": ["new", "open"]}
MORE = {"type": "string", "enum": ["new", "open", "resolved"]}


def document(sent: Any = TEXT, got: Any = TEXT, **operation: Any) -> Any:
    """A schema of one operation, with `Sent` in its body and `Got` in its answer."""
    return {
        "paths": {
            TICKETS: {
                "post": {
                    "operationId": "tickets_create",
                    "security": [{"ApiKey": ["ticket:write"]}, {"AgentSession": []}],
                    "parameters": [QUERY],
                    "requestBody": {"content": content("Sent")},
                    "responses": {
                        "200": {"headers": {"ETag": {}}, "content": content("Got")},
                        "404": {"description": "Not found."},
                    },
                    **operation,
                }
            }
        },
        "components": {"schemas": {"Sent": sent, "Got": got}},
    }


def content(name: str) -> Any:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


QUERY = {"in": "query", "name": "status", "schema": {"type": "array", "items": MORE}}


def broken(before: Any, after: Any) -> list[str]:
    return [change.place for change in changes(before, after) if change.breaks]


# --- What a client sends may be taken more freely, what it gets be promised more strictly ---


def fields(*required: str, **properties: Any) -> Any:
    return {"type": "object", "properties": properties, "required": list(required)}


# Before and after, and whether that breaks who sends it, and who gets it.
SCHEMAS: dict[str, tuple[Any, Any, bool, bool]] = {
    "another type": (TEXT, {"type": "boolean"}, True, True),
    "a wider type": ({"type": "integer"}, {"type": "number"}, False, True),
    "a narrower type": ({"type": "number"}, {"type": "integer"}, True, False),
    "null as well": (TEXT, {"type": ["string", "null"]}, False, True),
    "null no more": ({"type": ["string", "null"]}, TEXT, True, False),
    "null in another spelling": (
        {"type": ["string", "null"]},
        {"oneOf": [TEXT, {"type": "null"}]},
        False,
        False,
    ),
    "one of more": (TEXT, {"oneOf": [TEXT, {"type": "integer"}]}, False, True),
    "one of fewer": ({"oneOf": [TEXT, {"type": "integer"}]}, TEXT, True, False),
    "anything": (TEXT, {}, False, True),
    "no longer anything": ({}, TEXT, True, False),
    "a value more": (FEW, MORE, False, False),
    "a value less": (MORE, FEW, True, False),
    "values alone": (TEXT, FEW, True, False),
    "any value": (FEW, TEXT, False, True),
    "a first limit": (TEXT, {**TEXT, "maxLength": 10}, True, False),
    "a lower limit": ({**TEXT, "maxLength": 10}, {**TEXT, "maxLength": 9}, True, False),
    "a higher limit": ({**TEXT, "maxLength": 10}, {**TEXT, "maxLength": 11}, False, False),
    "no limit": ({**TEXT, "maxLength": 10}, TEXT, False, False),
    "a first least": (TEXT, {**TEXT, "minLength": 1}, True, False),
    "a higher least": ({**TEXT, "minLength": 1}, {**TEXT, "minLength": 2}, True, False),
    "a lower least": ({**TEXT, "minLength": 2}, {**TEXT, "minLength": 1}, False, False),
    "a first pattern": (TEXT, {**TEXT, "pattern": "^a"}, True, False),
    "no pattern": ({**TEXT, "pattern": "^a"}, TEXT, False, True),
    "another format": ({**TEXT, "format": "uuid"}, {**TEXT, "format": "uri"}, True, True),
    "another default": ({**TEXT, "default": "a"}, {**TEXT, "default": "b"}, True, False),
    "a field more": (fields(), fields(tags=TEXT), False, False),
    "a field less": (fields(tags=TEXT), fields(), True, True),
    "a required field more": (fields(), fields("tags", tags=TEXT), True, False),
    "a required field less": (fields("tags", tags=TEXT), fields(), True, True),
    "a field required": (fields(tags=TEXT), fields("tags", tags=TEXT), True, False),
    "a field optional": (fields("tags", tags=TEXT), fields(tags=TEXT), False, True),
    "a field narrower": (fields(tags=MORE), fields(tags=FEW), True, False),
    "a field wider": (fields(tags=FEW), fields(tags=TEXT), False, True),
    "items narrower": (
        {"type": "array", "items": {"type": "number"}},
        {"type": "array", "items": {"type": "integer"}},
        True,
        False,
    ),
    "no other fields": (
        {"type": "object"},
        {"type": "object", "additionalProperties": False},
        True,
        False,
    ),
    "other fields wider": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "additionalProperties": {"type": "number"}},
        False,
        True,
    ),
    "every item once": ({"type": "array"}, {"type": "array", "uniqueItems": True}, True, False),
    "another spelling of a reference": (
        {"allOf": [{"$ref": "#/components/schemas/Got"}]},
        {"$ref": "#/components/schemas/Got"},
        False,
        False,
    ),
}


@pytest.mark.parametrize("case", SCHEMAS)
def test_what_breaks_who_sends_it(case: str) -> None:
    before, after, breaks, _ = SCHEMAS[case]

    assert bool(broken(document(sent=before), document(sent=after))) == breaks


@pytest.mark.parametrize("case", [case for case in SCHEMAS if "reference" not in case])
def test_what_breaks_who_gets_it(case: str) -> None:
    before, after, _, breaks = SCHEMAS[case]

    assert bool(broken(document(got=before), document(got=after))) == breaks


def test_a_new_value_in_answers_is_told() -> None:
    assert changes(document(got=FEW), document(got=MORE)) == [
        Change("Got", "can now be ['resolved'].", breaks=False)
    ]


def test_a_field_is_named_with_the_schema_that_it_is_in() -> None:
    before = document(got=fields(person=fields("name", name=TEXT)))
    after = document(got=fields(person=fields()))

    assert broken(before, after) == ["Got.person.name"]


def test_what_a_schema_refers_to_is_compared_once_and_under_its_own_name() -> None:
    def with_person(person: Any) -> Any:
        reference = {"$ref": "#/components/schemas/Person"}
        nullable = {"oneOf": [reference, {"type": "null"}]}
        result = document(got=fields(person=nullable, other=reference))
        result["components"]["schemas"]["Person"] = person
        return result

    assert broken(with_person(fields(name=TEXT)), with_person(fields())) == ["Person.name"]


def test_a_schema_with_another_name_is_gone() -> None:
    after = document()
    after["components"]["schemas"]["Given"] = after["components"]["schemas"].pop("Got")
    operation = after["paths"][TICKETS]["post"]
    operation["responses"]["200"]["content"] = content("Given")

    assert broken(document(), after) == ["Got"]


# --- Operations ---

POST = f"POST {TICKETS}"
ANSWER = document()["paths"][TICKETS]["post"]["responses"]
OPERATIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "another id": ({"operationId": "create_ticket"}, [POST]),
    "another scope": ({"security": [{"ApiKey": ["*"]}, {"AgentSession": []}]}, [POST]),
    "a scope more": (
        {"security": [{"ApiKey": ["ticket:write", "person:read"]}, {"AgentSession": []}]},
        [POST],
    ),
    "no scope": ({"security": [{"ApiKey": []}, {"AgentSession": []}]}, []),
    "no sessions": ({"security": [{"ApiKey": ["ticket:write"]}]}, [POST]),
    "open to all": ({"security": [{}]}, []),
    "no parameter": ({"parameters": []}, [f"{POST} status"]),
    "a parameter more": ({"parameters": [QUERY, {**QUERY, "name": "tags"}]}, []),
    "a required parameter more": (
        {"parameters": [QUERY, {**QUERY, "name": "tags", "required": True}]},
        [f"{POST} tags"],
    ),
    "a parameter required": ({"parameters": [{**QUERY, "required": True}]}, [f"{POST} status"]),
    "a parameter elsewhere": (
        {"parameters": [{**QUERY, "in": "header"}]},
        [f"{POST} status"],
    ),
    "a parameter with commas": (
        {"parameters": [{**QUERY, "style": "form", "explode": False}]},
        [f"{POST} status"],
    ),
    "the form that it has anyway": (
        {"parameters": [{**QUERY, "style": "form", "explode": True}]},
        [],
    ),
    "a parameter narrower": (
        {"parameters": [{**QUERY, "schema": {"type": "array", "items": FEW}}]},
        [f"{POST} status"],
    ),
    "a body required": ({"requestBody": {"content": content("Sent"), "required": True}}, [POST]),
    "no body": ({"requestBody": None}, [POST]),
    "another media type": (
        {"requestBody": {"content": {"text/plain": content("Sent")["application/json"]}}},
        [POST],
    ),
    "a status less": ({"responses": {"200": ANSWER["200"]}}, [f"{POST} 404"]),
    "a status more": ({"responses": {**ANSWER, "410": {}}}, []),
    "no header": (
        {"responses": {**ANSWER, "200": {"content": content("Got")}}},
        [f"{POST} 200"],
    ),
}


@pytest.mark.parametrize("case", OPERATIONS)
def test_what_breaks_callers_of_an_operation(case: str) -> None:
    operation, places = OPERATIONS[case]

    assert list(dict.fromkeys(broken(document(), document(**operation)))) == places


def test_an_operation_that_is_gone_breaks_its_callers() -> None:
    after = document()
    after["paths"]["/api/other"] = after["paths"].pop(TICKETS)

    assert broken(document(), after) == [POST]


def test_another_way_to_authenticate_and_another_address_break_everybody() -> None:
    before, after = document(), document()
    key = {"type": "apiKey", "in": "header", "name": "X-Token"}
    before["components"]["securitySchemes"] = {"Token": key, "ApiKey": {"type": "http"}}
    after["components"]["securitySchemes"] = {
        "Token": {**key, "name": "X-Other"},
        "ApiKey": {"type": "http", "description": "A key."},
    }
    after["servers"] = [{"url": "/v2"}]

    assert broken(before, after) == ["Token", "servers"]


# --- The changelog ---

CHANGELOG = """# Changelog

## Unreleased

- `Ticket.number` is new, and Breaking: `Ticket.title` is not.
- Breaking: `Message` has other fields, and
  `POST /api/tickets` is gone.
- Breaking: `Ticket.name` is gone, and so is `GET /api/tickets tags`.

## 0.1.0

- Breaking: `Ticket.mood` is gone.
"""


@pytest.mark.parametrize(
    ("place", "is_named"),
    [
        ("Ticket.name", True),
        ("Ticket.names", False),
        ("Ticket", False),
        ("Message", True),
        ("Message.content", True),
        ("Messages", False),
        ("POST /api/tickets", True),
        ("POST /api/tickets status", True),
        ("PUT /api/tickets", False),
        ("GET /api/tickets tags", True),
        ("GET /api/tickets", False),
        ("Ticket.number", False),
        ("Ticket.title", False),
        ("Ticket.mood", False),
    ],
)
def test_only_a_breaking_entry_of_this_release_names_what_breaks(
    place: str, is_named: bool
) -> None:
    change = Change(place, "is gone.")

    assert unnamed([change], CHANGELOG) == ([] if is_named else [change])


def test_what_breaks_nobody_needs_no_name() -> None:
    assert unnamed([Change("Ticket.status", "can now be more.", breaks=False)], CHANGELOG) == []


# --- The command ---


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """A schema whose body has lost a field since the last release."""
    contents = {
        "schema": yaml.safe_dump(document(sent=fields())),
        "released": yaml.safe_dump({"x-release": "0.1.0", **document(sent=fields(tags=TEXT))}),
        "changelog": CHANGELOG,
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    return [word for name in contents for word in (f"--{name}", str(tmp_path / name))]


def test_it_fails_for_what_the_changelog_does_not_name(options: list[str]) -> None:
    assert "`Sent.tags` is gone." in str(main(options))


def test_it_passes_once_the_changelog_names_it(options: list[str], tmp_path: Path) -> None:
    changelog = CHANGELOG.replace("- Breaking: `Ticket.name`", "- Breaking: `Sent.tags`")
    (tmp_path / "changelog").write_text(changelog)

    assert main(options) is None


def test_after_a_release_its_schema_is_asked_for(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "changelog").write_text("## Unreleased\n\n## 0.2.0\n\n- Breaking: `Sent.tags`.\n")

    assert "is not of 0.2.0" in str(main(options))
    assert main([*options, "--release"]) is None
    assert main(options) is None


def test_between_releases_nobody_moves_what_is_compared_with(options: list[str]) -> None:
    assert "give what is under Unreleased" in str(main([*options, "--release"]))
    assert "`Sent.tags` is gone." in str(main(options))


def test_words_for_people_break_nobody(options: list[str], tmp_path: Path) -> None:
    described = fields(tags={**TEXT, "description": "As they are kept.", "examples": ["vip"]})
    (tmp_path / "schema").write_text(yaml.safe_dump(document(sent=described)))

    assert main(options) is None


def test_a_field_may_be_called_like_words_for_people(options: list[str], tmp_path: Path) -> None:
    before = {"x-release": "0.1.0", **document(sent=fields(description=TEXT))}
    (tmp_path / "released").write_text(yaml.safe_dump(before))

    assert "`Sent.description` is gone." in str(main(options))


def test_the_committed_schema_breaks_nobody_unsaid() -> None:
    assert main([]) is None
