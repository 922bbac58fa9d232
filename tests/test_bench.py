"""`make bench` in its shortest form: that it measures, not what; the figures are no test."""

import os
import re
import subprocess
import sys

import pytest

from config import embedded
from tests.plugin import need_servers_of_our_own

# One process, as it starts servers of its own; see test_make_run.
pytestmark = pytest.mark.xdist_group("make_run")


@pytest.fixture(scope="module", autouse=True)
def servers_can_be_had() -> None:
    need_servers_of_our_own()


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=embedded.CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_each_row_is_measured_and_the_servers_in_use_are_left_alone() -> None:
    # Where nobody answers: the harness would fail if it used them.
    done = bench(
        *("--seconds", "0.2", "--rounds", "1", "--tickets", "200"),
        DATABASE_URL="postgresql://unused@127.0.0.1:1/unused",
        REDIS_URL="redis://127.0.0.1:1/0",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for title in ("unread_count, hit", "list of 100", "retrieve", "create, with a message"):
        figures = figures_of(title, done.stdout)
        # The rates and their ratio, its range, p50 and p99; CPU is counted in steps too coarse.
        assert len(figures) >= 7
        assert all(figure > 0 for figure in figures[:7]), done.stdout


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


def figures_of(title: str, output: str) -> list[float]:
    line = next(line for line in output.splitlines() if line.startswith(title))
    figures = re.findall(r"[0-9][0-9,]*(?:\.[0-9]+)?", line.removeprefix(title))
    return [float(figure.replace(",", "")) for figure in figures]


def test_a_row_that_does_not_exist_is_refused_before_anything_starts() -> None:
    done = bench(ONLY="nothing")

    assert done.returncode == 2
    assert "no row 'nothing'" in done.stderr
    assert done.stdout == ""
