"""Agents and roles in answers."""

from typing import Any

from rest_framework import serializers

from rest.schema import with_example


@with_example(response={"id": 7, "email": "grace@example.com", "name": "Grace Hopper"})
class MemberSerializer(serializers.Serializer[Any]):
    """An agent of the project."""

    id = serializers.IntegerField()
    email = serializers.EmailField()
    name = serializers.CharField(help_text="The email address, where no name is known.")


@with_example(
    response={"id": "01990a39-5b6c-7d8e-9f01-23456789abcd", "name": "Billing", "members": [7]}
)
class RoleSerializer(serializers.Serializer[Any]):
    """A group of agents."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    members = serializers.ListField(
        child=serializers.IntegerField(), help_text="The ids of its agents, ascending."
    )
