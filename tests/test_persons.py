"""Persons: list, create or identify, look, change; their names, and which tickets show them."""

import json
import secrets
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.models import Ticket
from projects.models import ApiKey, Person, PersonDistinctId, Project
from tests.api import ApiClient
from tests.conftest import ClientFor, MakeTicket
from tests.threads import at_once

UNKNOWN = "01990a3b-1c2d-7a10-8e4f-0a1b2c3d4e5f"


@pytest.fixture
def url(project: Project) -> str:
    return persons_url_of(project)


def persons_url_of(project: Project) -> str:
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


# --- Create or identify ------------------------------------------------------


def test_a_person_is_created(api: ApiClient, url: str) -> None:
    response = api.post(url, {"distinct_ids": ["u1", "u2"], "properties": {"plan": "pro"}})

    assert response.status_code == 201
    person = response.json()
    assert person == {
        "id": person["id"],
        "name": "u1",
        "distinct_ids": ["u1", "u2"],
        "properties": {"plan": "pro"},
        "created_at": person["created_at"],
        "is_identified": True,
    }
    assert api.get(f"{url}/{person['id']}").json() == person


def test_properties_may_be_left_out(api: ApiClient, url: str) -> None:
    assert api.post(url, {"distinct_ids": ["u1"]}).json()["properties"] == {}


def test_a_known_distinct_id_gets_the_properties(api: ApiClient, url: str) -> None:
    first = make(api, url, "u1", plan="free", city="Paris")

    response = api.post(url, {"distinct_ids": ["u1"], "properties": {"plan": "pro"}})

    assert response.status_code == 200
    assert response.json() == {**first, "properties": {"plan": "pro", "city": "Paris"}}


def test_new_distinct_ids_beside_a_known_one_are_added_to_its_person(
    api: ApiClient, url: str
) -> None:
    first = make(api, url, "u1")

    response = api.post(url, {"distinct_ids": ["u3", "u1", "u2"]})

    assert response.status_code == 200
    assert response.json()["id"] == first["id"]
    assert set(response.json()["distinct_ids"]) == {"u1", "u2", "u3"}


def test_distinct_ids_of_two_persons_are_a_conflict_and_change_nothing(
    api: ApiClient, url: str
) -> None:
    one, two = make(api, url, "u1"), make(api, url, "u2")

    response = api.post(url, {"distinct_ids": ["u0", "u1", "u2"], "properties": {"plan": "pro"}})

    assert response.status_code == 409
    body = response.json()
    assert (body["type"], body["code"], body["attr"]) == ("invalid_request", "conflict", None)
    assert api.get(url).json()["results"] == [two, one]


def test_a_person_whom_only_a_browser_knew_is_identified_from_then_on(
    api: ApiClient, url: str, project: Project
) -> None:
    person = Person.objects.create(project=project)
    PersonDistinctId.objects.create(project=project, person=person, distinct_id="u1")

    assert api.get(f"{url}/{person.pk}").json()["is_identified"] is False
    assert make(api, url, "u1")["is_identified"] is True


def test_the_same_distinct_id_is_another_person_in_another_project(
    api: ApiClient, url: str, neighbour: Project, client_for: ClientFor
) -> None:
    there = make(client_for(neighbour, "*"), persons_url_of(neighbour), "u1")

    assert make(api, url, "u1")["id"] != there["id"]


def test_a_distinct_id_given_twice_counts_once(api: ApiClient, url: str) -> None:
    assert make(api, url, "u2", "u1", "u2")["distinct_ids"] == ["u1", "u2"]


@pytest.mark.parametrize("distinct_id", [" u1 ", "é\u0301", "a,b", "%00", "null", "x" * 400])
def test_a_distinct_id_is_kept_as_it_is(api: ApiClient, url: str, distinct_id: str) -> None:
    person = make(api, url, distinct_id)

    assert person["distinct_ids"] == [distinct_id]
    assert api.get(url, distinct_id=distinct_id).json()["results"] == [person]


def test_what_was_answered_may_be_sent_back(api: ApiClient, url: str) -> None:
    person = make(api, url, "u1", "u2", plan="pro", nothing=None)

    assert api.post(url, person).json() == person
    assert api.patch(f"{url}/{person['id']}", person).json() == person


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({}, ("required", "distinct_ids")),
        ({"distinct_ids": None}, ("null", "distinct_ids")),
        ({"distinct_ids": []}, ("min_length", "distinct_ids")),
        ({"distinct_ids": "u1"}, ("not_a_list", "distinct_ids")),
        ({"distinct_ids": {"0": "u1"}}, ("not_a_list", "distinct_ids")),
        ({"distinct_ids": [""]}, ("blank", "distinct_ids__0")),
        ({"distinct_ids": ["u1", " \t"]}, ("blank", "distinct_ids__1")),
        ({"distinct_ids": [None]}, ("null", "distinct_ids__0")),
        ({"distinct_ids": [1]}, ("invalid_input", "distinct_ids__0")),
        ({"distinct_ids": [True]}, ("invalid_input", "distinct_ids__0")),
        ({"distinct_ids": ["x" * 401]}, ("max_length", "distinct_ids__0")),
        ({"distinct_ids": ["u\x00"]}, ("invalid_input", "distinct_ids__0")),
        ({"distinct_ids": ["u\ud800"]}, ("invalid_input", "distinct_ids__0")),
        ({"distinct_ids": [str(n) for n in range(101)]}, ("max_length", "distinct_ids")),
        ({"distinct_ids": ["u1"] * 101}, ("max_length", "distinct_ids")),
        ({"distinct_ids": ["u1"], "properties": None}, ("null", "properties")),
        ({"distinct_ids": ["u1"], "properties": []}, ("invalid_input", "properties")),
        ({"distinct_ids": ["u1"], "properties": "{}"}, ("invalid_input", "properties")),
        (
            {"distinct_ids": ["u1"], "properties": {str(n): n for n in range(101)}},
            ("max_length", "properties"),
        ),
        (
            {"distinct_ids": ["u1"], "properties": {"x": "x" * 64 * 1024}},
            ("max_length", "properties"),
        ),
        ({"distinct_ids": ["u1"], "properties": {"x" * 201: 1}}, ("max_length", "properties")),
        (
            {"distinct_ids": ["u1"], "properties": {"x": "\x00"}},
            ("invalid_input", "properties__x"),
        ),
        ({"distinct_ids": ["u1"], "email": "a@example.com"}, ("unknown_field", "email")),
        ([], ("invalid_input", None)),
    ],
)
def test_a_bad_person_is_refused(
    api: ApiClient, url: str, body: Any, failure: tuple[str, str | None]
) -> None:
    assert failures(api.post(url, body)) == [failure]
    assert api.get(url).json()["count"] == 0


def test_a_hundred_distinct_ids_and_properties_are_taken(api: ApiClient, url: str) -> None:
    distinct_ids = [str(number) for number in range(100)]

    person = make(api, url, *distinct_ids, **dict.fromkeys(distinct_ids, 1))

    assert set(person["distinct_ids"]) == set(distinct_ids)
    assert len(person["properties"]) == 100


def test_a_person_has_at_most_a_thousand_distinct_ids(api: ApiClient, url: str) -> None:
    ids = [str(number) for number in range(1001)]
    for start in range(0, 1000, 99):
        make(api, url, "0", *ids[start + 1 : start + 100][: 999 - start])
    assert set(make(api, url, "0")["distinct_ids"]) == set(ids[:1000])

    refused = api.post(url, {"distinct_ids": ["0", "1000"], "properties": {"plan": "pro"}})

    assert failures(refused) == [("max_length", "distinct_ids")]
    (person,) = api.get(url).json()["results"]
    assert (len(person["distinct_ids"]), person["properties"]) == (1000, {})


def test_a_property_may_be_any_json(api: ApiClient, url: str) -> None:
    values = {
        "email": ["not", "text"],
        "name": {"first": "Ada"},
        "float": 1e300,
        "integer": -(2**63),
        "null": None,
        "": "",
        "nested": [[{"a": [True]}]],
    }

    person = make(api, url, "u1", **values)

    assert person["properties"] == values
    assert person["name"] == "u1"


def test_an_address_longer_than_any_index_entry_is_kept(api: ApiClient, url: str) -> None:
    # Random, since PostgreSQL packs what repeats.
    address = secrets.token_hex(10_000) + "@example.com"

    person = make(api, url, "u1", email=address)

    assert api.get(f"{url}/{person['id']}").json()["name"] == address


def test_many_who_create_one_person_at_once_get_the_same_one(
    project: Project, url: str, client_for: ClientFor
) -> None:
    clients = [client_for(project, "person:write") for _ in range(8)]
    bodies = [
        {"distinct_ids": ["b", "a", f"own-{n}"][:: 1 if n % 2 else -1], "properties": {f"p{n}": n}}
        for n in range(8)
    ]

    answers = at_once(
        *(partial(client.post, url, body) for client, body in zip(clients, bodies, strict=True))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    person = clients[0].get(url).json()["results"]
    assert len(person) == 1
    assert set(person[0]["distinct_ids"]) == {"a", "b", *(f"own-{n}" for n in range(8))}
    assert person[0]["properties"] == {f"p{n}": n for n in range(8)}


def test_overlapping_new_persons_at_once_give_one_or_a_conflict(
    project: Project, url: str, client_for: ClientFor
) -> None:
    clients = [client_for(project, "person:write") for _ in range(6)]

    for attempt in range(5):
        names = [f"{attempt}-{n}" for n in range(7)]
        answers = at_once(
            *(
                partial(client.post, url, {"distinct_ids": names[n : n + 2]})
                for n, client in enumerate(clients)
            )
        )
        assert {answer.status_code for answer in answers} <= {200, 201, 409}
        for n, answer in enumerate(answers):
            if answer.status_code != 409:
                owners = {
                    clients[0].get(url, distinct_id=name).json()["results"][0]["id"]
                    for name in names[n : n + 2]
                }
                assert owners == {answer.json()["id"]}


# --- Look and change ---------------------------------------------------------


def test_a_change_replaces_the_given_properties_and_keeps_the_others(
    api: ApiClient, url: str
) -> None:
    person = make(api, url, "u1", plan="free", city="Paris", tags=["a", "b"])

    response = api.patch(
        f"{url}/{person['id']}", {"properties": {"plan": "pro", "city": None, "tags": ["c"]}}
    )

    assert response.status_code == 200
    assert response.json() == {
        **person,
        "properties": {"plan": "pro", "city": None, "tags": ["c"]},
    }
    assert api.get(f"{url}/{person['id']}").json() == response.json()


@pytest.mark.parametrize("body", [{}, {"properties": {}}, None])
def test_a_change_of_nothing_is_a_look(api: ApiClient, url: str, body: Any) -> None:
    person = make(api, url, "u1", plan="free")

    assert api.patch(f"{url}/{person['id']}", body).json() == person


def test_true_and_1_are_different_values(api: ApiClient, url: str) -> None:
    person = make(api, url, "u1", vip=1, nested={"a": [1]})

    changed = api.patch(
        f"{url}/{person['id']}", {"properties": {"vip": True, "nested": {"a": [True]}}}
    )

    assert json.dumps(changed.json()["properties"], sort_keys=True) == (
        '{"nested": {"a": [true]}, "vip": true}'
    )


def test_read_only_fields_are_ignored(api: ApiClient, url: str) -> None:
    person = make(api, url, "u1")
    body = {
        "id": UNKNOWN,
        "name": "Eve",
        "distinct_ids": ["stolen"],
        "created_at": "2000-01-01T00:00:00Z",
        "is_identified": False,
    }

    assert api.patch(f"{url}/{person['id']}", body).json() == person


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"properties": None}, ("null", "properties")),
        ({"properties": [1]}, ("invalid_input", "properties")),
        ({"properties": {str(n): 1 for n in range(101)}}, ("max_length", "properties")),
        ({"properties": {"x": "x" * 64 * 1024}}, ("max_length", "properties")),
        ({"properties": {"x": "x" * 40_000}}, ("max_length", "properties")),
        ({"propertys": {}}, ("unknown_field", "propertys")),
        ([], ("invalid_input", None)),
        ("x", ("invalid_input", None)),
    ],
)
def test_a_bad_change_is_refused_and_changes_nothing(
    api: ApiClient, url: str, body: Any, failure: tuple[str, str | None]
) -> None:
    # With the 40,000 of the body more than 64 KiB in all.
    person = make(api, url, "u1", plan="free", long="x" * 40_000)

    assert failures(api.patch(f"{url}/{person['id']}", body)) == [failure]
    assert api.get(f"{url}/{person['id']}").json() == person


def test_a_person_with_very_many_properties_can_be_sent_back_with_a_change(
    api: ApiClient, url: str
) -> None:
    make(api, url, "u1", **{f"a{n}": n for n in range(100)})
    person = make(api, url, "u1", **{f"b{n}": n for n in range(100)})
    person["properties"]["a0"] = "changed"

    assert api.patch(f"{url}/{person['id']}", person).json() == person


def test_changes_of_one_person_at_once_are_all_kept(
    project: Project, url: str, client_for: ClientFor
) -> None:
    clients = [client_for(project, "person:write") for _ in range(6)]
    person = make(clients[0], url, "u1")

    at_once(
        *(
            partial(client.patch, f"{url}/{person['id']}", {"properties": {str(n): n}})
            for n, client in enumerate(clients)
        )
    )

    stored = clients[0].get(f"{url}/{person['id']}").json()["properties"]
    assert stored == {str(n): n for n in range(6)}


@pytest.mark.parametrize("named", [UNKNOWN, "1", "u1", "%00", "nonsense", "-", UNKNOWN + "0"])
@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {}),
        ("DELETE", "", None),
        ("POST", "/merge", {"person": UNKNOWN}),
    ],
)
def test_an_unknown_person_is_not_found(
    api: ApiClient, url: str, named: str, method: str, below: str, body: Any
) -> None:
    response = api.request(method, f"{url}/{named}{below}", body)

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"properties": {"plan": "stolen"}}),
        ("DELETE", "?tickets=true", None),
        ("POST", "/merge", {"person": UNKNOWN}),
    ],
)
def test_a_person_of_another_project_is_not_found(
    api: ApiClient,
    url: str,
    neighbour: Project,
    client_for: ClientFor,
    method: str,
    below: str,
    body: Any,
) -> None:
    owner = client_for(neighbour, "*")
    person = make(owner, persons_url_of(neighbour), "u1")

    assert api.request(method, f"{url}/{person['id']}{below}", body).status_code == 404
    assert owner.get(f"{persons_url_of(neighbour)}/{person['id']}").json() == person


def test_an_id_in_capitals_names_the_same_person(api: ApiClient, url: str) -> None:
    person = make(api, url, "u1")

    assert api.get(f"{url}/{person['id'].upper()}").json() == person


# --- The list ----------------------------------------------------------------


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [person["distinct_ids"][0] for person in response.json()["results"]]


def test_the_list_has_the_newest_first(api: ApiClient, url: str) -> None:
    for name in ("u1", "u2", "u3"):
        make(api, url, name)

    assert names(api.get(url)) == ["u3", "u2", "u1"]


def test_the_list_can_be_walked_by_its_links(api: ApiClient, url: str) -> None:
    for n in range(5):
        make(api, url, f"u{n}")

    page, seen = api.get(url, limit=2).json(), []
    while True:
        assert page["count"] == 5
        seen += [person["distinct_ids"][0] for person in page["results"]]
        if page["next"] is None:
            break
        page = api.get(page["next"].removeprefix("http://testserver")).json()

    assert seen == ["u4", "u3", "u2", "u1", "u0"]
    assert page["previous"]


def test_the_list_takes_an_offset(api: ApiClient, url: str) -> None:
    for n in range(3):
        make(api, url, f"u{n}")

    assert names(api.get(url, offset=1, limit=1)) == ["u1"]


def test_the_list_has_no_persons_of_others(
    api: ApiClient, url: str, neighbour: Project, client_for: ClientFor
) -> None:
    make(client_for(neighbour, "*"), persons_url_of(neighbour), "u1", email="ada@example.com")

    for query in ({}, {"search": "ada"}, {"search": "u1"}, {"distinct_id": "u1"}):
        assert api.get(url, **query).json()["results"] == []
    assert api.get(url, email="ada@example.com").json()["results"] == []


@pytest.fixture
def people(api: ApiClient, url: str) -> None:
    make(api, url, "ada", "u1", email="Ada.Lovelace@Example.com", name="Augusta Ada King")
    make(api, url, "grace", name="Grace Hopper", username="amazing-grace", company="ada-lovers")
    make(api, url, "jose", name="José Nuñez")
    make(api, url, "number", username=12345)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ada", ["ada"]),
        ("ADA", ["ada"]),
        ("love", ["ada"]),
        ("lovelace", ["ada"]),
        ("ada.lovelace@example.com", ["ada"]),
        ("example.com", ["ada"]),
        ("king augusta", ["ada"]),
        ("king grace", []),
        ("ovelace", []),
        ("hop", ["grace"]),
        ("amazing", ["grace"]),
        # A property that names nobody.
        ("lovers", []),
        ("josé", ["jose"]),
        ("JOSE\u0301", ["jose"]),
        ("nuñ", ["jose"]),
        ("123", ["number"]),
        # A distinct id is found as a whole, in its own case.
        ("u1", ["ada"]),
        ("U1", []),
        ("u", []),
        ("gra", ["grace"]),
        ("'", []),
        ("':* | !x", []),
        ("\\", []),
        ("%", []),
        ("ada & grace", []),
    ],
)
def test_a_search_finds_the_beginnings_of_words(
    api: ApiClient, url: str, search: str, found: list[str]
) -> None:
    assert names(api.get(url, search=search)) == found


@pytest.mark.usefixtures("people")
def test_a_search_follows_a_change(api: ApiClient, url: str) -> None:
    (grace,) = api.get(url, distinct_id="grace").json()["results"]

    api.patch(f"{url}/{grace['id']}", {"properties": {"name": "Rear Admiral"}})

    assert names(api.get(url, search="admiral")) == ["grace"]
    assert names(api.get(url, search="hopper")) == []


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"email": "ada.lovelace@example.com"}, ["ada"]),
        ({"email": "ADA.LOVELACE@EXAMPLE.COM"}, ["ada"]),
        ({"email": "ada"}, []),
        ({"distinct_id": "u1"}, ["ada"]),
        ({"distinct_id": "U1"}, []),
        ({"distinct_id": "u1", "email": "ada.lovelace@example.com", "search": "king"}, ["ada"]),
        ({"distinct_id": "grace", "search": "ada"}, []),
    ],
)
def test_filters_combine(api: ApiClient, url: str, query: dict[str, str], found: list[str]) -> None:
    response = api.get(url, **query)

    assert names(response) == found
    assert response.json()["count"] == len(found)


@pytest.mark.parametrize(
    ("query", "failure"),
    [
        ({"limit": "0"}, ("min_value", "limit")),
        ({"limit": "x"}, ("invalid_input", "limit")),
        ({"offset": "-1"}, ("min_value", "offset")),
        ({"cursor": "x"}, ("invalid_input", "cursor")),
        ({"search": ""}, ("blank", "search")),
        ({"search": "x" * 201}, ("max_length", "search")),
        ({"search": "\x00"}, ("null_characters_not_allowed", "search")),
        ({"distinct_id": ""}, ("blank", "distinct_id")),
        ({"distinct_id": "x" * 401}, ("max_length", "distinct_id")),
        ({"distinct_id": "\x00"}, ("null_characters_not_allowed", "distinct_id")),
        ({"email": ""}, ("blank", "email")),
        ({"email": "x" * 321}, ("max_length", "email")),
        ({"emial": "x"}, ("unknown_parameter", "emial")),
        ({"order_by": "name"}, ("unknown_parameter", "order_by")),
    ],
)
def test_a_bad_parameter_is_refused(
    api: ApiClient, url: str, query: dict[str, str], failure: tuple[str, str]
) -> None:
    assert failures(api.get(url, **query)) == [failure]


def test_a_cursor_of_another_filter_is_refused(api: ApiClient, url: str) -> None:
    for n in range(2):
        make(api, url, f"u{n}")
    link = api.get(url, limit=1).json()["next"].removeprefix("http://testserver")

    assert failures(api.get(f"{link}&search=u")) == [("invalid_input", "cursor")]


# --- Names -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "distinct_ids", "name"),
    [
        (
            {
                "email": "1",
                "Email": "2",
                "$email": "3",
                "name": "4",
                "Name": "5",
                "username": "6",
                "Username": "7",
                "UserName": "8",
            },
            ["u"],
            "1",
        ),
        ({"Email": "2", "$email": "3", "name": "4"}, ["u"], "2"),
        ({"$email": "3", "name": "4", "Name": "5"}, ["u"], "3"),
        ({"name": "4", "Name": "5", "username": "6"}, ["u"], "4"),
        ({"Name": "5", "username": "6", "Username": "7"}, ["u"], "5"),
        ({"username": "6", "Username": "7", "UserName": "8"}, ["u"], "6"),
        ({"Username": "7", "UserName": "8"}, ["u"], "7"),
        ({"UserName": "8"}, ["u"], "8"),
        ({"email": "", "Email": "  ", "$email": None, "name": "Ada"}, ["u"], "Ada"),
        ({"email": False, "name": ["Ada"], "Name": {}, "username": 7}, ["u"], "7"),
        ({"NAME": "Ada"}, ["u"], "u"),
        ({}, ["0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000", "ada"], "ada"),
        ({}, ["ada", "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000"], "ada"),
        ({}, ["0190aaaabbbb7ccc8dddeeeeffff0000", "user_1"], "user_1"),
        (
            {},
            ["$device:0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000", "ada@example.com"],
            "ada@example.com",
        ),
        ({}, ["kH3sQ9dLw2ZxT7vBn4Rm8cYp", "12"], "12"),
        ({}, ["0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000"], "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000"),
    ],
)
def test_a_person_is_named_by_the_best_that_is_known(
    api: ApiClient, url: str, properties: dict[str, Any], distinct_ids: list[str], name: str
) -> None:
    assert make(api, url, *distinct_ids, **properties)["name"] == name


def test_among_ids_that_look_alike_the_oldest_names_the_person(api: ApiClient, url: str) -> None:
    make(api, url, "zoe")

    assert make(api, url, "zoe", "ada")["name"] == "zoe"


# --- In tickets --------------------------------------------------------------


def person_in(api: ApiClient, tickets_url: str, ticket: Any) -> Any:
    alone = api.get(f"{tickets_url}/{ticket['id']}").json()["person"]
    (listed,) = api.get(tickets_url, ids=ticket["id"]).json()["results"]
    assert listed["person"] == alone
    return alone


def test_a_ticket_shows_the_person_of_its_distinct_id(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    person = make(api, url, "u1", "u2")

    assert person_in(api, tickets_url, make_ticket(distinct_id="u2")) == person
    assert person_in(api, tickets_url, make_ticket(distinct_id="u3")) is None


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.com", "ada@BÜCHER.example"])
def test_without_a_person_of_its_distinct_id_a_mail_shows_the_person_of_its_address(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket, email: str
) -> None:
    make(api, url, "other", email="grace@example.com", name=email)
    person = make(api, url, "u1", email=email)

    for sender in {email, email.lower()} if email.isascii() else {email}:
        assert person_in(api, tickets_url, make_ticket(email_from=sender)) == person


def test_the_distinct_id_decides_before_the_address(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    make(api, url, "u1", email="ada@example.com")
    grace = make(api, url, "u2", email="grace@example.com")

    ticket = make_ticket(distinct_id="u2", email_from="ada@example.com")

    assert person_in(api, tickets_url, ticket) == grace


def test_of_several_persons_with_one_address_the_oldest_is_shown(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    oldest = make(api, url, "u1", email="ada@example.com")
    make(api, url, "u2", email="Ada@example.com")

    assert person_in(api, tickets_url, make_ticket(email_from="ada@example.com")) == oldest


def test_no_address_is_nobodys(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    make(api, url, "u1", email="")
    make(api, url, "u2", email="null")
    make(api, url, "u3", email=None)

    assert person_in(api, tickets_url, make_ticket()) is None


def test_another_property_is_no_address(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    make(api, url, "u1", Email="ada@example.com", name="ada@example.com")

    assert person_in(api, tickets_url, make_ticket(email_from="ada@example.com")) is None


def test_a_person_of_another_project_is_not_shown(
    api: ApiClient,
    tickets_url: str,
    make_ticket: MakeTicket,
    neighbour: Project,
    client_for: ClientFor,
) -> None:
    make(client_for(neighbour, "*"), persons_url_of(neighbour), "u1", email="ada@example.com")

    ticket = make_ticket(distinct_id="u1", email_from="ada@example.com")

    assert person_in(api, tickets_url, ticket) is None


def test_a_changed_person_does_not_move_the_ticket(
    api: ApiClient, url: str, tickets_url: str, make_ticket: MakeTicket
) -> None:
    person = make(api, url, "u1")
    ticket = make_ticket(distinct_id="u1")

    changed = api.patch(f"{url}/{person['id']}", {"properties": {"name": "Ada"}}).json()
    make(api, url, "u1", "u9")

    now = api.get(f"{tickets_url}/{ticket['id']}").json()
    assert now["updated_at"] == ticket["updated_at"]
    assert now["person"]["name"] == changed["name"] == "Ada"


# --- What it costs -----------------------------------------------------------


@pytest.mark.parametrize("count", [1, 50])
def test_a_list_is_one_statement_however_long_it_is(api: ApiClient, url: str, count: int) -> None:
    for n in range(count):
        make(api, url, f"u{n}", f"v{n}")

    with CaptureQueriesContext(connection) as captured:
        assert len(api.get(url).json()["results"]) == count

    # Persons with their distinct ids and their count.
    assert len(captured) == 1


PERSONS = 20_000
_FILL = """
    WITH person AS (
        INSERT INTO projects_person (
            id, project_id, properties, is_identified, created_at, search
        )
        SELECT gen_random_uuid(), %(project)s,
            jsonb_build_object('email', 'Mail-' || n || '@example.org', 'n', n),
            TRUE, now() - n * interval '1 minute',
            array_to_tsvector(ARRAY[
                %(project)s || ':mail', %(project)s || ':' || n,
                %(project)s || ':example', %(project)s || ':org'
            ])
        FROM generate_series(1, %(count)s) AS n
        RETURNING id, properties
    )
    INSERT INTO projects_persondistinctid (project_id, person_id, distinct_id)
    SELECT %(project)s, id, 'customer-' || (properties->>'n') FROM person
"""


@pytest.fixture(scope="module")
def busy(database: None) -> Project:
    """A project with many persons, beside another one with as many."""
    projects = [Project.objects.create(name=name) for name in ("Busy", "Busy as well")]
    with connection.cursor() as cursor:
        for project in projects:
            cursor.execute(_FILL, {"project": project.pk, "count": PERSONS})
        for table in ("projects_person", "projects_persondistinctid"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
    return projects[0]


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ({}, {"person_created"}),
        ({"search": "1234"}, {"person_search", "distinct_id_unique", "projects_person_pkey"}),
        ({"search": "nobody"}, {"person_search", "distinct_id_unique", "projects_person_pkey"}),
        ({"search": "customer-77"}, {"person_search", "distinct_id_unique"}),
        ({"distinct_id": "customer-5"}, {"distinct_id_unique", "projects_person_pkey"}),
        ({"email": "mail-7@EXAMPLE.org"}, {"person_email"}),
    ],
)
@pytest.mark.parametrize("analyzed", [True, False])
def test_the_list_reads_by_index_whatever_the_statistics_say(
    busy: Project, query: dict[str, str], indexes: set[str], analyzed: bool
) -> None:
    _, secret = ApiKey.issue(project=busy, label="plans", scopes=["*"])
    client, url = ApiClient(secret), persons_url_of(busy)
    client.get(url)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url, limit=20, **query).status_code == 200

    plan = explain(captured.captured_queries[0]["sql"], analyzed=analyzed)

    assert indexes <= {node.get("Index Name") for node in plan}
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
    # One more than the page, and the count, which is read from an index alone.
    if not query:
        (first,) = [
            n
            for n in plan
            if n.get("Index Name") == "person_created" and n["Actual Rows"] < PERSONS
        ]
        assert first["Actual Rows"] == 21


def explain(sql: str, *, analyzed: bool) -> list[dict[str, Any]]:
    def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
        return [plan, *(node for inner in plan.get("Plans", []) for node in nodes(inner))]

    with transaction.atomic(), connection.cursor() as cursor:
        if not analyzed:
            cursor.execute("DELETE FROM pg_statistic WHERE starelid = 'projects_person'::regclass")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        (explained,) = cursor.fetchone()
        transaction.set_rollback(True)
    found = json.loads(explained) if isinstance(explained, str) else explained
    return nodes(found[0]["Plan"])


def test_the_persons_of_a_page_of_tickets_are_one_statement(
    api: ApiClient, url: str, tickets_url: str, project: Project
) -> None:
    for n in range(30):
        make(api, url, f"u{n}", email=f"{n}@example.com")
        api.post(
            tickets_url, {"distinct_id": f"u{n}"} if n % 2 else {"email_from": f"{n}@example.com"}
        )

    with CaptureQueriesContext(connection) as captured:
        results = api.get(tickets_url).json()["results"]

    assert all(ticket["person"] for ticket in results)
    assert len(results) == Ticket.objects.filter(project=project).count() == 30
    # Tickets; persons.
    assert len(captured) == 2
