"""Everything that a stranger can make large has a bound, and the schema names it."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
import yaml

from conversations.models import Ticket
from projects.models import Project
from rest.media import StrictJSONParser
from tests.api import SCHEMA_FILE, ApiClient
from tests.conftest import MakeTicket
from tests.refusals import failures, refusal

KIB = 1024
# Compared and never kept; with all other headers they have the 64 KiB that the server reads.
BOUNDED_BY_THE_SERVER = {"header If-Match", "header If-None-Match"}
# Their form bounds them.
FORMATS = {"uuid", "date-time"}

Schema = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Any:
    return yaml.safe_load(SCHEMA_FILE.read_text())


def inputs(document: Any) -> Iterator[tuple[str, Schema]]:
    """Every parameter and every body, with its place."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                yield f"{parameter['in']} {parameter['name']}", parameter["schema"]
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield operation["operationId"], content["schema"]


def is_bounded_text(schema: Schema) -> bool:
    if "maxLength" in schema or schema.get("format") in FORMATS:
        return True
    pattern = schema.get("pattern", "")
    is_anchored = pattern.startswith("^") and pattern.endswith("$")
    return is_anchored and not re.search(r"[*+]|,\}", pattern)


def unbounded(document: Any, place: str, schema: Schema) -> Iterator[str]:
    """The places in a schema where a value can be as large as its sender likes."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema or "x-max-bytes" in schema:
        return
    branches = [branch for key in ("oneOf", "anyOf", "allOf") for branch in schema.get(key, [])]
    for branch in branches:
        yield from unbounded(document, place, branch)
    types = schema.get("type", [])
    types = types if isinstance(types, list) else [types]
    if not types and not branches:
        yield f"{place}: anything"
    if "string" in types and not is_bounded_text(schema):
        yield f"{place}: text"
    if {"integer", "number"} & set(types) and not ({"minimum", "maximum"} <= schema.keys()):
        yield f"{place}: number"
    if "array" in types:
        if "maxItems" not in schema:
            yield f"{place}: list"
        yield from unbounded(document, f"{place}[]", schema["items"])
    if "object" in types:
        if schema.get("additionalProperties", False) is not False:
            yield f"{place}: names"
        for name, inner in schema.get("properties", {}).items():
            yield from unbounded(document, f"{place}.{name}", inner)


def test_every_input_that_the_schema_names_is_bounded(document: Any) -> None:
    found = {
        where
        for place, schema in inputs(document)
        if place not in BOUNDED_BY_THE_SERVER
        for where in unbounded(document, place, schema)
    }

    assert found == set()


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string"},
        {"type": "string", "format": "uri"},
        {"type": "string", "pattern": "^[0-9]+$"},
        {"type": "string", "pattern": "^[0-9]{1,}$"},
        {"type": "string", "pattern": "[0-9]"},
        {"type": "integer", "minimum": 1},
        {"type": "array", "items": {"type": "boolean"}},
        {"type": "array", "items": {"type": "string"}, "maxItems": 1},
        {"type": "object", "additionalProperties": {}},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"oneOf": [{"type": "string", "maxLength": 1}, {"type": "string"}]},
    ],
)
def test_what_has_no_bound_is_found(document: Any, schema: Schema) -> None:
    assert list(unbounded(document, "body", schema))


def test_a_body_refuses_other_fields_in_the_schema_as_it_does_in_fact(document: Any) -> None:
    lenient = {
        place
        for place, schema in inputs(document)
        if "$ref" in schema
        and not place.startswith(("query ", "path ", "header "))
        and "additionalProperties"
        not in document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    }

    assert {place for place in lenient if not place.startswith("widget_")} == set()


def test_the_description_says_what_holds_for_every_request(document: Any) -> None:
    for limit in ("1 MiB", "32 levels", "64 KiB", "x-max-bytes"):
        assert limit in document["info"]["description"]


# --- What the schema says is so ---


@pytest.mark.parametrize(
    ("field", "attr"), [("session_context", "session_context"), ("anonymous_traits",) * 2]
)
def test_a_free_object_of_a_ticket_has_16_kib(
    writer: ApiClient, project: Project, tickets_url: str, field: str, attr: str
) -> None:
    just, more = ({"a": "x" * (16 * KIB - len('{"a":""}') + n)} for n in (0, 1))

    assert writer.post(tickets_url, {field: just}).status_code == 201
    assert refusal(writer.post(tickets_url, {field: more})) == (400, "max_length", attr)
    assert Ticket.objects.in_project(project.pk).count() == 1


def test_very_many_event_types_are_one_failure(client_for: Any, project: Project) -> None:
    client = client_for(project, "*")

    response = client.post(
        f"/api/projects/{project.pk}/webhooks",
        {"url": "https://example.com/", "event_types": ["none"] * 100_000},
    )

    assert failures(response) == {("max_length", "event_types")}


@pytest.mark.parametrize(
    ("filters", "attr"),
    [
        ({"tags": ["x"] * 51}, "filters__tags"),
        ({"tagsExclude": ["x"] * 51}, "filters__tagsExclude"),
        ({"status": ["open"] * 101}, "filters__status"),
        ({"priority": ["low"] * 101}, "filters__priority"),
        ({"assignee": ["user:1"] * 101}, "filters__assignee"),
        ({"search": "x" * 201}, "filters__search"),
        ({"dateFrom": "1" * 41}, "filters__dateFrom"),
        ({"sla": "x" * 1000}, "filters__sla"),
    ],
)
def test_the_filters_of_a_view_have_the_lists_bounds(
    writer: ApiClient, project: Project, filters: dict[str, Any], attr: str
) -> None:
    response = writer.post(
        f"/api/projects/{project.pk}/conversations/views", {"name": "x", "filters": filters}
    )

    assert (response.status_code, response.json()["attr"]) == (400, attr)


@pytest.mark.parametrize("limit", [str(2**63), "9" * 30, "9" * 5000])
def test_a_limit_beyond_64_bits_is_a_400(reader: ApiClient, tickets_url: str, limit: str) -> None:
    assert reader.get(tickets_url, limit=limit).status_code == 400


def test_a_limit_of_64_bits_is_cut(
    reader: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket()

    assert reader.get(tickets_url, limit=2**63 - 1).json()["count"] == 1


def test_a_query_has_a_thousand_parameters_at_most(reader: ApiClient, tickets_url: str) -> None:
    response = reader.client.get(
        f"{tickets_url}?{'&'.join(f'a{n}=1' for n in range(1001))}", headers=reader.headers
    )

    assert refusal(response) == (400, "parse_error", None)
    assert "settings" not in response.json()["detail"]


def test_a_long_name_around_many_entries_takes_little_more_than_the_body() -> None:
    body = json.dumps({"a" * 50_000: [1] * 20_000 + [[]] * 20_000}).encode()
    tracemalloc.start()
    try:
        StrictJSONParser().parse(BytesIO(body))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 50 * len(body)
