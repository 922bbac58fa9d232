"""Ticket numbers: consecutive in a project, never used twice."""

from functools import partial
from threading import Event

import psycopg
import pytest
from django.db import IntegrityError, transaction

from conversations.events.actors import SYSTEM
from conversations.models import Ticket
from conversations.tickets.verbs import open_ticket
from projects.models import Project
from tests.api import ApiClient
from tests.conftest import MakeTicket, tickets_url_of
from tests.threads import PATIENCE_SECONDS, InBackground, at_once, wait_until_blocked


def test_twenty_tickets_at_once_get_twenty_consecutive_numbers(
    writer: ApiClient, project: Project, tickets_url: str
) -> None:
    def create(number: int) -> int:
        # Every second one with a message, which takes another way through the tables.
        body = {"message": "Hi"} if number % 2 else {}
        response = ApiClient(**writer.headers).post(tickets_url, body)
        return int(response.json()["ticket_number"])

    numbers = at_once(*(partial(create, number) for number in range(20)))

    assert sorted(numbers) == list(range(1, 21))
    stored = Ticket.objects.in_project(project.pk).order_by("ticket_number")
    assert list(stored.values_list("ticket_number", flat=True)) == list(range(1, 21))


def test_the_number_of_a_deleted_newest_ticket_is_not_used_again(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    make_ticket()
    make_ticket()

    writer.delete(f"{tickets_url}/2")

    assert make_ticket()["ticket_number"] == 3


def test_numbers_follow_the_order_of_creation(make_ticket: MakeTicket) -> None:
    tickets = [make_ticket() for _ in range(4)]

    assert [ticket["ticket_number"] for ticket in tickets] == [1, 2, 3, 4]
    times = [ticket["created_at"] for ticket in tickets]
    assert times == sorted(times)


def test_a_create_that_is_rolled_back_leaves_no_gap(
    project: Project, make_ticket: MakeTicket
) -> None:
    make_ticket()

    with transaction.atomic():
        assert open_ticket(project_id=project.pk, actor=SYSTEM, message="Hi").ticket_number == 2
        transaction.set_rollback(True)

    assert make_ticket()["ticket_number"] == 2


def test_a_refused_create_leaves_no_gap(
    writer: ApiClient, make_ticket: MakeTicket, tickets_url: str
) -> None:
    writer.post(tickets_url, {"status": "opne"})

    assert make_ticket()["ticket_number"] == 1


def test_a_create_waits_for_one_that_may_still_be_rolled_back(
    writer: ApiClient, project: Project, tickets_url: str
) -> None:
    took_number, may_roll_back = Event(), Event()

    def half_done() -> None:
        with transaction.atomic():
            open_ticket(project_id=project.pk, actor=SYSTEM)
            took_number.set()
            assert may_roll_back.wait(PATIENCE_SECONDS)
            transaction.set_rollback(True)

    def create() -> int:
        return int(ApiClient(**writer.headers).post(tickets_url).json()["ticket_number"])

    with InBackground(half_done) as first:
        assert took_number.wait(PATIENCE_SECONDS)
        with InBackground(create) as second:
            wait_until_blocked()
            may_roll_back.set()
            assert second.result() == 1
        first.result()


def test_creates_in_two_projects_do_not_wait_for_each_other(
    neighbour: Project, writer: ApiClient, tickets_url: str
) -> None:
    with transaction.atomic():
        open_ticket(project_id=neighbour.pk, actor=SYSTEM)

        def create() -> int:
            return int(ApiClient(**writer.headers).post(tickets_url).status_code)

        with InBackground(create) as other:
            assert other.result() == 201


def test_the_database_itself_refuses_a_number_twice(
    project: Project, make_ticket: MakeTicket
) -> None:
    make_ticket()

    with pytest.raises(IntegrityError) as caught:
        Ticket.objects.create(project=project, ticket_number=1, distinct_id="x")

    assert isinstance(caught.value.__cause__, psycopg.errors.UniqueViolation)


def test_the_same_number_in_two_projects_is_two_tickets(
    writer: ApiClient, project: Project, neighbour: Project
) -> None:
    one = Ticket.objects.create(project=neighbour, ticket_number=1, distinct_id="x")
    own = writer.post(tickets_url_of(project)).json()

    found = writer.get(f"{tickets_url_of(project)}/1").json()

    assert found["id"] == own["id"] != str(one.pk)
