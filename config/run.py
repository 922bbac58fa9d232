"""`make run`: the whole service on this machine, until Ctrl-C.

Starts PostgreSQL and Redis (unless DATABASE_URL or REDIS_URL name others), migrates, loads the
demo data, starts the processes of the service, and says where everything is. Whatever ends it,
it stops what it has started; what a killed run has left, the next one clears away.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import redis

from config import embedded

READY_TIMEOUT = 60.0
# A little longer than the web server gives the requests in flight.
STOP_TIMEOUT = 35.0

# What the service consists of, in the order of starting; stopped in the opposite order, so that
# the router passes on what the web server still answers.
SERVICES = {
    "Router": [sys.executable, "-m", "config.router"],
    "Streams": [sys.executable, "-m", "config.stream"],
    "Web server": [sys.executable, "-m", "config.serve"],
    "Worker": [sys.executable, "-m", "config.work"],
}


class RunError(Exception):
    """The service can't start or has stopped; the message is for the person at the terminal."""


class Stop(BaseException):
    """Somebody asked for the end: Ctrl-C, SIGTERM, or a closed terminal."""


def main() -> int:
    _on_signals(_raise_stop)
    try:
        with contextlib.ExitStack() as started:
            try:
                run(started)
            finally:
                # A second Ctrl-C must not interrupt the stopping, which has its own time-outs.
                _on_signals(signal.SIG_IGN)
    except Stop:
        say("Stopped. `make run` starts again with the same data.")
        return 0
    except (RunError, embedded.EmbeddedError) as error:
        say(f"\n{error}")
        return 1
    return 0


def run(started: contextlib.ExitStack) -> None:
    settings = _settings()
    url = embedded.local_url(settings.HOST, settings.PORT)
    _claim(started)
    _check_port(settings.HOST, settings.PORT, wait=5.0 if embedded.unpublish() else 0.0)

    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    environment.setdefault("LOG_FORMAT", "text")
    servers = _start_servers(started, environment)
    published = {name: environment[name] for name in ("DATABASE_URL", "REDIS_URL")}
    embedded.publish({**published, "url": url, "pid": os.getpid()})
    started.callback(embedded.unpublish)

    with step("Database tables"):
        manage("migrate", "--no-input", environment=environment | {"STATEMENT_TIMEOUT": "0"})
    demo: dict[str, Any] = {}
    if os.environ.get("DEMO", "1") != "0":
        with step("Demo data"):
            demo = json.loads(manage("load_demo_data", "--json", environment=environment))
    if "project_id" in demo:
        environment.setdefault("DEMO_PROJECT", str(demo["project_id"]))

    children: dict[str, subprocess.Popen[bytes]] = {}
    web, stream = embedded.free_port(), embedded.free_port()
    for name, command in _commands(web=web, stream=stream).items():
        with step(name):
            behind_router = name in ("Streams", "Web server")
            children[name] = _start_child(
                started, command, _behind_router(environment) if behind_router else environment
            )
            if name == "Web server":
                _wait_until_ready(url, children)
                _wait_until_ready(embedded.local_url("127.0.0.1", stream), children)

    say(summary(url, demo, servers))
    # The last of the start, so the first of the end: everything else stops after this line.
    started.callback(say, "\nStopping ...")
    _watch(children, servers)


def summary(url: str, demo: dict[str, Any], servers: dict[str, embedded.Server]) -> str:
    count = f"{url}/api/projects/@current/conversations/tickets/unread_count"
    lines = ["", f"The service runs at {url}", "", f"  API documentation  {url}/api/docs"]
    lines += [f"  Inbox              {url}/inbox (for agents, who log in)"]
    lines += [f"  Log in             {url}/login", f"  Admin site         {url}/admin"]
    if "project_id" in demo:
        lines += [f"  Demo shop          {url}/demo (chat as its customer)"]
    if email := demo.get("agent_email"):
        lines += [f"  Demo agent         {email}, password {demo.get('agent_password', '?')}"]
    if key := demo.get("api_key"):
        lines += [f"  Demo API key       {key} (project {demo.get('project_id', '?')})"]
        lines += ["", "Try it:", "", f'  curl -H "Authorization: Bearer {key}" {count}']
    else:
        lines += ["", "A project and a key: .venv/bin/python manage.py create_project NAME, then"]
        lines += ["  .venv/bin/python manage.py create_api_key --project ID --label L --scopes '*'"]
    lines += [""]
    if servers:
        lines += [f"Data and logs of the servers lie in {embedded.state_dir()}"]
    lines += [f"  {s.name} on 127.0.0.1:{s.port}, in {s.directory.name}" for s in servers.values()]
    lines += ["manage.py in another terminal finds them. Ctrl-C stops everything.", ""]
    return "\n".join(lines)


# Steps


def _settings() -> Any:
    # Here and not above: a wrong value is an error of the person at the terminal, not of ours.
    try:
        from config import settings
    except ValueError as error:
        raise RunError(f"A setting is wrong: {error}") from None
    return settings


def _claim(started: contextlib.ExitStack) -> None:
    try:
        started.enter_context(embedded.claim())
    except embedded.AlreadyRunningError:
        state = embedded.running() or {}
        raise RunError(
            f"This checkout runs already, at {state.get('url', 'an address not known yet')} "
            f"(process {state.get('pid', 'not known yet')}). Stop that one first, or use a second "
            "checkout for a second service."
        ) from None


def _check_port(host: str, port: int, *, wait: float) -> None:
    """Waits a little for the web server of a killed run, which is finishing its requests."""
    deadline = time.monotonic() + wait
    while True:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                return probe.bind(address)
        except PermissionError:
            raise RunError(
                f"Only root may serve on port {port}. Another one: PORT=8001 make run"
            ) from None
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            raise RunError(
                f"The service can't listen on {host}, port {port}: {error.strerror}. If another "
                "program has it, take another port: PORT=8001 make run"
            ) from None


def _start_servers(
    started: contextlib.ExitStack, environment: dict[str, str]
) -> dict[str, embedded.Server]:
    """Starts what no URL is set for, and sets it."""
    directory = embedded.state_dir()
    servers: dict[str, embedded.Server] = {}
    for label, variable, server in (
        ("PostgreSQL", "DATABASE_URL", embedded.Postgres(directory / "postgres")),
        ("Redis", "REDIS_URL", embedded.Redis(directory / "redis")),
    ):
        if environment.get(variable):
            _check_server(label, variable, environment[variable])
            say(f"{label:<17} yours, from {variable}")
            # One of ours may still run from a killed run.
            server.end_leftovers()
            continue
        with step(label):
            started.callback(server.stop)
            server.start()
        environment[variable] = server.url
        servers[label] = server
    return servers


def _check_server(label: str, variable: str, url: str) -> None:
    """Raises RunError when the server that somebody has named does not answer."""
    try:
        if label == "PostgreSQL":
            psycopg.connect(url, connect_timeout=5).close()
        else:
            with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
                client.ping()
    except (psycopg.Error, redis.RedisError, ValueError) as error:
        raise RunError(
            f"\n{variable} names a {label} that does not answer: {error}\nStart it, correct "
            f"{variable}, or unset it: without it, `make run` brings a {label} of its own."
        ) from None


def manage(*arguments: str, environment: dict[str, str]) -> str:
    """Runs a command of manage.py and returns what it printed; shows it all when it failed."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=embedded.CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RunError(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def _commands(*, web: int, stream: int) -> dict[str, list[str]]:
    """How to start each service, with the ports that are known to the router alone."""
    further = {
        "Router": ["--web", str(web), "--stream", str(stream)],
        "Streams": ["--host", "127.0.0.1", "--port", str(stream)],
        "Web server": ["--host", "127.0.0.1", "--port", str(web)],
    }
    return {name: [*command, *further.get(name, [])] for name, command in SERVICES.items()}


def _behind_router(environment: dict[str, str]) -> dict[str, str]:
    """The router says who is at the other end, which is for the servers to believe."""
    trusted = [environment.get("TRUSTED_PROXIES", ""), "127.0.0.1"]
    return environment | {"TRUSTED_PROXIES": ",".join(filter(None, trusted))}


def _start_child(
    started: contextlib.ExitStack, command: list[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C comes to us alone, and we stop one after the other.
    child = subprocess.Popen(
        command, cwd=embedded.CHECKOUT, env=environment, start_new_session=True
    )
    shell = embedded.leash(child.pid, signal.SIGTERM)
    started.callback(_stop_child, child, shell)
    return child


def _stop_child(child: subprocess.Popen[bytes], shell: subprocess.Popen[bytes]) -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(STOP_TIMEOUT)
    # Its own children, if it died before it could end them. The group exists only with members.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    embedded.unleash(shell)


def _wait_until_ready(url: str, children: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    answer = "no answer"
    while time.monotonic() < deadline:
        for name, child in children.items():
            if child.poll() is not None:
                raise RunError(f"{name} ended with exit code {child.returncode}, see above.")
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            answer = f"{response.status} {response.read(500).decode(errors='replace')}"
            if response.status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    raise RunError(f"The service was not ready after {READY_TIMEOUT:.0f} s: {answer}")


def _watch(
    children: dict[str, subprocess.Popen[bytes]], servers: dict[str, embedded.Server]
) -> None:
    """Returns never: raises `Stop`, or an error as soon as one of the processes has ended."""
    while True:
        codes = {name: child.poll() for name, child in children.items()}
        codes |= {name: server.returncode() for name, server in servers.items()}
        for name, code in codes.items():
            if code is not None:
                raise RunError(f"{name} ended by itself (exit code {code}); the rest is stopped.")
        time.sleep(0.5)


# What the terminal shows


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    begun = time.monotonic()
    say(f"{name:<16} ", end="")
    yield
    say(f"{time.monotonic() - begun:5.1f} s")


def say(text: str, end: str = "\n") -> None:
    # A terminal that is closed must not keep us from stopping what we have started.
    with contextlib.suppress(OSError):
        sys.stdout.write(text + end)
        sys.stdout.flush()


# Signals


def _on_signals(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise Stop


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    sys.exit(main())
