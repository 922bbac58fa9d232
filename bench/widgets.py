"""`python -m bench.widgets`: many widgets that are open, and idle, for a minute.

Each asks every five seconds, as posthog-js does. Prints how many requests were refused, how long
they took, and how many transactions PostgreSQL ran for them.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from bench import stack
from bench.world import Servers
from config import run
from config.run import say

WIDGET = "/api/conversations/v1/widget"
INTERVAL = 5.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.widgets")
    parser.add_argument("--widgets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as started:
        folder = started.enter_context(stack.private_folder())
        postgres, _ = stack.start_servers(started, folder)
        stack.migrate()
        project = json.loads(
            run.manage("create_project", "Shop", "--json", environment=dict(os.environ))
        )
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            # Its transactions would be counted as the service's.
            connection.execute("ALTER SYSTEM SET autovacuum = off")
            connection.execute("SELECT pg_reload_conf()")
        web = Servers(started, folder).service
        measure(web.port, postgres.url, project["public_token"], options.widgets, options.seconds)
        failures = (folder / "Service.log").read_text().count("Redis failed")
        say(f"times that Redis was too slow, and PostgreSQL answered for a second: {failures}")
    return 0


def measure(port: int, database: str, token: str, widgets: int, seconds: float) -> None:
    statuses: collections.Counter[int] = collections.Counter()
    times: list[float] = []
    headers = {"X-Conversations-Token": token, "Content-Type": "application/json"}

    def open_widget(_: int) -> str:
        """Sends a message and polls twice, so that the next poll has nothing new."""
        session = str(uuid.uuid4())
        body = {"message": "Hi", "widget_session_id": session, "distinct_id": session}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("POST", f"{WIDGET}/message", json.dumps(body), headers)
            sent = json.load(connection.getresponse())
            path = (
                f"{WIDGET}/messages/{sent['ticket_id']}"
                f"?widget_session_id={session}&after={sent['created_at']}"
            )
            for _ in range(2):
                connection.request("GET", path, headers=headers)
                connection.getresponse().read()
        return path

    def stay_open(path: str) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            time.sleep(random.random() * INTERVAL)  # noqa: S311  (they were not opened at once)
            while time.monotonic() < deadline:
                begun = time.monotonic()
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                response.read()
                times.append(time.monotonic() - begun)
                statuses[response.status] += 1
                time.sleep(max(0.0, INTERVAL - (time.monotonic() - begun)))

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(open_widget, range(widgets)))
    say(f"{widgets} widgets are open; they ask every {INTERVAL:.0f} s for {seconds:.0f} s ...")
    before = transactions(database)
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(widgets) as pool:
        list(pool.map(stay_open, paths))
    ran = transactions(database) - before
    ranked = sorted(times)
    say(f"polls {len(times)}, answered {dict(statuses)}")
    say(
        f"median {1000 * statistics.median(times):.1f} ms,"
        f" p99 {1000 * ranked[int(len(ranked) * 0.99)]:.1f} ms"
    )
    if statuses.keys() - {200}:
        sys.exit("Some polls were refused.")
    say(f"transactions of the service in PostgreSQL: {ran}, of each poll {ran / len(times):.3f}")


def transactions(database: str) -> int:
    """How many the other connections have run, once those that wait have told of theirs."""
    # A connection that is idle tells of its last ones after ten seconds.
    time.sleep(12)
    with psycopg.connect(database, autocommit=True) as connection:
        row = connection.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database"
            " WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    sys.exit(main(sys.argv[1:]))
