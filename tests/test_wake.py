"""What is published, so that streams know that there is something to see."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django_redis import get_redis_connection
from procrastinate.contrib.django.models import ProcrastinateJob

from config.embedded import Server
from conversations import unread
from conversations.stream import wake
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket


class Published:
    """The channel as a stream process hears it."""

    def __init__(self) -> None:
        self.redis = get_redis_connection("default")
        self.messages = self.redis.pubsub(ignore_subscribe_messages=True)
        self.messages.subscribe(wake.channel())
        assert self.messages.get_message(timeout=5) is None

    def so_far(self) -> list[int]:
        """The projects that were named since it was asked last."""
        self.redis.publish(wake.channel(), "0")
        named: list[int] = []
        while (message := self.messages.get_message(timeout=5)) is not None:
            if message["data"] == b"0":
                return named
            named.append(int(message["data"]))
        raise AssertionError("Redis passes nothing on.")


@pytest.fixture
def published(project: Project) -> Iterator[Published]:
    published = Published()
    yield published
    published.messages.close()


def test_each_write_is_published_once(
    published: Published,
    writer: ApiClient,
    project: Project,
    tickets_url: str,
    make_ticket: MakeTicket,
) -> None:
    ticket = make_ticket(message="Hi")
    assert published.so_far() == [project.pk]

    # The unread count has nothing to do with it.
    writer.patch(f"{tickets_url}/{ticket['id']}", {"priority": "high"})
    assert published.so_far() == [project.pk]


def test_reading_is_published_where_it_changes_the_count(
    published: Published,
    reader: ApiClient,
    project: Project,
    tickets_url: str,
    make_ticket: MakeTicket,
) -> None:
    url = f"{tickets_url}/{make_ticket(message='Hi')['id']}"
    published.so_far()

    reader.get(url)
    assert published.so_far() == [project.pk]

    reader.get(url)
    assert published.so_far() == []


def test_who_hears_of_it_reads_the_new_count(
    project: Project, make_ticket: MakeTicket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unread.count(project.pk) == 0
    commands: list[str] = []
    redis = type(get_redis_connection("default"))
    pipeline = redis.pipeline

    def recording(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = pipeline(self, *args, **kwargs)
        queue = made.execute_command

        def execute_command(*command: Any) -> Any:
            commands.append(command[0])
            return queue(*command)

        made.execute_command = execute_command
        return made

    monkeypatch.setattr(redis, "pipeline", recording)
    make_ticket(message="Hi")

    assert commands == ["DEL", "PUBLISH"]


def test_what_is_rolled_back_is_not_published(published: Published, project: Project) -> None:
    with transaction.atomic():
        unread.forget(project.pk)
        transaction.set_rollback(True)

    assert published.so_far() == []


@pytest.fixture
def nobody_may_publish(redis_server: Server) -> Iterator[None]:
    redis = get_redis_connection("default")
    redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    yield
    redis.execute_command("ACL", "SETUSER", "default", "allchannels")


def test_who_may_not_publish_forgets_all_the_same(
    nobody_may_publish: None, project: Project, make_ticket: MakeTicket
) -> None:
    assert unread.count(project.pk) == 0
    jobs = ProcrastinateJob.objects.count()

    make_ticket(message="Hi")

    assert unread.count(project.pk) == 1
    assert ProcrastinateJob.objects.count() == jobs
