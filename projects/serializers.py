"""What answers show of a project's persons."""

from typing import Any

from rest_framework import serializers

from rest.fields import Moment


class PersonSerializer(serializers.Serializer[Any]):
    """The customer behind a distinct id."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    distinct_ids = serializers.ListField(child=serializers.CharField())
    properties = serializers.DictField(child=serializers.JSONField())
    created_at = Moment()
    is_identified = serializers.BooleanField()
