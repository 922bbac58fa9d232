"""What answers show of a project's agents."""

from typing import Any

from rest_framework import serializers

from projects.models import User


class AuthorSerializer(serializers.Serializer[Any]):
    """The agent who made something; null: it was made with an API key."""

    id = serializers.IntegerField()
    email = serializers.EmailField()
    name = serializers.CharField()


def author_json(user: User | None) -> dict[str, Any] | None:
    if user is None:
        return None
    return {"id": user.pk, "email": user.email, "name": user.display_name}
