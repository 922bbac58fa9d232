"""Claims: what anybody with a project's public token may say of persons, and never more."""

import json
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from projects.capture.jobs import hear_claims, prune_claims
from projects.models import PendingClaims, Person, PersonDistinctId, Project
from projects.persons import claims, linked_to, vouch
from projects.persons.claims import MAX_CLAIMED_DISTINCT_IDS
from projects.persons.verbs import merge_persons
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.jobs import enqueue, jobs_named, run_jobs
from tests.threads import InBackground, at_once, wait_until_blocked

Say = Callable[..., None]
Hearing = Callable[[dict[str, Any]], Callable[[], None]]


@pytest.fixture
def url(project: Project) -> str:
    return f"/api/projects/{project.pk}/persons"


@pytest.fixture
def api(project: Project, client_for: ClientFor) -> ApiClient:
    return client_for(project, "person:write", "ticket:write")


def send(project: Project, *batch: dict[str, Any]) -> None:
    """Sends events from a browser of its own; nobody has heard them yet."""
    # What limits an address is tested elsewhere.
    client = Client(REMOTE_ADDR=f"2001:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1")
    body = json.dumps({"api_key": project.public_token, "batch": batch})
    response = client.generic("POST", "/e/", body, "application/json")
    assert (response.status_code, response.content) == (200, b'{"status":1}')


@pytest.fixture
def say(project: Project) -> Say:
    """Sends events and has them heard: `say(event, …)`, each in a batch of its own."""

    def say_all(*events: dict[str, Any]) -> None:
        for event in events:
            send(project, event)
        run_jobs()

    return say_all


@pytest.fixture
def hearing(project: Project) -> Hearing:
    """Sends an event, and leaves to the test when it is heard: `hearing(event)()`."""

    def hear_later(event: dict[str, Any]) -> Callable[[], None]:
        send(project, event)
        pending = PendingClaims.objects.filter(project=project).latest("created_at")
        return partial(hear_claims, pending_id=str(pending.pk))

    return hear_later


def identify(distinct_id: Any, anonymous: Any = None, /, **properties: Any) -> dict[str, Any]:
    return {
        "event": "$identify",
        "properties": {"distinct_id": distinct_id, "$anon_distinct_id": anonymous},
        "$set": properties,
        "$set_once": {},
    }


def set_(distinct_id: Any, /, **properties: Any) -> dict[str, Any]:
    return {"event": "$set", "properties": {"distinct_id": distinct_id, "$set": properties}}


def alias(distinct_id: Any, other: Any) -> dict[str, Any]:
    return {
        "event": "$create_alias",
        "properties": {"distinct_id": distinct_id, "alias": other},
    }


def make(api: ApiClient, url: str, *distinct_ids: str, **properties: Any) -> Any:
    response = api.post(url, {"distinct_ids": distinct_ids, "properties": properties})
    assert response.status_code in (200, 201), response.content
    return response.json()


@pytest.fixture
def person_of(api: ApiClient, url: str) -> Callable[[str], Any]:
    """The person with a distinct id, as the API shows them, or None."""

    def find(distinct_id: str) -> Any:
        results = api.get(url, distinct_id=distinct_id).json()["results"]
        return results[0] if results else None

    return find


PersonOf = Callable[[str], Any]


# --- What they are for -----------------------------------------------------------


def test_identify_puts_a_person_on_the_ticket(
    api: ApiClient, say: Say, tickets_url: str, make_ticket: MakeTicket
) -> None:
    ticket = make_ticket(distinct_id="browser")
    assert ticket["person"] is None

    say(identify("user_1", "browser", email="ada@example.com"))

    person = api.get(f"{tickets_url}/{ticket['id']}").json()["person"]
    assert person["name"] == "ada@example.com"
    assert set(person["distinct_ids"]) == {"browser", "user_1"}
    assert person["properties"] == {"email": "ada@example.com"}
    assert person["is_identified"] is False


def test_set_makes_a_person_and_fills_in_what_is_absent(say: Say, person_of: PersonOf) -> None:
    say(set_("browser", plan="free"), set_("browser", plan="pro", city="Paris"))

    assert person_of("browser")["properties"] == {"plan": "free", "city": "Paris"}


def test_an_alias_is_the_same_person(say: Say, person_of: PersonOf) -> None:
    say(set_("one", a=1), set_("two", b=2), alias("one", "two"))

    assert person_of("one") == person_of("two")
    assert person_of("one")["properties"] == {"a": 1, "b": 2}


def test_who_was_known_to_the_browser_stays_the_same_person(say: Say, person_of: PersonOf) -> None:
    say(set_("browser", plan="free"))
    before = person_of("browser")

    say(identify("user_1", "browser", name="Ada"))

    now = person_of("user_1")
    assert (now["id"], now["created_at"]) == (before["id"], before["created_at"])
    assert now["properties"] == {"plan": "free", "name": "Ada"}


def test_what_is_set_wins_over_what_is_set_once_wherever_it_stands(
    say: Say, person_of: PersonOf
) -> None:
    event = {
        "event": "$identify",
        "distinct_id": "ada",
        "properties": {"$set": {"a": 2, "b": 2}, "$set_once": {"c": 4, "d": 4, "e": 4}},
        "$set": {"a": 1},
        "$set_once": {"b": 3, "c": 3, "d": 3},
    }
    say(event)

    assert person_of("ada")["properties"] == {"a": 1, "b": 2, "c": 3, "d": 3, "e": 4}


def test_an_event_that_asks_for_no_person_makes_none(say: Say, person_of: PersonOf) -> None:
    event = set_("browser", plan="free")
    event["properties"]["$process_person_profile"] = False

    say(event)

    assert person_of("browser") is None


def test_a_claim_is_heard_in_its_own_project_only(
    say: Say, project: Project, neighbour: Project, client_for: ClientFor
) -> None:
    there = client_for(neighbour, "person:write")
    elsewhere = f"/api/projects/{neighbour.pk}/persons"
    person = make(there, elsewhere, "ada")

    say(set_("ada", name="Eve"), identify("eve", "ada"))

    assert there.get(f"{elsewhere}/{person['id']}").json() == person


# --- What they never do ----------------------------------------------------------


def test_nothing_that_an_api_key_has_set_changes(
    api: ApiClient, url: str, say: Say, person_of: PersonOf
) -> None:
    ada = make(api, url, "ada", email="ada@example.com", phone=None, vip=False, tags=[])

    say(
        set_("ada", email="eve@example.com", phone="1", vip=True, tags=["x"]),
        identify("ada", email="eve@example.com"),
        {**set_("ada"), "$unset": ["email"], "$set": {"email": None}},
    )

    assert person_of("ada") == ada


def test_nothing_that_a_verified_identity_has_said_changes(
    project: Project, say: Say, person_of: PersonOf
) -> None:
    vouch(project_id=project.pk, distinct_id="ada", properties={"email": "ada@example.com"})

    say(set_("ada", email="eve@example.com", city="Paris"))

    assert person_of("ada")["properties"] == {"email": "ada@example.com", "city": "Paris"}


def test_what_claims_have_said_an_api_key_and_a_verified_identity_change(
    api: ApiClient, url: str, project: Project, say: Say, person_of: PersonOf
) -> None:
    say(set_("ada", email="eve@example.com", name="Eve"))

    vouch(project_id=project.pk, distinct_id="ada", properties={"email": "ada@example.com"})
    make(api, url, "ada", name="Ada")
    say(set_("ada", email="eve@example.com", name="Eve"))

    assert person_of("ada")["properties"] == {"email": "ada@example.com", "name": "Ada"}


@pytest.mark.parametrize("by", ["an API key", "a verified identity", "a claim"])
def test_who_has_been_identified_is_not_merged_into_another(
    by: str, api: ApiClient, url: str, project: Project, say: Say, person_of: PersonOf
) -> None:
    if by == "an API key":
        make(api, url, "victim", name="Ada")
    elif by == "a verified identity":
        vouch(project_id=project.pk, distinct_id="victim", properties={"name": "Ada"})
    else:
        say(identify("victim", name="Ada"))
    before = person_of("victim")

    say(
        identify("attacker", "victim", name="Eve"),
        alias("attacker", "victim"),
        alias("browser", "victim"),
        identify("browser", "victim"),
    )

    assert person_of("victim") == before


def test_an_alias_across_two_verified_customers_does_nothing(
    project: Project, say: Say, person_of: PersonOf
) -> None:
    for name in ("ada", "eve"):
        vouch(project_id=project.pk, distinct_id=name, properties={"name": name})
    before = [person_of("ada"), person_of("eve")]

    say(alias("ada", "eve"), alias("eve", "ada"), identify("eve", "ada"), identify("ada", "eve"))

    assert [person_of("ada"), person_of("eve")] == before
    assert linked_to(project.pk, "ada") == {"ada"}


def test_a_chain_of_claims_does_not_bring_two_customers_together(
    api: ApiClient, url: str, project: Project, say: Say, person_of: PersonOf
) -> None:
    ada, eve = make(api, url, "ada"), make(api, url, "eve")

    say(
        identify("ada", "bridge-1"),
        identify("eve", "bridge-2"),
        alias("bridge-1", "bridge-2"),
        alias("bridge-2", "bridge-1"),
        identify("bridge-1", "bridge-2"),
        identify("new", "bridge-1"),
        alias("eve", "bridge-1"),
    )

    assert person_of("ada")["id"] == ada["id"]
    assert person_of("eve")["id"] == eve["id"]
    assert linked_to(project.pk, "ada") == {"ada"}
    assert linked_to(project.pk, "eve") == {"eve"}


def test_no_claim_links_anything(
    api: ApiClient, url: str, project: Project, say: Say, person_of: PersonOf
) -> None:
    vouch(project_id=project.pk, distinct_id="ada", properties={})

    say(identify("ada", "attacker"), alias("ada", "attacker-2"), set_("attacker", x=1))

    # They show in the team's answers, and open nothing.
    assert set(person_of("ada")["distinct_ids"]) == {"ada", "attacker", "attacker-2"}
    assert linked_to(project.pk, "ada") == {"ada"}
    assert linked_to(project.pk, "attacker") == {"attacker"}
    assert PersonDistinctId.objects.filter(project=project, link=None).count() == 2


def test_an_id_that_was_squatted_before_its_owner_came_is_the_owners(
    api: ApiClient, url: str, project: Project, say: Say, person_of: PersonOf
) -> None:
    eve = make(api, url, "eve", name="Eve")
    say(identify("eve", "victim-1"), alias("eve", "victim-2"))
    assert person_of("victim-1")["id"] == eve["id"]

    vouch(project_id=project.pk, distinct_id="victim-1", properties={"name": "Ada"})
    make(api, url, "victim-2", name="Grace")

    assert person_of("victim-1")["properties"] == {"name": "Ada"}
    assert person_of("victim-2")["properties"] == {"name": "Grace"}
    assert person_of("eve") == eve


def test_a_claim_does_not_say_that_somebody_is_identified(
    api: ApiClient, url: str, say: Say, person_of: PersonOf
) -> None:
    say(identify("ada"), alias("x", "y"))

    assert person_of("ada")["is_identified"] is person_of("x")["is_identified"] is False


def test_a_claimed_address_attracts_no_tickets(
    api: ApiClient,
    url: str,
    say: Say,
    person_of: PersonOf,
    tickets_url: str,
    make_ticket: MakeTicket,
) -> None:
    say(set_("attacker", email="victim@example.com"))
    ticket = make_ticket(email_from="victim@example.com", message="Hi")
    assert ticket["person"] is None

    # Nor does it take them away with the person who claimed it.
    attacker = person_of("attacker")["id"]
    assert api.delete(f"{url}/{attacker}?tickets=true").status_code == 204
    assert api.get(f"{tickets_url}/{ticket['id']}").json()["email_from"] == "victim@example.com"


def test_the_owner_of_an_address_has_its_tickets_whoever_claimed_it_before(
    api: ApiClient, url: str, say: Say, make_ticket: MakeTicket
) -> None:
    say(set_("attacker", email="victim@example.com"))
    victim = make(api, url, "victim", email="victim@example.com")

    assert make_ticket(email_from="victim@example.com")["person"] == victim


def test_a_person_whom_an_api_key_has_described_is_merged_by_no_claim(
    api: ApiClient, url: str, say: Say, person_of: PersonOf
) -> None:
    say(set_("browser", plan="free"))
    person = person_of("browser")
    described = api.patch(f"{url}/{person['id']}", {"properties": {"note": "rude"}}).json()

    say(identify("eve", "browser"), alias("eve", "browser"))

    assert person_of("browser") == described


# --- What can not be understood, or stored ---------------------------------------


@pytest.mark.parametrize(
    "distinct_id",
    [
        "",
        "  ",
        "null",
        "NULL",
        "undefined",
        "anonymous",
        "Anonymous",
        "guest",
        "0",
        "NaN",
        "None",
        "true",
        "[object Object]",
        '"undefined"',
        "'id'",
        "$posthog_cookieless",
        "x" * 401,
        "a\x00b",
        "a\ud800b",
        None,
        True,
        0,
        1.5,
        [],
        ["ada"],
        {},
        {"id": "ada"},
    ],
    ids=repr,
)
def test_a_distinct_id_that_names_nobody_is_nobody(
    say: Say, project: Project, person_of: PersonOf, distinct_id: Any
) -> None:
    say(set_(distinct_id, a=1), identify(distinct_id), alias(distinct_id, "ada"))
    say(alias("ada", distinct_id))
    assert not Person.objects.filter(project=project).exists()

    say(identify("ada", distinct_id))
    assert person_of("ada")["distinct_ids"] == ["ada"]


@pytest.mark.parametrize(
    ("distinct_id", "text"), [(7, "7"), ("x" * 400, "x" * 400), (" ada ", " ada "), ("é,%", "é,%")]
)
def test_other_distinct_ids_are_taken_as_they_are(
    say: Say, project: Project, distinct_id: Any, text: str
) -> None:
    say(set_(distinct_id))

    assert PersonDistinctId.objects.get(project=project).distinct_id == text


def test_a_property_that_can_not_be_stored_does_not_spoil_the_others(
    say: Say, person_of: PersonOf
) -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    bad = {
        "nul": "a\x00b",
        "surrogate": "\ud800",
        "inside": {"a": ["\x00"]},
        "name\x00": 1,
        "n" * 201: 1,
        "larger than any": 10**400,
        "infinite": float("inf"),
        "not a number": float("nan"),
        "deep": deep,
        "null": None,
    }
    good = {
        "text": "x",
        "number": 1.5,
        "whole": 10**18,
        "large": 1e20,
        "list": [1, {"a": None}],
        "": "",
        "t": True,
    }

    say(set_("ada", **bad, **good))

    assert person_of("ada")["properties"] == good


@pytest.mark.parametrize("value", [None, [], "x", 1, [["a", 1]], True], ids=repr)
def test_properties_that_are_no_object_are_none(say: Say, person_of: PersonOf, value: Any) -> None:
    say({"event": "$set", "distinct_id": "ada", "$set": value, "$set_once": value})

    assert person_of("ada")["properties"] == {}


def test_claims_take_little_room_and_never_that_of_an_api_key(
    api: ApiClient, url: str, say: Say, person_of: PersonOf
) -> None:
    say(*(set_("ada", **{f"p{n}": "x" * 1000, f"q{n}": "y"}) for n in range(25)))

    properties = person_of("ada")["properties"]
    assert 14_000 < len(json.dumps(properties)) < 17_000
    make(api, url, "ada", text="x" * 65_000)
    assert person_of("ada")["properties"] == {"text": "x" * 65_000}


def test_one_claim_has_at_most_a_hundred_properties(say: Say, person_of: PersonOf) -> None:
    say(set_("ada", **{f"p{n}": n for n in range(150)}))

    assert len(person_of("ada")["properties"]) == 100


def test_claims_give_a_person_a_hundred_distinct_ids_and_no_more(
    api: ApiClient, url: str, project: Project, say: Say, person_of: PersonOf
) -> None:
    ada = make(api, url, "ada")
    for number in range(MAX_CLAIMED_DISTINCT_IDS - 1):
        PersonDistinctId.objects.create(
            project=project,
            person_id=ada["id"],
            distinct_id=f"junk-{number}",
            is_identified=False,
            link=None,
        )

    say(set_("apart", a=1), identify("ada", "last"), identify("ada", "more"), alias("ada", "apart"))

    distinct_ids = person_of("ada")["distinct_ids"]
    assert len(distinct_ids) == 1 + MAX_CLAIMED_DISTINCT_IDS
    assert "last" in distinct_ids
    assert person_of("more") is None
    assert person_of("apart")["distinct_ids"] == ["apart"]
    assert make(api, url, "ada", "phone")["id"] == ada["id"]


# --- At once ---------------------------------------------------------------------


def test_many_claims_of_one_browser_at_once_make_one_person(
    hearing: Hearing, project: Project, person_of: PersonOf
) -> None:
    for attempt in range(5):
        browser, user = f"browser-{attempt}", f"user-{attempt}"
        at_once(
            *[hearing(set_(browser, **{f"p{n}": n})) for n in range(3)],
            *[hearing(identify(user, browser, **{f"q{n}": n})) for n in range(3)],
        )

        person = person_of(user)
        assert set(person["distinct_ids"]) == {browser, user}
        assert person["properties"] == {f"{p}{n}": n for p in "pq" for n in range(3)}
    assert Person.objects.filter(project=project).count() == 5


def test_opposite_aliases_at_once_make_one_person(
    say: Say, hearing: Hearing, project: Project, person_of: PersonOf
) -> None:
    for attempt in range(8):
        one, two = f"one-{attempt}", f"two-{attempt}"
        if attempt % 2:
            say(set_(one, a=1), set_(two, b=2))

        at_once(*[hearing(alias(*pair)) for pair in ((one, two), (two, one)) * 3])

        assert set(person_of(one)["distinct_ids"]) == {one, two}
    assert Person.objects.filter(project=project).count() == 8


def test_a_claim_and_an_api_key_at_once_make_one_person(
    api: ApiClient,
    url: str,
    project: Project,
    say: Say,
    hearing: Hearing,
    person_of: PersonOf,
) -> None:
    for attempt in range(8):
        user, browser = f"user-{attempt}", f"browser-{attempt}"
        say(set_(browser, plan="free"))

        at_once(
            hearing(identify(user, browser, name="Eve", city="Paris")),
            partial(make, api, url, user, name="Ada"),
            hearing(identify(user, browser, city="Paris")),
        )

        person = person_of(user)
        assert person["is_identified"]
        assert person["properties"] == {"name": "Ada", "plan": "free", "city": "Paris"}
        assert set(person["distinct_ids"]) == {user, browser}
        assert linked_to(project.pk, user) == {user}


def test_a_claim_that_waits_for_a_merge_finds_the_person_where_it_is_then(
    api: ApiClient, url: str, project: Project, hearing: Hearing, person_of: PersonOf
) -> None:
    source, target = make(api, url, "source"), make(api, url, "target")
    hear = hearing(set_("source", city="Paris"))

    with ExitStack() as stack:
        with transaction.atomic():
            merge_persons(
                project_id=project.pk, target_id=UUID(target["id"]), source_id=UUID(source["id"])
            )
            claim = stack.enter_context(InBackground(hear))
            wait_until_blocked()
        claim.result()

    assert person_of("source")["properties"] == {"city": "Paris"}
    assert person_of("source")["id"] == target["id"]


def test_a_claim_that_is_overtaken_each_time_is_dropped(
    say: Say, project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(claims, "add", lambda *args, **kwargs: False)

    say(set_("ada", name="Ada"))

    assert not Person.objects.filter(project=project).exists()
    assert "overtaken each time" in caplog.text


# --- Until they are heard --------------------------------------------------------


def test_a_request_does_the_same_whether_somebody_is_known_or_not(
    api: ApiClient, url: str, project: Project
) -> None:
    make(api, url, "ada", email="ada@example.com", plan="pro")
    make(api, url, "grace")
    send(project, set_("grace"))
    kinds: list[Callable[[str], dict[str, Any]]] = [
        lambda name: set_(name, plan="free"),
        lambda name: identify(name, "grace", email="eve@example.com"),
        lambda name: identify("grace", name),
        lambda name: alias(name, "grace"),
    ]

    for event in kinds:
        with CaptureQueriesContext(connection) as for_ada:
            send(project, event("ada"), event("ada"))
        with CaptureQueriesContext(connection) as for_nobody:
            send(project, event("nobody"), event("nobody"))

        # The row and the job, in one transaction, for however many claims.
        assert shape_of(for_ada) == shape_of(for_nobody)
        assert [words[0] for words in shape_of(for_ada)] == ["BEGIN", "INSERT", "SELECT", "COMMIT"]


def shape_of(captured: CaptureQueriesContext) -> list[list[str]]:
    """The statements without their values, which begin after the fourth word."""
    return [query["sql"].split()[:4] for query in captured.captured_queries]


def test_the_job_knows_neither_who_it_is_nor_what_is_claimed(project: Project) -> None:
    send(project, identify("ada", email="ada@example.com"))

    [pending] = PendingClaims.objects.filter(project=project)
    assert [job.args for job in jobs_named("hear_claims") if str(pending.pk) in str(job.args)] == [
        {"pending_id": str(pending.pk)}
    ]


def test_a_batch_is_heard_in_its_order_and_then_gone(project: Project, person_of: PersonOf) -> None:
    send(project, *(set_("ada", **{f"p{n // 2}": n}) for n in range(20)))
    assert person_of("ada") is None

    run_jobs()

    assert person_of("ada")["properties"] == {f"p{n}": 2 * n for n in range(10)}
    assert not PendingClaims.objects.filter(project=project).exists()


def test_a_batch_that_is_heard_twice_or_by_two_at_once_is_heard_once(
    api: ApiClient, url: str, project: Project, person_of: PersonOf
) -> None:
    send(project, set_("browser", a=1), identify("ada", "browser", b=2), alias("ada", "phone"))
    [pending] = PendingClaims.objects.filter(project=project)

    at_once(*[partial(hear_claims, pending_id=str(pending.pk))] * 3)
    person = person_of("ada")
    # As if a worker had died before it could remove the row.
    pending.save(force_insert=True)
    run_jobs()

    assert person_of("ada") == person
    assert set(person["distinct_ids"]) == {"ada", "browser", "phone"}
    assert person["properties"] == {"a": 1, "b": 2}
    assert Person.objects.filter(project=project).count() == 1


def test_claims_that_could_not_be_heard_are_tried_again(
    project: Project, person_of: PersonOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(**kwargs: Any) -> None:
        raise OperationalError

    send(project, set_("ada", plan="free"))
    [pending] = PendingClaims.objects.filter(project=project)
    with monkeypatch.context() as patched:
        patched.setattr(claims, "hear", down)
        run_jobs()

    [job] = [job for job in jobs_named("hear_claims") if str(pending.pk) in str(job.args)]
    assert (job.status, job.attempts) == ("todo", 1)
    job_is_due(job.id)
    run_jobs()
    assert person_of("ada")["properties"] == {"plan": "free"}


def job_is_due(job_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE id = %s", [job_id])


def test_claims_that_nobody_has_heard_for_a_day_are_forgotten(project: Project) -> None:
    for hours in (23, 25):
        created_at = timezone.now() - timedelta(hours=hours)
        PendingClaims.objects.create(project=project, claims=[], created_at=created_at)

    enqueue(prune_claims)
    run_jobs()

    [pending] = PendingClaims.objects.filter(project=project)
    assert pending.created_at > timezone.now() - timedelta(hours=24)


def test_what_waits_of_a_claim_is_no_more_than_a_person_could_take(project: Project) -> None:
    send(project, set_("ada", **{f"p{n}": "x" * 3000 for n in range(50)}, large="x" * 20_000))

    [pending] = PendingClaims.objects.filter(project=project)
    assert pending.claims[0]["properties"] == {f"p{n}": "x" * 3000 for n in range(5)}


def test_the_claims_of_a_project_that_is_deleted_go_with_it(project: Project) -> None:
    send(project, set_("ada"))

    project.delete()
    run_jobs()

    assert not PendingClaims.objects.filter(project_id=project.pk).exists()
