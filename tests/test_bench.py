"""`make bench` in its shortest form: that it measures, not what; the figures are no test."""

import os
import re
import subprocess
import sys

import pytest
from django.db import connection

from bench import seed
from config import embedded
from conversations import search
from conversations.messages import counters
from conversations.models import Message, Ticket
from projects.models import Membership, Person, Project, Role, User
from tests.plugin import need_servers_of_our_own

ROWS = (
    "unread-hit,unread-miss-few,list,count,search,retrieve,patch,message,create,widget,inbox"
    ",status,start"
)


# One process, as it starts servers of its own; see test_make_run.
@pytest.fixture(scope="module")
def servers_can_be_had() -> None:
    need_servers_of_our_own()


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=embedded.CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.xdist_group("make_run")
@pytest.mark.usefixtures("servers_can_be_had")
def test_each_row_is_measured_and_the_servers_in_use_are_left_alone() -> None:
    # Where nobody answers: the harness would fail if it used them.
    done = bench(
        *("--seconds", "0.1", "--rounds", "1", "--tickets", "2000", "--only", ROWS),
        DATABASE_URL="postgresql://unused@127.0.0.1:1/unused",
        REDIS_URL="redis://127.0.0.1:1/0",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for title in (
        "unread_count, hit",
        "list of 100",
        "retrieve",
        "PATCH",
        "create, with a message",
    ):
        rate, reference, ratio, lowest, highest, p50, p99 = figures_of(title, done.stdout)[:7]
        assert rate > 0
        assert reference > 0
        assert lowest <= ratio <= highest
        assert 0 < p50 <= p99
    assert re.search(r"start of the web server +\| +\| \d", done.stdout)


def figures_of(title: str, output: str) -> list[float]:
    line = next(line for line in output.splitlines() if line.startswith(f"| {title} "))
    cells = line.strip("| ").split("|")[2:]
    figures = re.findall(r"[0-9][0-9,]*(?:\.[0-9]+)?", " ".join(cells))
    return [float(figure.replace(",", "")) for figure in figures]


@pytest.mark.xdist_group("make_run")
@pytest.mark.usefixtures("servers_can_be_had")
def test_idle_streams_are_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.streams", "--streams", "20", "--seconds", "1"],
        cwd=embedded.CHECKOUT,
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "an event came to 1 of 1" in done.stdout


def test_a_row_that_does_not_exist_is_refused_before_anything_starts() -> None:
    done = bench(ONLY="nothing")

    assert done.returncode == 2
    assert "no row 'nothing'" in done.stderr
    assert done.stdout == ""


@pytest.fixture
def seeded(project: Project) -> Project:
    """The project with 200 tickets that the seeding has made, 20 of them unread."""
    Membership.objects.create(
        project=project, user=User.objects.create_user(f"a{project.pk}@team.example")
    )
    Role.objects.create(project=project, name="Billing")
    with connection.cursor() as cursor:
        seed.write_texts(cursor, 500)
    seed.fill(project, 200, unread=20)
    return project


def test_seeded_tickets_have_the_counters_that_their_messages_come_to(seeded: Project) -> None:
    [compared] = counters.comparisons(project_id=seeded.pk, batch_size=1000)

    assert len(compared) == 200
    assert [one for one in compared if one.differing] == []
    assert Ticket.objects.in_project(seeded.pk).with_unread().count() == 20
    assert 2 < Message.objects.filter(project=seeded).count() / 200 < 4


def test_seeded_rows_are_found_by_the_words_that_the_service_would_store(seeded: Project) -> None:
    tickets = Ticket.objects.filter(project=seeded)
    messages = Message.objects.filter(project=seeded)
    persons = Person.objects.filter(project=seeded)
    made = [
        list(rows.order_by("pk").values_list("search")) for rows in (tickets, messages, persons)
    ]

    for ticket in tickets:
        tickets.filter(pk=ticket.pk).update(search=search.of_ticket(ticket))
    for message in messages:
        lexemes = search.of_message(seeded.pk, message.content)
        messages.filter(pk=message.pk).update(search=lexemes)
    for person in persons:
        person.save()

    assert made == [
        list(rows.order_by("pk").values_list("search")) for rows in (tickets, messages, persons)
    ]
