"""The feed of events for who stays: places, pages, and what waits."""

from django.db import transaction

from conversations.events import feed
from conversations.events.models import Event
from projects.models import Project
from tests.conftest import MakeTicket
from tests.events import settle
from tests.threads import InBackground

_MANY = 1_000_000


def test_a_page_says_what_waits_and_leads_to_it(project: Project, make_ticket: MakeTicket) -> None:
    settle()
    begin = feed.now()
    with transaction.atomic():
        Project.objects.create(name="Takes its time")
        with InBackground(make_ticket) as writing:
            writing.result()
        page = feed.read(project.pk, begin, limit=10, max_bytes=_MANY)
        assert (page.events, page.is_last, page.is_waiting) == ([], True, True)
        assert feed.with_news({project.pk: page.place}) == {project.pk}
    settle()

    page = feed.read(project.pk, page.place, limit=10, max_bytes=_MANY)

    assert [event.type for event in page.events] == ["ticket.created"]
    assert (page.is_last, page.is_waiting) == (True, False)
    assert feed.with_news({project.pk: page.place}) == set()


def test_pages_follow_each_other(project: Project, make_ticket: MakeTicket) -> None:
    begin = feed.now()
    for _ in range(5):
        make_ticket()
    settle()

    first = feed.read(project.pk, begin, limit=3, max_bytes=_MANY)
    second = feed.read(project.pk, first.place, limit=3, max_bytes=_MANY)

    assert (first.is_last, second.is_last) == (False, True)
    assert [*first.events, *second.events] == list(
        Event.objects.filter(project=project).order_by("position")
    )


def test_a_page_ends_before_it_is_too_large_but_has_one_event(
    project: Project, make_ticket: MakeTicket
) -> None:
    begin = feed.now()
    for _ in range(5):
        make_ticket()
    Event.objects.filter(project=project).update(object={"text": "x" * 10_000})
    settle()

    pages = [feed.read(project.pk, begin, limit=10, max_bytes=25_000)]
    while not pages[-1].is_last:
        pages.append(feed.read(project.pk, pages[-1].place, limit=10, max_bytes=25_000))
    tiny = feed.read(project.pk, begin, limit=10, max_bytes=1)

    assert [len(page.events) for page in pages] == [2, 2, 1]
    shown = [event for page in [tiny, *pages] for event in page.events]
    assert shown[1:] == list(Event.objects.filter(project=project).order_by("position"))
    assert shown[0] == shown[1]
    assert all(event.object == {"text": "x" * 10_000} for event in shown)
