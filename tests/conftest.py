"""The cast: a project, its keys and clients, a neighbour, and tickets on demand.

Tests commit, as requests do, and nothing is rolled back or flushed after them:
each has a project of its own, so they run in any order and beside each other.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test.utils import setup_databases, teardown_databases
from django_redis import get_redis_connection

from config.embedded import Server
from conversations.models import Delivery
from conversations.webhooks.models import DeliveryStatus
from projects.models import ApiKey, Project
from rest import leases
from rest.postgresql import base as postgresql
from tests.api import ApiClient
from tests.service import Service, running_service


@pytest.fixture(scope="session", autouse=True)
def database(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """One database for this process, open to every test, without transactions around them."""
    with django_db_blocker.unblock():
        created = setup_databases(verbosity=0, interactive=False)
        yield
        teardown_databases(created, verbosity=0)


@pytest.fixture(autouse=True)
def fast_hashes(settings: Any) -> None:
    # The real ones take half a second each, which is their point.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def static_files_are_found_when_asked_for(settings: Any) -> None:
    # Else each client lists all of them at its first request: 20 ms, thousands of times.
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def redis_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that broke Redis leaves the next one no closed circuit."""
    monkeypatch.setattr(leases, "_broken_until", 0.0)


@pytest.fixture(autouse=True)
def nothing_left_to_deliver(database: None) -> Iterator[None]:
    """A test that sends what is due sends its own alone, not what an earlier one left to retry."""
    yield
    Delivery.objects.filter(status=DeliveryStatus.PENDING).delete()


@pytest.fixture(autouse=True)
def postgres_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that let PostgreSQL hang leaves the next one no pause."""
    monkeypatch.setattr(postgresql, "_hung_until", 0.0)


@pytest.fixture
def let_redis_delete(redis_server: Server) -> Iterator[Callable[[bool], None]]:
    """After `let_redis_delete(False)` Redis answers every DEL with an error, at most until
    the end of the test."""

    def let(allowed: bool) -> None:
        rule = "+del" if allowed else "-del"
        get_redis_connection("default").execute_command("ACL", "SETUSER", "default", rule)

    yield let
    let(True)


@pytest.fixture(scope="session")
def service(database: None) -> Iterator[Service]:
    """The real web server on this process's database, for what only HTTP shows."""
    with running_service() as running:
        yield running


@pytest.fixture
def project() -> Project:
    return Project.objects.create(name="Shop")


@pytest.fixture
def neighbour() -> Project:
    """Another team on the same service."""
    return Project.objects.create(name="Next door")


ClientFor = Callable[..., ApiClient]


@pytest.fixture
def client_for() -> ClientFor:
    """A client with a new key: `client_for(project, "ticket:read")`."""

    def make(project: Project, *scopes: str) -> ApiClient:
        _, secret = ApiKey.issue(project=project, label="test", scopes=scopes)
        return ApiClient(secret)

    return make


@pytest.fixture
def key(project: Project) -> str:
    """The secret of a key that may do everything, for clients that are not ours."""
    return ApiKey.issue(project=project, label="test", scopes=["*"])[1]


@pytest.fixture
def reader(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "ticket:read")


@pytest.fixture
def writer(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "ticket:write")


@pytest.fixture
def tickets_url(project: Project) -> str:
    return tickets_url_of(project)


@pytest.fixture
def unread_count_url(tickets_url: str) -> str:
    return f"{tickets_url}/unread_count"


def tickets_url_of(project: Project) -> str:
    return f"/api/projects/{project.pk}/conversations/tickets"


MakeTicket = Callable[..., Any]


@pytest.fixture
def make_ticket(writer: ApiClient, tickets_url: str) -> MakeTicket:
    """A ticket made over the API, as its answer; `message` makes it unread."""

    def make(**fields: Any) -> Any:
        response = writer.post(tickets_url, fields)
        assert response.status_code == 201, response.content
        return response.json()

    return make
