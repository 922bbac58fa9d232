"""Merging persons: what becomes of ids, properties and tickets, also when two do it at once."""

from functools import partial
from typing import Any

import pytest

from projects.models import Person, PersonDistinctId, Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.threads import at_once

UNKNOWN = "01990a3b-1c2d-7a10-8e4f-0a1b2c3d4e5f"


@pytest.fixture
def url(project: Project) -> str:
    return f"/api/projects/{project.pk}/persons"


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "person:write", "ticket:write")


def make(api: ApiClient, url: str, *distinct_ids: str, **properties: Any) -> Any:
    response = api.post(url, {"distinct_ids": distinct_ids, "properties": properties})
    assert response.status_code in (200, 201), response.content
    return response.json()


def failures(response: Any) -> list[tuple[str, str | None]]:
    assert response.status_code == 400, response.content
    return [(error["code"], error["attr"]) for error in response.json()["errors"]]


def test_the_person_of_the_path_gets_what_the_other_had(api: ApiClient, url: str) -> None:
    source = make(api, url, "s1", "s2", plan="free", city="Paris")
    target = make(api, url, "t1", plan="pro", name="Ada")

    response = api.post(f"{url}/{target['id']}/merge", {"person": source["id"]})

    assert response.status_code == 200
    merged = response.json()
    assert merged == {
        "id": target["id"],
        "name": "Ada",
        "distinct_ids": ["s1", "s2", "t1"],
        "properties": {"plan": "pro", "name": "Ada", "city": "Paris"},
        # Known since the earlier of the two.
        "created_at": source["created_at"],
        "is_identified": True,
    }
    assert api.get(f"{url}/{target['id']}").json() == merged
    assert api.get(f"{url}/{source['id']}").status_code == 404
    assert api.get(url).json()["count"] == 1


def test_null_is_a_property_that_wins_too(api: ApiClient, url: str) -> None:
    source, target = make(api, url, "s1", plan="free"), make(api, url, "t1", plan=None)

    merged = api.post(f"{url}/{target['id']}/merge", {"person": source["id"]}).json()

    assert merged["properties"] == {"plan": None}


@pytest.mark.parametrize(
    ("target_is", "source_is", "merged_is"),
    [(True, True, True), (True, False, True), (False, True, True), (False, False, False)],
)
def test_who_was_identified_stays_so(
    api: ApiClient, url: str, project: Project, target_is: bool, source_is: bool, merged_is: bool
) -> None:
    target, source = (
        Person.objects.create(project=project, is_identified=is_identified)
        for is_identified in (target_is, source_is)
    )

    response = api.post(f"{url}/{target.pk}/merge", {"person": str(source.pk)})

    assert response.json()["is_identified"] is merged_is


def test_the_tickets_of_both_show_the_person_of_the_path_and_do_not_move(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    source, target = make(api, url, "s1", email="s@example.com"), make(api, url, "t1")
    tickets = [
        make_ticket(distinct_id="s1"),
        make_ticket(distinct_id="t1"),
        make_ticket(email_from="S@example.com"),
    ]

    merged = api.post(f"{url}/{target['id']}/merge", {"person": source["id"]}).json()

    for ticket in tickets:
        now = api.get(f"{tickets_url}/{ticket['id']}").json()
        assert now["person"] == merged
        assert now["updated_at"] == ticket["updated_at"]
        assert now["distinct_id"] == ticket["distinct_id"]


def test_the_merged_person_is_found_by_what_either_was_called(api: ApiClient, url: str) -> None:
    source, target = make(api, url, "s1", name="Lovelace"), make(api, url, "t1", username="ada")

    merged = api.post(f"{url}/{target['id']}/merge", {"person": source["id"]}).json()

    for search in ("lovelace", "ada", "s1"):
        assert api.get(url, search=search).json()["results"] == [merged]


def test_a_person_is_not_merged_into_themself(api: ApiClient, url: str) -> None:
    person = make(api, url, "u1")

    for same in (person["id"], person["id"].upper()):
        response = api.post(f"{url}/{person['id']}/merge", {"person": same})
        assert failures(response) == [("invalid_input", "person")]
    assert api.get(f"{url}/{person['id']}").json() == person


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (None, ("required", "person")),
        ({}, ("required", "person")),
        ({"person": None}, ("null", "person")),
        ({"person": 1}, ("invalid_input", "person")),
        ({"person": "u2"}, ("invalid_input", "person")),
        ({"person": {"id": UNKNOWN}}, ("invalid_input", "person")),
        ({"person": UNKNOWN}, ("does_not_exist", "person")),
        ({"persons": [UNKNOWN]}, ("required", "person")),
        ([], ("invalid_input", None)),
    ],
)
def test_a_bad_merge_is_refused(
    api: ApiClient, url: str, body: Any, failure: tuple[str, str | None]
) -> None:
    person = make(api, url, "u1")

    assert failure in failures(api.post(f"{url}/{person['id']}/merge", body))
    assert api.get(f"{url}/{person['id']}").json() == person


def test_a_person_of_another_project_is_not_merged(
    api: ApiClient, url: str, neighbour: Project, client_for: ClientFor
) -> None:
    person = make(api, url, "u1")
    stranger = Person.objects.create(project=neighbour)

    response = api.post(f"{url}/{person['id']}/merge", {"person": str(stranger.pk)})

    assert failures(response) == [("does_not_exist", "person")]
    assert Person.objects.filter(pk=stranger.pk).exists()


def test_more_properties_than_a_person_may_have_are_refused_and_nothing_changes(
    api: ApiClient, url: str
) -> None:
    one, two = make(api, url, "u1", a="x" * 40_000), make(api, url, "u2", b="x" * 40_000)

    response = api.post(f"{url}/{one['id']}/merge", {"person": two["id"]})

    assert failures(response) == [("max_length", "person")]
    assert api.get(url).json()["results"] == [two, one]


def test_more_distinct_ids_than_a_person_may_have_are_refused_and_nothing_changes(
    api: ApiClient, url: str, project: Project
) -> None:
    persons = [Person.objects.create(project=project) for _ in range(2)]
    for start, person in zip((0, 600), persons, strict=True):
        PersonDistinctId.objects.bulk_create(
            PersonDistinctId(project=project, person=person, distinct_id=str(start + number))
            for number in range(600)
        )

    response = api.post(f"{url}/{persons[0].pk}/merge", {"person": str(persons[1].pk)})

    assert failures(response) == [("max_length", "person")]
    for person in persons:
        assert len(api.get(f"{url}/{person.pk}").json()["distinct_ids"]) == 600


def test_two_opposite_merges_at_once_make_one_person(
    project: Project, url: str, client_for: ClientFor
) -> None:
    here, there = (client_for(project, "person:write") for _ in range(2))
    for attempt in range(10):
        one, two = make(here, url, f"a{attempt}"), make(here, url, f"b{attempt}")

        answers = at_once(
            partial(here.post, f"{url}/{one['id']}/merge", {"person": two["id"]}),
            partial(there.post, f"{url}/{two['id']}/merge", {"person": one["id"]}),
        )

        # Whose person is gone when their turn comes finds nobody.
        assert sorted(answer.status_code for answer in answers) == [200, 404]
        (merged,) = [answer.json() for answer in answers if answer.status_code == 200]
        assert merged["distinct_ids"] == [f"a{attempt}", f"b{attempt}"]
        assert here.get(f"{url}/{merged['id']}").json() == merged


def test_merging_and_identifying_at_once_lose_no_id(
    project: Project, url: str, client_for: ClientFor
) -> None:
    here, there = (client_for(project, "person:write") for _ in range(2))
    for attempt in range(10):
        target, source = make(here, url, f"t{attempt}"), make(here, url, f"s{attempt}")

        merge, identify = at_once(
            partial(here.post, f"{url}/{target['id']}/merge", {"person": source["id"]}),
            partial(
                there.post,
                url,
                {"distinct_ids": [f"s{attempt}", f"n{attempt}"], "properties": {"new": True}},
            ),
        )

        assert (merge.status_code, identify.status_code) == (200, 200)
        merged = here.get(f"{url}/{target['id']}").json()
        assert set(merged["distinct_ids"]) == {f"{letter}{attempt}" for letter in "tsn"}
        assert merged["properties"] == {"new": True}


def test_a_merge_and_an_erasure_at_once_leave_nothing_half_done(
    project: Project, url: str, client_for: ClientFor
) -> None:
    here, there = (client_for(project, "person:write") for _ in range(2))
    for attempt in range(10):
        target, source = make(here, url, f"t{attempt}"), make(here, url, f"s{attempt}")

        merge, erasure = at_once(
            partial(here.post, f"{url}/{target['id']}/merge", {"person": source["id"]}),
            partial(there.delete, f"{url}/{source['id']}"),
        )

        ids = here.get(f"{url}/{target['id']}").json()["distinct_ids"]
        if merge.status_code == 200:
            assert (erasure.status_code, ids) == (404, [f"t{attempt}", f"s{attempt}"])
        else:
            assert (merge.status_code, erasure.status_code) == (400, 204)
            assert ids == [f"t{attempt}"]
