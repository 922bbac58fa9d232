"""Which events say something of a person, in the words of posthog-js."""

import contextlib
import io
import json
from typing import Any

from rest_framework.exceptions import APIException

from projects.persons.claims import Claim
from rest.media import StrictJSONParser, is_storable

_MAX_DISTINCT_ID = 400
_MAX_PROPERTIES = 100
_MAX_PROPERTY_NAME = 200
# The field in which each event names the distinct id that is the same person, if any.
_OTHER = {"$identify": "$anon_distinct_id", "$create_alias": "alias", "$set": None}
# What a page sends that has not filled in its variables. PostHog ignores them likewise:
# all customers of such a page would be one person.
_MEANS_NOBODY = {
    "0",
    "[object object]",
    "$posthog_cookieless",
    "anonymous",
    "distinct_id",
    "distinctid",
    "email",
    "false",
    "guest",
    "id",
    "nan",
    "none",
    "not_authenticated",
    "null",
    "true",
    "undefined",
}


def claim_of(event: dict[str, Any]) -> Claim | None:
    """What the event claims; None if nothing, or nothing that can be understood."""
    name, properties = event.get("event"), _object(event.get("properties"))
    if not isinstance(name, str) or name not in _OTHER:
        return None
    if properties.get("$process_person_profile") is False:
        return None
    distinct_id = _distinct_id(event.get("distinct_id") or properties.get("distinct_id"))
    other = _distinct_id(properties.get(_OTHER[name] or ""))
    if distinct_id is None or (name == "$create_alias" and other is None):
        return None
    return Claim(
        distinct_id=distinct_id,
        properties=_properties(event, properties),
        other=None if other == distinct_id else other,
        identifies=name == "$identify",
    )


def _distinct_id(value: Any) -> str | None:
    """As text, where it is one that can name somebody."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _MAX_DISTINCT_ID or not is_storable(value):
        return None
    bare = value.strip().strip("'\"").strip().lower()
    return value if bare and bare not in _MEANS_NOBODY else None


def _properties(event: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """Those that can be stored; what is set wins over what is set once."""
    said: dict[str, Any] = {}
    for name in ("$set", "$set_once"):
        for place in (event, properties):
            said = {**said, **_object(place.get(name)), **said}
    storable: dict[str, Any] = {}
    for name, value in list(said.items())[:_MAX_PROPERTIES]:
        with contextlib.suppress(APIException, RecursionError):
            if len(name) <= _MAX_PROPERTY_NAME:
                storable |= _as_from_a_key({"properties": {name: value}})["properties"]
    return storable


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _as_from_a_key(value: Any) -> Any:
    """What the API would read, had a key sent this; raises APIException for what it refuses."""
    return StrictJSONParser().parse(io.BytesIO(json.dumps(value).encode()))
