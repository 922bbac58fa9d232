"""A person in requests and answers."""

from typing import Any

import orjson
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from projects.persons.rows import MAX_PROPERTIES_BYTES
from rest.fields import (
    BoundedList,
    Identifier,
    Moment,
    QueryFlag,
    QueryParameters,
    StrictObject,
    Text,
)
from rest.json import differing
from rest.pagination import PageQuery
from rest.schema import with_example

# As many in one request.
MAX_DISTINCT_IDS = 100
MAX_PROPERTIES = 100
MAX_PROPERTY_NAME = 200

PERSON = {
    "id": "01990a3b-1c2d-7a10-8e4f-0a1b2c3d4e5f",
    "name": "ada@example.com",
    "distinct_ids": ["user_1"],
    "properties": {"email": "ada@example.com", "plan": "pro"},
    "created_at": "2026-03-01T08:00:00.000000Z",
    "is_identified": True,
}
NEW_PERSON = {
    "distinct_ids": ["user_1"],
    "properties": {"email": "ada@example.com", "plan": "pro"},
}


@extend_schema_field(
    {
        "type": "object",
        "additionalProperties": {},
        "propertyNames": {"maxLength": MAX_PROPERTY_NAME},
        "x-max-bytes": MAX_PROPERTIES_BYTES,
    }
)
class PropertiesField(serializers.Field[Any, Any, Any, Any]):
    """What is known of a person: any JSON under each name."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        # What the person has already may always come back.
        stored = getattr(getattr(self.parent, "instance", None), "properties", {})
        properties = differing(data, stored)
        if len(properties) > MAX_PROPERTIES:
            raise serializers.ValidationError(
                f"At most {MAX_PROPERTIES} properties are set at once.", "max_length"
            )
        if any(len(name) > MAX_PROPERTY_NAME for name in properties):
            raise serializers.ValidationError(
                f"The name of a property has at most {MAX_PROPERTY_NAME} characters.", "max_length"
            )
        if len(orjson.dumps(properties)) > MAX_PROPERTIES_BYTES:
            raise serializers.ValidationError(
                f"The properties are larger than {MAX_PROPERTIES_BYTES // 1024} KiB.", "max_length"
            )
        return properties


class DistinctIdField(Text):
    """Kept as it is, spaces included, but not of spaces alone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=400, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        distinct_id = super().to_internal_value(data)
        if not distinct_id.strip():
            self.fail("blank")
        return distinct_id


class DistinctIdsField(BoundedList):
    """Each once, in the order given."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            child=DistinctIdField(), min_length=1, max_length=MAX_DISTINCT_IDS, **kwargs
        )

    def to_internal_value(self, data: Any) -> list[str]:
        return list(dict.fromkeys(super().to_internal_value(data)))


@with_example(response=PERSON, request={"properties": {"plan": "enterprise"}})
class PersonSerializer(StrictObject):
    """The customer behind a distinct id. Read-only fields in a body are ignored."""

    id = serializers.UUIDField(read_only=True)
    name = serializers.CharField(
        read_only=True,
        help_text="The first of the properties `email`, `Email`, `$email`, `name`, `Name`, "
        "`username`, `Username`, `UserName` that is not empty, else a distinct id.",
    )
    distinct_ids = serializers.ListField(child=serializers.CharField(), read_only=True)
    properties = PropertiesField(
        required=False,
        help_text="Those given replace those of the same name, and null is a value like any "
        f"other; those not given stay. At most {MAX_PROPERTIES} change at once, with names of at "
        f"most {MAX_PROPERTY_NAME} characters; a person has at most "
        f"{MAX_PROPERTIES_BYTES // 1024} KiB of them.",
    )
    created_at = Moment(read_only=True)
    is_identified = serializers.BooleanField(
        read_only=True,
        help_text="Whether an API key or a verified identity, and not only a browser, "
        "has said who this is.",
    )


@with_example(request=NEW_PERSON)
class NewPersonSerializer(PersonSerializer):
    """A person as an API key knows them: by these distinct ids, with these properties."""

    distinct_ids = DistinctIdsField(
        help_text="All of them are one customer from then on. Those that are new are added to "
        "the person that the others belong to; so are those that a browser's events alone have "
        "put under a person who is known by other ids."
    )


@with_example(request={"person": PERSON["id"]})
class MergeSerializer(StrictObject):
    """Which person to merge."""

    person = Identifier(help_text="Who is merged into the person of the path, and is no more.")


class PersonListQuery(PageQuery):
    """The newest first. Filters combine with AND."""

    search = serializers.CharField(
        required=False,
        max_length=200,
        help_text="Each of its words must begin a word, in any case, of the properties that name "
        "a person; or all of it is one of their distinct ids.",
    )
    distinct_id = serializers.CharField(
        required=False,
        max_length=400,
        trim_whitespace=False,
        help_text="Whose it is, if anybody's.",
    )
    email = serializers.CharField(
        required=False, max_length=320, help_text="The whole property `email`, in any case."
    )


class EraseQuery(QueryParameters):
    tickets = QueryFlag(
        default=False, help_text="`true`: the person's tickets and their messages go too."
    )
