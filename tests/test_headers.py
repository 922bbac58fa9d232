"""Headers that would cost or break the framework, over HTTP and with the real servers."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from projects.models import Project
from rest.headers import harmless_content_type
from tests.conftest import tickets_url_of
from tests.service import Service, running_stream
from tests.stream import stream_url_of

# A busy machine included; what is quadratic takes longer at once.
SOON = 1.5
ODD_TYPES = [
    "application/json; a*=nope''x",
    "application/json; a*0*=x''y; a*1=z",
    "application/json; charset=zlib",
    "application/json; charset=undefined",
    'a/b;a="' + ";" * 60_000,
    ";" * 60_000,
]


@pytest.fixture(scope="module")
def stream(database: None) -> Iterator[Service]:
    with running_stream() as running:
        yield running


def answer(service: Service, path: str, **headers: str) -> tuple[int, Any, bytes]:
    with closing(service.connect()) as client:
        client.request("GET", path, headers=headers)
        response = client.getresponse()
        return response.status, response.headers, response.read()


@pytest.mark.parametrize("content_type", ODD_TYPES, ids=lambda text: text[:40])
def test_an_odd_type_of_a_body_that_is_none_changes_nothing(
    service: Service, project: Project, key: str, content_type: str
) -> None:
    path = f"{tickets_url_of(project)}?status=open"
    began = time.monotonic()

    status, headers, _ = answer(
        service, path, Authorization=f"Bearer {key}", **{"Content-Type": content_type}
    )

    assert status == 200
    assert headers["X-Request-ID"]
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("content_type", ODD_TYPES[::4], ids=lambda text: text[:40])
def test_nor_does_it_to_a_stream(stream: Service, project: Project, content_type: str) -> None:
    began = time.monotonic()

    status, _, body = answer(stream, stream_url_of(project), **{"Content-Type": content_type})

    assert (status, b"not_authenticated" in body) == (401, True)
    assert time.monotonic() - began < SOON


def test_cookies_that_are_no_session_cost_nothing(service: Service, stream: Service) -> None:
    cookies = {"Cookie": 'a="' + '\\"' * 25_000 + '"'}
    began = time.monotonic()

    assert answer(service, "/login", **cookies)[0] == 200
    assert answer(stream, "/api/projects/1/conversations/stream", **cookies)[0] == 401
    assert time.monotonic() - began < 2 * SOON


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("application/json", "application/json"),
        (" application/json ; charset=utf-8", "application/json"),
        ("multipart/form-data; boundary=----x'y", 'multipart/form-data; boundary="----x\'y"'),
        ('multipart/form-data; boundary="a b"', 'multipart/form-data; boundary="a b"'),
        ("multipart/form-data; boundary=a; charset=zlib", "multipart/form-data"),
        ("nothing", "application/octet-stream"),
        ("a/b/c", "application/octet-stream"),
    ],
)
def test_of_a_type_the_media_type_and_the_boundary_are_kept(given: str, kept: str) -> None:
    assert harmless_content_type(given) == kept
