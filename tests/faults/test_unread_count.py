"""The unread count while Redis is stopped, restarted or paused: right, and soon."""

import sys
import time
from collections.abc import Callable
from subprocess import PIPE, Popen

import pytest
from django.conf import settings
from django_redis import get_redis_connection

from config.embedded import Server
from conversations import unread
from projects.models import ApiKey, Project
from rest import leases
from tests.api import ApiClient
from tests.conftest import MakeTicket, tickets_url_of
from tests.service import service_environment
from tests.threads import InBackground, Pause

CUSTOMER_MESSAGE = {"author_type": "customer", "content": "Hi"}


def test_without_redis_the_database_answers(
    redis_server: Server, reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    redis_server.stop()

    make_ticket(message="Hi")

    assert [reader.get(unread_count_url).json() for _ in range(3)] == [{"count": 1}] * 3


def test_it_is_right_after_redis_was_restarted(
    redis_server: Server,
    reader: ApiClient,
    writer: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
) -> None:
    ticket = make_ticket(message="Hi")
    assert reader.get(unread_count_url).json() == {"count": 1}

    redis_server.kill()
    writer.post(f"{tickets_url}/{ticket['id']}/messages", CUSTOMER_MESSAGE)
    redis_server.start()

    assert [reader.get(unread_count_url).json() for _ in range(3)] == [{"count": 2}] * 3


def test_a_redis_that_hangs_costs_little_time_and_no_truth(
    redis_server: Server,
    reader: ApiClient,
    writer: ApiClient,
    tickets_url: str,
    unread_count_url: str,
    make_ticket: MakeTicket,
) -> None:
    ticket = make_ticket(message="Hi")
    assert reader.get(unread_count_url).json() == {"count": 1}

    redis_server.pause()
    started = time.monotonic()
    writer.post(f"{tickets_url}/{ticket['id']}/messages", CUSTOMER_MESSAGE)
    answers = [reader.get(unread_count_url).json() for _ in range(20)]
    took = time.monotonic() - started
    redis_server.resume()

    assert answers == [{"count": 2}] * 20
    # A few find out that nobody answers; the others do not wait for it again, one by one.
    assert took < 3 * settings.REDIS_TIMEOUT + 4
    assert [reader.get(unread_count_url).json() for _ in range(3)] == [{"count": 2}] * 3


def test_the_writing_process_reads_the_truth_while_it_can_not_forget(
    let_redis_delete: Callable[[bool], None],
    reader: ApiClient,
    unread_count_url: str,
    make_ticket: MakeTicket,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert reader.get(unread_count_url).json() == {"count": 0}
    let_redis_delete(False)
    make_ticket(message="Hi")
    assert get_redis_connection("default").get(unread.cache_key(project.pk)) == b"0"

    for _ in range(3):
        # The old number is there to be read, and no closed circuit keeps anybody from it.
        monkeypatch.setattr(leases, "_broken_until", 0.0)
        assert reader.get(unread_count_url).json() == {"count": 1}


def test_a_number_that_is_read_just_before_it_is_forgotten_is_not_believed(
    let_redis_delete: Callable[[bool], None],
    reader: ApiClient,
    unread_count_url: str,
    make_ticket: MakeTicket,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fails when a reader asks only afterwards whether anything is left to forget."""
    assert reader.get(unread_count_url).json() == {"count": 0}
    let_redis_delete(False)
    make_ticket(message="Hi")
    monkeypatch.setattr(leases, "_broken_until", 0.0)
    slow = Pause(leases.run)
    monkeypatch.setattr(leases, "run", slow)
    with InBackground(reader.get, unread_count_url) as slow_reader:
        slow.wait_until_reached()
        monkeypatch.undo()
        let_redis_delete(True)
        wait_until(lambda: bool(leases.readable([unread.cache_key(project.pk)])))
        slow.go.set()
        assert slow_reader.result().json() == {"count": 1}


def test_what_could_not_be_forgotten_is_forgotten_when_redis_is_back(
    let_redis_delete: Callable[[bool], None],
    reader: ApiClient,
    unread_count_url: str,
    project: Project,
    make_ticket: MakeTicket,
) -> None:
    """Another process, which had no trouble, would go on reading the old number."""
    redis = get_redis_connection("default")
    reader.get(unread_count_url)
    let_redis_delete(False)
    make_ticket(message="Hi")
    assert redis.get(unread.cache_key(project.pk)) == b"0"

    let_redis_delete(True)

    wait_until(lambda: redis.get(unread.cache_key(project.pk)) is None)


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_does_not_end_before_it_has_forgotten(
    let_redis_delete: Callable[[bool], None], project: Project
) -> None:
    """A command that revokes a key while Redis hangs must leave no key that works."""
    api_key, secret = ApiKey.issue(project=project, label="test", scopes=["ticket:read"])
    url = f"{tickets_url_of(project)}/unread_count"
    assert ApiClient(secret).get(url).status_code == 200
    let_redis_delete(False)

    with Popen(
        [sys.executable, "manage.py", "revoke_api_key", str(api_key.pk)],
        env=service_environment(),
        stdout=PIPE,
        stderr=PIPE,
    ) as command:
        assert command.stdout is not None
        assert b"revoked" in command.stdout.readline()
        assert command.poll() is None
        let_redis_delete(True)
        assert command.wait(60) == 0

    assert ApiClient(secret).get(url).status_code == 401


def test_the_number_lives_thirty_seconds(
    reader: ApiClient, unread_count_url: str, project: Project
) -> None:
    reader.get(unread_count_url)

    left = get_redis_connection("default").pttl(unread.cache_key(project.pk))
    assert 20_000 < left <= 30_000
