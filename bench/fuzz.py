"""Asks the running service what its schema allows, and what it does not, and holds it to that.

Schemathesis makes requests from the committed schema, alone and in chains of create, retrieve,
change and delete, and checks each answer: no 5xx, nothing undocumented, nothing accepted that the
schema refuses, or the other way round. `fuzz.toml` says which checks do not hold where, and why.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import stack
from bench.world import Servers
from config import embedded, run
from config.run import say

_HERE = Path(__file__).parent
# So that each request can be another customer's, see `fuzz_hooks.py`.
TRUSTED_PROXIES = "127.0.0.1"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="make fuzz",
        description=(__doc__ or "").split("\n")[0],
        epilog="Further options are schemathesis' own, such as --phases=stateful.",
    )
    parser.add_argument("--seconds", type=int, default=300, help="in all: %(default)s")
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(2**32),
        help="of the requests: the one that an earlier run has printed makes the same ones",
    )
    options, further = parser.parse_known_args(arguments)
    try:
        with contextlib.ExitStack() as started:
            folder = started.enter_context(stack.private_folder())
            stack.start_servers(started, folder)
            stack.migrate()
            os.environ["TRUSTED_PROXIES"] = TRUSTED_PROXIES
            web = Servers(started, folder).service
            say(f"Fuzzing for {options.seconds} s (--seed {options.seed}) ...")
            fuzzer = command(f"http://127.0.0.1:{web.port}", options.seed, options.seconds)
            stack.set_up_django()
            environment = {**os.environ, **make_cast()}
            return subprocess.run([*fuzzer, *further], env=environment, check=False).returncode
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130
    except (stack.BenchError, run.RunError, embedded.EmbeddedError) as error:
        say(f"\n{error}")
        return 1


def command(url: str, seed: int, seconds: int) -> list[str]:
    """Schemathesis on the service at `url`, which ends with 0 when it has found nothing.

    It takes FUZZ_KEY, an API key, and FUZZ_TOKEN, a public token, from its environment.
    """
    return [
        sys.executable,
        "-m",
        "schemathesis.cli",
        f"--config-file={_HERE / 'fuzz.toml'}",
        "run",
        str(embedded.CHECKOUT / "openapi.yaml"),
        f"--url={url}",
        f"--seed={seed}",
        f"--max-time={seconds}",
        "--continue-on-failure",
    ]


def make_cast() -> dict[str, str]:
    """What the fuzzer's environment needs: key and token of a new project with agent and role."""
    # Here and not above: they need Django's settings.
    from projects.models import ApiKey, Membership, Project, Role, User

    project = Project.objects.create(name="Shop")
    agent = User.objects.create_user(f"agent{project.pk}@team.example")
    Membership.objects.create(project=project, user=agent)
    Role.objects.create(project=project, name="Billing")
    _, key = ApiKey.issue(
        project=project, label="fuzz", scopes=["*"], rate_limits=[stack.UNLIMITED]
    )
    return {"FUZZ_KEY": key, "FUZZ_TOKEN": project.public_token}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
