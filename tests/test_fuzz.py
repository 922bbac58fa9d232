"""What schemathesis finds when it holds the running service to the committed schema.

The requests follow from the seed, so that a failure comes again; the time is bounded all the same,
for a machine that is busy. `make fuzz` has other requests each time, and more of them.
"""

import re
import subprocess

import pytest
import yaml

from bench import fuzz
from config import embedded
from tests.api import SCHEMA_FILE
from tests.service import running_service, service_environment

SEED = 20261122


@pytest.mark.parametrize(
    ("seconds", "options", "at_least"),
    [
        # Each bound of each field and parameter, from within and from without, and each method.
        (120, ["--phases=examples,coverage"], 50),
        # Chains, along which what one answer names is in the next request.
        (25, ["--phases=stateful", "--max-examples=8"], 15),
    ],
    ids=["alone", "in chains"],
)
def test_the_service_keeps_to_its_schema(
    database: None, seconds: int, options: list[str], at_least: int
) -> None:
    with running_service(TRUSTED_PROXIES=fuzz.TRUSTED_PROXIES) as service:
        done = subprocess.run(
            [*fuzz.command(service.url, SEED, seconds), *options, "--no-color"],
            cwd=embedded.CHECKOUT,
            env={**service_environment(), **fuzz.make_cast()},
            capture_output=True,
            text=True,
            timeout=seconds + 120,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    # But for the stream, which does not end.
    count = sum(
        len(methods) for methods in yaml.safe_load(SCHEMA_FILE.read_text())["paths"].values()
    )
    assert f"{count - 1} selected / {count} total" in done.stdout
    tested = re.search(r"Tested: +(\d+)", done.stdout)
    assert tested is not None, done.stdout
    assert int(tested[1]) >= at_least, done.stdout
