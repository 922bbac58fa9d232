"""The OpenAPI document and its pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from conversations.models import ChannelSource, Priority, Status
from tests.api import SCHEMA_FILE, ApiClient

WIDGET = "/api/conversations/v1/widget/"
OPERATIONS = {
    "tickets_list",
    "tickets_create",
    "tickets_retrieve",
    "tickets_update",
    "tickets_partial_update",
    "tickets_destroy",
    "tickets_unread_count_retrieve",
    "tickets_mark_unread_create",
    "tickets_messages_list",
    "tickets_messages_create",
    "tickets_reply_create",
}


@pytest.fixture(scope="module")
def committed() -> Any:
    return yaml.safe_load(SCHEMA_FILE.read_text())


def operations(schema: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def routes(patterns: list[Any], before: str = "/") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield re.sub("<str:([a-z_]+)>", r"{\1}", route), pattern.callback


def test_the_committed_document_is_current_and_made_without_warnings(tmp_path: Path) -> None:
    fresh = tmp_path / "openapi.yaml"

    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(fresh))

    assert fresh.read_text() == SCHEMA_FILE.read_text(), "run `make schema`, and commit it"


def test_it_is_openapi_3_1_with_valid_json_schemas(committed: Any) -> None:
    assert committed["openapi"].startswith("3.1.")
    for schema in committed["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(committed: Any) -> None:
    references = set(re.findall(r"#/components/schemas/(\w+)", SCHEMA_FILE.read_text()))

    assert references <= set(committed["components"]["schemas"])


def test_operation_ids_are_stable_and_unique(committed: Any) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(committed)]

    assert len(ids) == len(set(ids))
    assert set(ids) >= OPERATIONS


def test_enums_have_stable_names(committed: Any) -> None:
    schemas = committed["components"]["schemas"]

    assert schemas["TicketStatus"]["enum"] == Status.values
    assert schemas["ChannelSource"]["enum"] == ChannelSource.values
    assert schemas["TicketPriority"]["enum"] == Priority.values
    assert set(schemas["AuthorType"]["enum"]) == {"customer", "AI", "support"}


def test_every_method_of_every_route_is_in_it_and_nothing_else(committed: Any) -> None:
    routed = {
        (route, method)
        for route, view in routes(get_resolver().url_patterns)
        if route.startswith(("/api/projects/", WIDGET))
        for method in view.actions
        if method != "head"
    }

    assert {(path, method) for path, method, _ in operations(committed)} == routed


def test_no_path_has_a_final_slash(committed: Any) -> None:
    assert not [path for path in committed["paths"] if path.endswith("/")]


def test_every_operation_names_its_scope_and_its_errors(committed: Any) -> None:
    for path, method, operation in operations(committed):
        if path.startswith(WIDGET):
            continue
        scopes = " and ".join(f"`{scope}`" for scope in operation["security"][0]["ApiKey"])
        assert f"Scope: {scopes}." in operation["description"], (path, method)
        assert {"400", "401", "403", "405", "500", "503"} <= operation["responses"].keys()
        assert ("404" in operation["responses"]) == (path.count("{") > 1)
        assert ("415" in operation["responses"]) == (method in ("post", "put", "patch"))
        for answer in operation["responses"].values():
            assert "X-Request-ID" in answer["headers"]


def test_every_operation_of_the_widget_names_its_token_and_its_errors(committed: Any) -> None:
    for path, method, operation in operations(committed):
        if path.startswith(WIDGET):
            assert operation["security"] == [{"PublicToken": []}]
            answers = operation["responses"].keys()
            assert {"200", "400", "403", "405", "429", "500", "503"} <= answers, (path, method)
            assert "401" not in answers
            assert "Retry-After" in operation["responses"]["429"]["headers"]


def test_every_post_that_may_be_repeated_says_so(committed: Any) -> None:
    for path, method, operation in operations(committed):
        named = {parameter["name"] for parameter in operation.get("parameters", [])}
        may_be = method == "post" and (not path.startswith(WIDGET) or path.endswith("/message"))
        assert ("Idempotency-Key" in named) == may_be, (path, method)
        assert not may_be or {"409", "422"} <= operation["responses"].keys()


def test_every_parameter_is_described(committed: Any) -> None:
    undescribed = {
        (operation["operationId"], parameter["name"])
        for _, _, operation in operations(committed)
        for parameter in operation.get("parameters", [])
        if not parameter.get("description") and "enum" not in parameter["schema"]
    }

    assert undescribed == set()


# --- As generators of clients read it ---


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in it."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict):
        yield node
    for child in children:
        yield from nodes(child)


def test_the_values_of_a_named_enum_stand_in_its_component_alone(committed: Any) -> None:
    schemas = committed["components"]["schemas"]
    named = [schema for schema in schemas.values() if "enum" in schema]
    values = [tuple(node["enum"]) for node in nodes(committed) if "enum" in node]

    assert len(named) > 10
    assert {values.count(tuple(schema["enum"])) for schema in named} == {1}


def test_null_is_a_type_and_no_enum(committed: Any) -> None:
    assert not [name for name in committed["components"]["schemas"] if name.endswith("Enum")]
    assert not [node for node in nodes(committed) if None in node.get("enum", [])]


def test_no_field_has_a_default_that_a_generated_client_would_send(committed: Any) -> None:
    """A change of one field would reset the others, and TypeScript would demand them all."""
    fields = [
        (name, field)
        for name, schema in committed["components"]["schemas"].items()
        for field, value in schema.get("properties", {}).items()
        if "default" in value
    ]
    message = committed["components"]["schemas"]["MessageRequest"]["properties"]

    assert fields == []
    assert message["is_private"]["description"] == "Default: `false`."


def test_a_generated_client_sends_no_order_where_a_view_has_one(committed: Any) -> None:
    operation = committed["paths"]["/api/projects/{project_id}/conversations/tickets"]["get"]
    [order_by] = [entry for entry in operation["parameters"] if entry["name"] == "order_by"]

    assert "default" not in order_by["schema"]
    assert len(order_by["schema"]["x-enum-varnames"]) == len(order_by["schema"]["enum"])


# --- Served ---


@pytest.mark.parametrize("accept", ["application/json", "application/vnd.oai.openapi+json"])
def test_the_document_is_served_as_json(committed: Any, accept: str) -> None:
    response = ApiClient().client.get("/api/schema", headers={"accept": accept})

    assert response.status_code == 200
    assert "json" in response.headers["Content-Type"]
    assert response.json() == committed


@pytest.mark.parametrize("accept", ["*/*", "application/yaml", "application/vnd.oai.openapi"])
def test_the_document_is_served_as_yaml(committed: Any, accept: str) -> None:
    response = ApiClient().client.get("/api/schema", headers={"accept": accept})

    assert response.status_code == 200
    assert yaml.safe_load(response.content) == committed


@pytest.mark.parametrize("url", ["/api/docs", "/api/redoc"])
def test_a_page_names_no_other_host(url: str) -> None:
    response = ApiClient().client.get(url)

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    page = response.content.decode()
    assert re.findall(r"(?:src|href)=[\"'](?:https?:)?//[^\"']+", page) == []
    assert re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]+", page) == []
    assert "http://" not in page.replace("http://testserver", "")


@pytest.mark.parametrize("url", ["/api/docs", "/api/redoc"])
def test_what_a_page_loads_is_there(url: str) -> None:
    client = ApiClient().client
    page = client.get(url).content.decode()

    assets = re.findall(r"(?:src|href)=[\"'](/[^\"']+)[\"']", page)

    assert [asset for asset in assets if asset.endswith(".js")]
    for asset in assets:
        response = client.get(asset)
        # Closing ends the file that is being served.
        response.close()
        assert response.status_code == 200, asset


@pytest.mark.parametrize("url", ["/api/docs", "/api/redoc"])
def test_a_page_may_load_nothing_from_elsewhere(url: str) -> None:
    policy = ApiClient().client.get(url).headers["Content-Security-Policy"]

    sources = set(re.split(r"[ ;]+", policy))
    assert "default-src" in sources
    assert not [source for source in sources if "://" in source or source in ("*", "https:")]
