"""Who did something."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.db import models

from projects.keys import KeyRecord
from projects.models import User


class ActorType(models.TextChoices):
    USER = "user"
    API_KEY = "api_key"
    CUSTOMER = "customer"
    SYSTEM = "system"


@dataclass(frozen=True)
class Actor:
    """Who did something, with the name that they had then."""

    type: ActorType
    id: int | str | None = None
    name: str | None = None

    @classmethod
    def agent(cls, user: User) -> Actor:
        return cls(ActorType.USER, user.pk, user.display_name)

    @classmethod
    def api_key(cls, key: KeyRecord) -> Actor:
        return cls(ActorType.API_KEY, key.id, key.label)

    @classmethod
    def customer(cls, distinct_id: str, name: str | None = None) -> Actor:
        """Both go when the customer is erased."""
        return cls(ActorType.CUSTOMER, distinct_id, name)

    @classmethod
    def of(cls, request: Any) -> Actor:
        """Whose request this is: that of an API key, or of a signed-in agent."""
        if isinstance(request.auth, KeyRecord):
            return cls.api_key(request.auth)
        assert isinstance(request.user, User)
        return cls.agent(request.user)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


# Jobs, and commands of whoever operates the service.
SYSTEM = Actor(ActorType.SYSTEM)
