"""Which changes of the schema break clients of the last release: `python -m tests.compatibility`.

Each must be named under "Unreleased" in CHANGELOG.md, by an entry that begins with "Breaking:" and
has its place in backticks: `Ticket.priority`, or all of `Ticket`; `GET /api/… cursor`, or all of
`GET /api/…`. The last release is tests/released.yaml, without the words that are for people, so
that a copy of the tree without its history is judged as well; `--release` writes it anew.

What a client sends may only come to be taken more freely, what it gets may only be promised more
strictly. Names of operations and schemas are promised too: generated code is called by them.
A new value of an enum in answers breaks nobody who expects one, and is only told.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
SCHEMA = ROOT / "openapi.yaml"
RELEASED = ROOT / "tests/released.yaml"
CHANGELOG = ROOT / "CHANGELOG.md"

_COMPONENT = "#/components/schemas/"
_FOR_PEOPLE = ("description", "summary", "title", "example", "examples", "tags")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
# Compared one by one; whatever else a schema says has to stay as it is.
_KNOWN = {*_UPPER, *_LOWER, "type", "enum", "default", "properties", "required", "items"}
_KNOWN |= {"additionalProperties", "readOnly", "writeOnly", "deprecated"}


@dataclass(frozen=True, order=True)
class Change:
    """What is different at a place, which the changelog has to name if it breaks clients."""

    place: str
    what: str
    breaks: bool = True

    def __str__(self) -> str:
        return f"`{self.place}` {self.what}"


def changes(before: Any, after: Any) -> list[Change]:
    """What clients of `before` notice of `after`, two OpenAPI documents."""
    return sorted(set(_Comparison(before, after).changes()))


def unnamed(found: list[Change], changelog: str) -> list[Change]:
    """Those that break clients without being named in the changelog."""
    section = re.split(r"^## ", changelog.partition("## Unreleased")[2], flags=re.MULTILINE)[0]
    entries = re.findall(r"^- Breaking: (.*(?:\n  .*)*)", section, re.MULTILINE)
    named = {name for entry in entries for name in re.findall(r"`([^`]+)`", entry)}
    return [change for change in found if change.breaks and not named & set(_around(change.place))]


def _around(place: str) -> Iterator[str]:
    """The place, and the operation or schema that it is in."""
    yield place
    method, _, rest = place.partition(" ")
    yield f"{method} {rest.split(' ')[0]}" if rest.startswith("/") else place.split(".")[0]


class _Comparison:
    def __init__(self, before: Any, after: Any) -> None:
        self.before, self.after = before, after
        self.sent = _reachable(before, is_sent=True)
        self.got = _reachable(before, is_sent=False)

    def changes(self) -> Iterator[Change]:
        operations = dict(_operations(self.after))
        for place, operation in _operations(self.before):
            if place in operations:
                yield from self.operation(place, operation, operations[place])
            else:
                yield Change(place, "is gone.")
        if self.before.get("servers") != self.after.get("servers"):
            yield Change("servers", "has other addresses.")
        ways = self.after["components"].get("securitySchemes", {})
        for name, way in self.before["components"].get("securitySchemes", {}).items():
            if way != _for_programs(ways.get(name)):
                yield Change(name, "is no longer, or otherwise, how a client says who it is.")
        for name, schema in _schemas(self.before).items():
            new = _schemas(self.after).get(name)
            if new is None:
                yield Change(name, "is gone.")
                continue
            if name in self.sent:
                yield from self.schema(name, schema, new, is_sent=True)
            if name in self.got:
                yield from self.schema(name, schema, new, is_sent=False)

    def operation(self, place: str, before: Any, after: Any) -> Iterator[Change]:
        if before["operationId"] != after["operationId"]:
            yield Change(place, f"was called {before['operationId']}.")
        for way in before.get("security", []):
            if not any(_opens(way, other) for other in after.get("security", [{}])):
                yield Change(place, f"is no longer open to {way}.")
        yield from self.parameters(place, before, after)
        yield from self.body(place, before.get("requestBody"), after.get("requestBody"))
        for status, answer in before["responses"].items():
            if status in after["responses"]:
                yield from self.answer(f"{place} {status}", answer, after["responses"][status])
            else:
                yield Change(f"{place} {status}", "is no longer answered.")

    def parameters(self, place: str, before: Any, after: Any) -> Iterator[Change]:
        old, new = _parameters(before), _parameters(after)
        for key, parameter in new.items():
            if parameter.get("required") and not old.get(key, {}).get("required"):
                yield Change(f"{place} {key[1]}", "is required now.")
        for key, parameter in old.items():
            at = f"{place} {key[1]}"
            if key not in new:
                yield Change(at, f"is no longer taken in the {key[0]}.")
                continue
            if _style(parameter) != _style(new[key]):
                yield Change(at, "is sent in another form.")
            yield from self.schema(at, parameter["schema"], new[key]["schema"], is_sent=True)

    def body(self, place: str, before: Any, after: Any) -> Iterator[Change]:
        if after and after.get("required") and not (before and before.get("required")):
            yield Change(place, "requires a body now.")
        if before:
            yield from self.content(place, before, after or {}, is_sent=True)

    def answer(self, place: str, before: Any, after: Any) -> Iterator[Change]:
        for header in before.get("headers", {}):
            if header not in after.get("headers", {}):
                yield Change(place, f"has no header {header} any more.")
        yield from self.content(place, before, after, is_sent=False)

    def content(self, place: str, before: Any, after: Any, *, is_sent: bool) -> Iterator[Change]:
        for media_type, content in before.get("content", {}).items():
            new = after.get("content", {}).get(media_type)
            if new is None:
                yield Change(place, f"has no {media_type} any more.")
            elif "schema" in content:
                yield from self.schema(place, content["schema"], new["schema"], is_sent=is_sent)

    def schema(self, place: str, before: Any, after: Any, *, is_sent: bool) -> Iterator[Change]:
        if "$ref" in before and before == after:
            return  # What is in a component is compared there, once.
        old, new = _forms(self.before, before), _forms(self.after, after)
        narrow, wide = (old, new) if is_sent else (new, old)
        for form in narrow:
            match = _match(form, narrow, wide)
            if match is None:
                verb = "can no longer be" if is_sent else "can now be"
                yield Change(place, f"{verb} {form}.")
            elif match == form and form in _schemas(self.before):
                continue
            elif match != "anything":
                pair = (narrow[form], wide[match])
                yield from self.form(place, *(pair if is_sent else pair[::-1]), is_sent=is_sent)

    def form(self, place: str, before: Any, after: Any, *, is_sent: bool) -> Iterator[Change]:
        yield from _enum(place, before, after, is_sent=is_sent)
        strict, free = (after, before) if is_sent else (before, after)
        for key in sorted(strict.keys() - _KNOWN):
            if strict[key] != free.get(key):
                yield Change(place, f"has another {key}.")
        if is_sent:
            yield from _limits(place, before, after)
        yield from self.fields(place, before, after, is_sent=is_sent)
        for key in ("items", "additionalProperties"):
            old, new = (_as_schema(schema.get(key, {})) for schema in (before, after))
            if new is None and old is not None and is_sent:
                yield Change(place, "takes no other fields any more.")
            elif old is not None and new is not None:
                yield from self.schema(place, old, new, is_sent=is_sent)

    def fields(self, place: str, before: Any, after: Any, *, is_sent: bool) -> Iterator[Change]:
        old, new = before.get("properties", {}), after.get("properties", {})
        required_before, required = (set(schema.get("required", [])) for schema in (before, after))
        for name in sorted(required - required_before if is_sent else required_before - required):
            if is_sent or name in new:
                yield Change(
                    f"{place}.{name}", f"{'is required' if is_sent else 'may be absent'} now."
                )
        for name, schema in old.items():
            if name in new:
                yield from self.schema(f"{place}.{name}", schema, new[name], is_sent=is_sent)
            else:
                yield Change(f"{place}.{name}", "is gone.")


# --- One form of a value beside another ---


def _enum(place: str, before: Any, after: Any, *, is_sent: bool) -> Iterator[Change]:
    old, new = before.get("enum"), after.get("enum")
    if is_sent and new is not None:
        gone = "all but its values" if old is None else [value for value in old if value not in new]
        if gone:
            yield Change(place, f"no longer takes {gone}.")
    if not is_sent and old is not None:
        if new is None:
            yield Change(place, "can now be any value.")
        elif added := [value for value in new if value not in old]:
            yield Change(place, f"can now be {added}.", breaks=False)


def _limits(place: str, before: Any, after: Any) -> Iterator[Change]:
    for keys, sign in ((_UPPER, 1), (_LOWER, -1)):
        for key in keys:
            if key in after and (key not in before or sign * after[key] < sign * before[key]):
                yield Change(place, f"has a {key} of {after[key]} now.")
    if "default" in before and before["default"] != after.get("default", before["default"]):
        yield Change(place, f"is {after['default']} now when it is left out.")


def _match(form: str, narrow: Any, wide: Any) -> str | None:
    """The form that a value of this form has in `wide`; None: it may have none."""
    if form in wide:
        return form
    if "anything" in wide:
        return "anything"
    type_ = narrow[form].get("type")
    types = (type_, "number") if type_ == "integer" else (type_,)
    others = [name for name, schema in wide.items() if schema.get("type") in types]
    return others[0] if len(others) == 1 else None


def _forms(document: Any, schema: Any) -> dict[str, Any]:
    """What a value may be: types, and components by their names."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_COMPONENT)
        return {name: _schemas(document)[name]}
    forms: dict[str, Any] = {}
    # The framework writes `allOf` around a single reference that has more to say.
    assert len(schema.get("allOf", [])) < 2, "Two schemas at once can not be compared."
    alternatives = (schema.get(key, []) for key in ("oneOf", "anyOf", "allOf"))
    for alternative in itertools.chain.from_iterable(alternatives):
        forms |= _forms(document, alternative)
    types = schema.get("type", [])
    for type_ in [types] if isinstance(types, str) else types:
        forms[type_] = {**schema, "type": type_}
    return forms or {"anything": schema}


def _as_schema(value: Any) -> Any:
    """`items` and `additionalProperties` as a schema; None where nothing is allowed."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


# --- What is in a document ---


def _operations(document: Any) -> Iterator[tuple[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def _schemas(document: Any) -> dict[str, Any]:
    schemas: dict[str, Any] = document.get("components", {}).get("schemas", {})
    return schemas


def _parameters(operation: Any) -> dict[tuple[str, str], Any]:
    return {(entry["in"], entry["name"]): entry for entry in operation.get("parameters", [])}


def _style(parameter: Any) -> tuple[str, bool]:
    style = parameter.get("style", "form" if parameter["in"] in ("query", "cookie") else "simple")
    return style, parameter.get("explode", style == "form")


def _opens(way: dict[str, list[str]], other: dict[str, list[str]]) -> bool:
    """Whether who may come in by one way may do so by the other."""
    return all(set(scopes) <= set(way.get(scheme, ())) for scheme, scopes in other.items()) and (
        other.keys() <= way.keys()
    )


def _reachable(document: Any, *, is_sent: bool) -> set[str]:
    """The schemas of what clients send, or of what they get."""
    found: set[str] = set()
    waiting = set()
    for _, operation in _operations(document):
        sent = [operation.get("parameters"), operation.get("requestBody")]
        waiting |= set(_references(sent if is_sent else operation["responses"]))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting |= set(_references(_schemas(document)[name]))
    return found


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node["$ref"].removeprefix(_COMPONENT)
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _references(child)


# --- The command ---


def main(arguments: list[str] | None = None) -> str | None:
    """Returns what is wrong, if something is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schema", type=Path, default=SCHEMA)
    parser.add_argument("--released", type=Path, default=RELEASED)
    parser.add_argument("--changelog", type=Path, default=CHANGELOG)
    parser.add_argument("--release", action="store_true", help="the schema is that of a release")
    options = parser.parse_args(arguments)
    changelog = options.changelog.read_text()
    after, version = _read(options.schema), _last_release(changelog)
    if options.release:
        if options.released.exists() and re.search(r"## Unreleased\n+- ", changelog):
            return "First give what is under Unreleased in the changelog its version."
        released = {"x-release": version, **after}
        options.released.write_text(yaml.safe_dump(released, sort_keys=False, width=100))
        return None
    before = _read(options.released)
    if before["x-release"] != version:
        return (
            f"{options.released.name} is not of {version}: python -m tests.compatibility --release"
        )
    found = changes(before, after)
    for change in found:
        if not change.breaks:
            print(f"Note: {change}")
    missing = [f"  {change}" for change in unnamed(found, changelog)]
    if not missing:
        return None
    return "\n".join(
        [
            "The schema breaks clients:",
            *missing,
            "Name each in CHANGELOG.md as tests/compatibility.py says.",
        ]
    )


def _last_release(changelog: str) -> str:
    versions = re.findall(r"^## ([0-9]\S*)", changelog, re.MULTILINE)
    return str(versions[0]) if versions else "no release"


def _read(path: Path) -> Any:
    """The document in the file, without what it says to people alone."""
    return _for_programs(yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _for_programs(node: Any, *, within: str = "") -> Any:
    if isinstance(node, list):
        return [_for_programs(item) for item in node]
    if not isinstance(node, dict):
        return node
    if within == "headers":
        return {name: {} for name in node}
    return {
        key: _for_programs(value, within="" if within == "properties" else key)
        for key, value in node.items()
        # A field may have such a name as well.
        if key not in _FOR_PEOPLE or within == "properties"
    }


if __name__ == "__main__":
    sys.exit(main())
