"""Which distinct ids are one customer: by the word of an API key or a verified identity."""

import importlib
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from projects.identities import cache_key
from projects.models import Person, PersonDistinctId, Project
from projects.persons import linked_to, vouch
from rest import leases
from tests.api import ApiClient
from tests.conftest import ClientFor
from tests.threads import at_once


@pytest.fixture
def url(project: Project) -> str:
    return f"/api/projects/{project.pk}/persons"


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "person:write")


def make(api: ApiClient, url: str, *distinct_ids: str, **properties: Any) -> Any:
    response = api.post(url, {"distinct_ids": distinct_ids, "properties": properties})
    assert response.status_code in (200, 201), response.content
    return response.json()


def claimed(
    project: Project, *distinct_ids: str, person: Any = None, is_identified: bool = False
) -> Person:
    """The person as claims leave them: with these distinct ids, which nobody has linked."""
    owner = Person.objects.create(project=project) if person is None else Person(pk=person["id"])
    for distinct_id in distinct_ids:
        PersonDistinctId.objects.create(
            project=project,
            person=owner,
            distinct_id=distinct_id,
            is_identified=is_identified,
            link=None,
        )
    return owner


def distinct_ids_of(api: ApiClient, url: str, distinct_id: str) -> set[str]:
    (person,) = api.get(url, distinct_id=distinct_id).json()["results"]
    return set(person["distinct_ids"])


def groups(project: Project, *distinct_ids: str) -> list[set[str]]:
    """The customers that these distinct ids are, each said once."""
    found: list[set[str]] = []
    for distinct_id in distinct_ids:
        linked = linked_to(project.pk, distinct_id)
        if linked not in found:
            found.append(linked)
    return found


# --- By an API key ---------------------------------------------------------------


def test_distinct_ids_that_are_named_together_are_linked(
    api: ApiClient, url: str, project: Project
) -> None:
    make(api, url, "a", "b")

    assert groups(project, "a", "b") == [{"a", "b"}]


def test_a_distinct_id_that_nobody_knows_is_linked_to_itself(project: Project) -> None:
    assert linked_to(project.pk, "a") == {"a"}


def test_what_is_named_together_with_one_of_several_is_linked_to_all_of_them(
    api: ApiClient, url: str, project: Project
) -> None:
    make(api, url, "a", "b")
    make(api, url, "b", "c")

    assert groups(project, "a", "b", "c") == [{"a", "b", "c"}]


def test_links_do_not_leave_the_project(
    api: ApiClient, url: str, project: Project, neighbour: Project
) -> None:
    make(api, url, "a", "b")

    assert linked_to(neighbour.pk, "a") == {"a"}


def test_what_only_a_claim_has_put_beside_a_distinct_id_is_not_linked_to_it(
    api: ApiClient, url: str, project: Project
) -> None:
    claimed(project, "browser", person=make(api, url, "a", "b"))

    assert distinct_ids_of(api, url, "a") == {"a", "b", "browser"}
    assert groups(project, "a", "browser") == [{"a", "b"}, {"browser"}]


def test_two_that_were_named_apart_stay_apart_in_one_person_until_they_are_named_together(
    api: ApiClient, url: str, project: Project
) -> None:
    claimed(project, "a", "b")
    make(api, url, "a")
    row = PersonDistinctId.objects.get(project=project, distinct_id="b")
    PersonDistinctId.objects.filter(pk=row.pk).update(link=uuid4())

    assert groups(project, "a", "b") == [{"a"}, {"b"}]
    make(api, url, "a", "b")
    assert groups(project, "a", "b") == [{"a", "b"}]


def test_naming_a_claimed_distinct_id_alone_takes_it_from_a_stranger(
    api: ApiClient, url: str, project: Project
) -> None:
    stranger = make(api, url, "stranger", email="stranger@example.com")
    claimed(project, "ada", person=stranger)

    ada = make(api, url, "ada", email="ada@example.com")

    assert ada["distinct_ids"] == ["ada"]
    assert api.get(f"{url}/{stranger['id']}").json() == stranger


def test_naming_it_together_with_the_other_leaves_it_where_it_is(
    api: ApiClient, url: str, project: Project
) -> None:
    person = make(api, url, "ada")
    claimed(project, "browser", person=person)

    assert make(api, url, "browser", "ada")["id"] == person["id"]
    assert groups(project, "ada") == [{"ada", "browser"}]


def test_a_claimed_distinct_id_keeps_its_person_where_nobody_else_has_been_identified(
    api: ApiClient, url: str, project: Project
) -> None:
    claimed(project, "browser", "ada")

    assert make(api, url, "ada")["distinct_ids"] == ["browser", "ada"]
    assert groups(project, "ada", "browser") == [{"ada"}, {"browser"}]


def test_a_claim_can_not_make_two_persons_of_distinct_ids_that_are_named_together(
    api: ApiClient, url: str, project: Project
) -> None:
    claimed(project, "new", person=make(api, url, "stranger"))
    ada = make(api, url, "ada")

    # Not a 409, as for those who are two persons by an API key's own word.
    assert make(api, url, "ada", "new")["id"] == ada["id"]


# --- Merged by an API key --------------------------------------------------------


def merge(api: ApiClient, url: str, target: Any, source: Any) -> None:
    response = api.post(f"{url}/{target}/merge", {"person": str(source)})
    assert response.status_code == 200, response.content


def test_two_customers_who_are_merged_are_one(api: ApiClient, url: str, project: Project) -> None:
    one, two = make(api, url, "a", "b"), make(api, url, "c", "d")

    merge(api, url, one["id"], two["id"])

    assert groups(project, "a", "b", "c", "d") == [{"a", "b", "c", "d"}]


def test_a_browser_that_is_merged_into_a_customer_is_that_customer(
    api: ApiClient, url: str, project: Project
) -> None:
    one, browser = make(api, url, "a"), claimed(project, "browser")

    merge(api, url, one["id"], browser.pk)

    assert groups(project, "a", "browser") == [{"a", "browser"}]


def test_what_a_claim_has_put_beside_a_customer_is_not_made_theirs_by_a_merge(
    api: ApiClient, url: str, project: Project
) -> None:
    one, two = make(api, url, "a"), make(api, url, "b")
    claimed(project, "browser", person=one)

    merge(api, url, two["id"], one["id"])

    assert groups(project, "a", "browser") == [{"a", "b"}, {"browser"}]


@pytest.mark.parametrize("is_target", [True, False])
def test_of_several_whom_claims_have_brought_together_a_merge_links_none(
    api: ApiClient, url: str, project: Project, is_target: bool
) -> None:
    one, several = make(api, url, "a"), claimed(project, "b", "c")

    target, source = (several.pk, one["id"]) if is_target else (one["id"], several.pk)
    merge(api, url, target, source)

    assert distinct_ids_of(api, url, "a") == {"a", "b", "c"}
    assert groups(project, "a", "b", "c") == [{"a"}, {"b"}, {"c"}]


def test_where_a_person_is_two_customers_a_merge_links_neither(
    api: ApiClient, url: str, project: Project
) -> None:
    one, two = make(api, url, "a"), claimed(project, "b", "c")
    for row in two.distinct_id_rows.all():
        PersonDistinctId.objects.filter(pk=row.pk).update(link=uuid4(), is_identified=True)

    merge(api, url, one["id"], two.pk)

    assert groups(project, "a", "b", "c") == [{"a"}, {"b"}, {"c"}]


@pytest.mark.parametrize("is_target", [True, False])
def test_what_an_api_key_has_said_wins_over_a_claim_when_persons_are_merged(
    api: ApiClient, url: str, project: Project, is_target: bool
) -> None:
    said = make(api, url, "a", email="ada@example.com")["id"]
    claims = claimed(project, "b")
    claims.properties = {"email": "eve@example.com", "plan": "pro"}
    claims.claimed = ["email", "plan"]
    claims.save()

    target, source = (claims.pk, said) if is_target else (said, claims.pk)
    merge(api, url, target, source)

    person = Person.objects.get(pk=target)
    assert person.properties == {"email": "ada@example.com", "plan": "pro"}
    assert person.claimed == ["plan"]


# --- By a verified identity ------------------------------------------------------


def test_a_verified_customer_is_an_identified_person(
    api: ApiClient, url: str, project: Project
) -> None:
    vouch(project_id=project.pk, distinct_id="ada", properties={"name": "Ada", "email": None})

    (person,) = api.get(url, distinct_id="ada").json()["results"]
    assert (person["is_identified"], person["properties"]) == (True, {"name": "Ada"})
    assert PersonDistinctId.objects.get(project=project, distinct_id="ada").is_identified


def test_a_verified_customer_changes_nothing_that_an_api_key_has_said(
    api: ApiClient, url: str, project: Project
) -> None:
    person = make(api, url, "ada", name="Ada", phone=None)

    vouch(
        project_id=project.pk,
        distinct_id="ada",
        properties={"name": "Eve", "phone": "1", "city": "Paris"},
    )

    now = api.get(f"{url}/{person['id']}").json()
    assert now["properties"] == {"name": "Ada", "phone": None, "city": "Paris"}


def test_what_a_verified_customer_says_stays_a_claim_until_an_api_key_says_it(
    api: ApiClient, url: str, project: Project
) -> None:
    person = claimed(project, "ada")
    person.properties, person.claimed = {"name": "Eve", "plan": "pro"}, ["name", "plan"]
    person.save()

    for name in ("Ada", "Grace"):
        vouch(project_id=project.pk, distinct_id="ada", properties={"name": name})

    person.refresh_from_db()
    expected = {"name": "Grace", "plan": "pro"}
    assert (person.properties, sorted(person.claimed)) == (expected, ["name", "plan"])
    make(api, url, "ada", name="Hedy", plan="free")
    person.refresh_from_db()
    assert (person.properties, person.claimed) == ({"name": "Hedy", "plan": "free"}, [])
    vouch(project_id=project.pk, distinct_id="ada", properties={"name": "Mallory"})
    person.refresh_from_db()
    assert person.properties["name"] == "Hedy"


def test_a_verified_customer_is_taken_from_under_a_stranger(
    api: ApiClient, url: str, project: Project
) -> None:
    stranger = make(api, url, "stranger", name="Eve")
    claimed(project, "ada", person=stranger, is_identified=True)

    vouch(project_id=project.pk, distinct_id="ada", properties={"name": "Ada"})

    assert distinct_ids_of(api, url, "ada") == {"ada"}
    assert api.get(f"{url}/{stranger['id']}").json() == stranger


def test_a_verified_customer_keeps_the_person_that_their_browser_has_made(
    api: ApiClient, url: str, project: Project
) -> None:
    claimed(project, "browser", "ada")

    vouch(project_id=project.pk, distinct_id="ada", properties={})

    assert distinct_ids_of(api, url, "ada") == {"browser", "ada"}
    assert groups(project, "ada", "browser") == [{"ada"}, {"browser"}]


def test_claims_make_room_for_what_is_said(api: ApiClient, url: str, project: Project) -> None:
    person = claimed(project, "ada")
    person.properties, person.claimed = {"junk": "x" * 16_000, "plan": "pro"}, ["junk"]
    person.save()

    make(api, url, "ada", text="x" * 60_000)

    person.refresh_from_db()
    assert person.properties == {"text": "x" * 60_000, "plan": "pro"}


def test_properties_of_a_verified_customer_for_which_there_is_no_room_are_left_out(
    api: ApiClient, url: str, project: Project
) -> None:
    person = make(api, url, "ada", text="x" * 60_000)

    vouch(project_id=project.pk, distinct_id="ada", properties={"more": "x" * 10_000})

    assert api.get(f"{url}/{person['id']}").json() == person


def test_distinct_ids_that_claims_have_added_do_not_count_against_an_api_key(
    api: ApiClient, url: str, project: Project
) -> None:
    person = make(api, url, "ada")
    PersonDistinctId.objects.bulk_create(
        PersonDistinctId(
            project=project,
            person_id=person["id"],
            distinct_id=f"junk-{number}",
            is_identified=False,
            link=None,
        )
        for number in range(1000)
    )

    assert make(api, url, "ada", "phone")["id"] == person["id"]


def test_vouching_for_what_is_known_is_one_query(
    project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    said: dict[str, Any] = {"project_id": project.pk, "distinct_id": "ada"}
    vouch(**said, properties={"name": "Ada"})

    # The person; nothing is locked or written.
    with django_assert_num_queries(1):
        vouch(**said, properties={"name": "Ada", "email": None})


def test_who_is_linked_is_one_query(
    api: ApiClient, url: str, project: Project, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make(api, url, *(str(number) for number in range(50)))

    with django_assert_num_queries(1):
        assert len(linked_to(project.pk, "7")) == 50


def test_vouching_many_times_at_once_makes_one_person(api: ApiClient, project: Project) -> None:
    for attempt in range(5):
        persons = at_once(
            *(
                partial(
                    vouch,
                    project_id=project.pk,
                    distinct_id=f"ada-{attempt}",
                    properties={f"p{number}": number},
                )
                for number in range(6)
            )
        )

        (person,) = Person.objects.filter(pk__in={person.pk for person in persons})
        assert person.properties == {f"p{number}": number for number in range(6)}


# --- Cached ----------------------------------------------------------------------


def cached(project: Project, distinct_id: str) -> bytes | None:
    """What a reader has from the cache; it stores what it finds where there is nothing."""
    found = leases.fill(
        cache_key(project.pk, distinct_id),
        lambda: ",".join(sorted(linked_to(project.pk, distinct_id))).encode(),
        lifetime_ms=60_000,
    )
    assert found is not None
    return found


def test_every_change_of_links_forgets_what_is_cached_of_them(
    api: ApiClient, url: str, project: Project
) -> None:
    assert cached(project, "a") == b"a"
    one = make(api, url, "a", "b")
    assert [cached(project, name) for name in "ab"] == [b"a,b", b"a,b"]

    assert cached(project, "c") == b"c"
    make(api, url, "b", "c")
    assert [cached(project, name) for name in "abc"] == [b"a,b,c"] * 3

    assert cached(project, "d") == b"d"
    two = make(api, url, "d")
    merge(api, url, two["id"], one["id"])
    assert [cached(project, name) for name in "abcd"] == [b"a,b,c,d"] * 4

    claimed(project, "browser", person=two)
    assert cached(project, "browser") == b"browser"
    make(api, url, "browser", "a")
    assert [cached(project, name) for name in "abcd"] == [b"a,b,browser,c,d"] * 4


def test_erasing_a_person_forgets_what_is_cached_of_their_links(
    project: Project, client_for: ClientFor, url: str
) -> None:
    api = client_for(project, "person:write", "ticket:write")
    person = make(api, url, "a", "b")
    assert cached(project, "a") == b"a,b"

    assert api.delete(f"{url}/{person['id']}").status_code == 204

    assert [cached(project, name) for name in "ab"] == [b"a", b"b"]


# --- Since before there were links -----------------------------------------------


def test_what_was_one_person_before_there_were_links_is_one_customer(
    api: ApiClient, url: str, project: Project
) -> None:
    make(api, url, "a", "b")
    make(api, url, "c")
    PersonDistinctId.objects.filter(project=project).update(link=None)
    migration = importlib.import_module("projects.migrations.0005_fill_links")

    with connection.schema_editor(atomic=False) as editor:
        migration.fill(apps, editor)

    assert groups(project, "a", "b", "c") == [{"a", "b"}, {"c"}]


def test_a_release_that_knows_no_links_can_still_write(project: Project) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO projects_person (id, project_id, properties, is_identified, created_at)"
            " VALUES (gen_random_uuid(), %s, '{}', true, now()) RETURNING id",
            [project.pk],
        )
        (person_id,) = cursor.fetchone()
        for distinct_id in ("a", "b"):
            cursor.execute(
                "INSERT INTO projects_persondistinctid (project_id, person_id, distinct_id)"
                " VALUES (%s, %s, %s)",
                [project.pk, person_id, distinct_id],
            )

    rows = PersonDistinctId.objects.filter(person=person_id)
    assert all(row.is_identified and row.link for row in rows)
    assert Person.objects.get(pk=person_id).claimed == []
