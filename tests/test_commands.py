"""The commands that make and change projects, keys and agents."""

import io
import json
import os
import subprocess
import sys
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from config.embedded import CHECKOUT
from projects.models import ApiKey, Membership, Project, User
from tests.api import ApiClient
from tests.conftest import MakeTicket, tickets_url_of


def run(*arguments: Any) -> Any:
    """What a command answers with `--json`."""
    out = io.StringIO()
    call_command(*map(str, arguments), "--json", stdout=out)
    return json.loads(out.getvalue())


def words(*arguments: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def refusal(*arguments: Any) -> str:
    with pytest.raises(CommandError) as refused:
        call_command(*map(str, arguments))
    return str(refused.value)


def new_email() -> str:
    return f"agent-{uuid.uuid4().hex}@example.com"


def status(key: str, project: Project) -> int:
    return int(ApiClient(key).get(tickets_url_of(project)).status_code)


# --- Projects ----------------------------------------------------------------


def test_create_project_answers_with_the_project_and_its_secrets() -> None:
    answer = run("create_project", "Shop", "--time-zone", "Europe/Berlin")

    project = Project.objects.get(pk=answer["id"])
    assert answer == {
        "id": project.pk,
        "name": "Shop",
        "public_token": project.public_token,
        "identity_secret": project.identity_secret,
    }
    assert project.time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    "arguments",
    [("",), ("x" * 201,), ("a\x00b",), ("a\udc80b",), ("Shop", "--time-zone", "Mars/Olympus")],
)
def test_a_project_that_can_not_be_is_refused(arguments: tuple[str, ...]) -> None:
    before = Project.objects.count()

    message = refusal("create_project", *arguments)

    assert repr(arguments[-1])[:10] in message
    assert Project.objects.count() == before


def test_update_project_changes_any_setting(project: Project) -> None:
    settings = {
        "name": "Café",
        "time_zone": "Europe/Berlin",
        "conversations_enabled": False,
        "reopen_on_reply": False,
        "widget_enabled": False,
        "widget_greeting_text": "Hi!",
        "widget_color": "",
        "widget_placeholder_text": "Ask",
        "widget_require_email": True,
        "widget_collect_name": False,
        "widget_domains": ["example.com", "example.org"],
        "widget_restore_enabled": False,
    }

    answer = run(
        "update_project",
        project.pk,
        *(f"--set={name}={json.dumps(value)}" for name, value in settings.items()),
    )

    project.refresh_from_db()
    assert answer == {"id": project.pk, **settings}
    assert {name: getattr(project, name) for name in settings} == settings


def test_switching_conversations_off_empties_the_unread_count_at_once(
    project: Project, reader: ApiClient, unread_count_url: str, make_ticket: MakeTicket
) -> None:
    make_ticket(message="Hi")
    assert reader.get(unread_count_url).json() == {"count": 1}

    run("update_project", project.pk, "--set", "conversations_enabled=false")

    assert reader.get(unread_count_url).json() == {"count": 0}


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("last_ticket_number=1", "There is no setting 'last_ticket_number'"),
        ("identity_secret=1", "There is no setting 'identity_secret'"),
        ("public_token=1", "There is no setting 'public_token'"),
        ("id=1", "There is no setting 'id'"),
        ("nmae=1", "widget_domains"),
        ("name", "'name' is not of the form NAME=JSON"),
        ("name=Shop", "'Shop' is not JSON"),
        ("name=1", "name can not be 1. It takes a text"),
        ("name=null", "name can not be None"),
        ('name=" "', "name ' ' is blank"),
        (r'name="\u0000"', r"name '\x00' has characters that can not be stored"),
        (r'name="\ud800"', "is not JSON"),
        ('widget_color="' + "x" * 33 + '"', "at most 32 characters"),
        ("reopen_on_reply=1", "reopen_on_reply can not be 1. It takes true or false"),
        ('reopen_on_reply="false"', "reopen_on_reply can not be 'false'"),
        ('time_zone="Mars/Olympus"', "Mars/Olympus is not a time zone"),
        ('widget_domains="example.com"', "It takes a list of texts"),
        ("widget_domains=[1]", "It takes a list of texts"),
        (r'widget_domains=["\u0000"]', "characters that can not be stored"),
        ("name=" + "[" * 5000, "is not JSON"),
        ("name=NaN", "is not JSON"),
    ],
)
def test_a_setting_that_can_not_be_is_refused(
    project: Project, assignment: str, reason: str
) -> None:
    message = refusal(
        "update_project", project.pk, "--set", "reopen_on_reply=false", "--set", assignment
    )

    assert reason in message or "more than once" in message
    assert Project.objects.get(pk=project.pk).reopen_on_reply


def test_updating_a_project_leaves_its_other_columns_alone(
    project: Project, make_ticket: MakeTicket
) -> None:
    make_ticket()

    run("update_project", project.pk, "--set", 'name="Other"')

    assert make_ticket()["ticket_number"] == 2


# --- API keys ----------------------------------------------------------------


def create_key(project: Project, *arguments: Any) -> Any:
    return run(
        "create_api_key",
        "--project",
        project.pk,
        "--label",
        "crm",
        "--scopes",
        "ticket:read",
        *arguments,
    )


def test_create_api_key_answers_with_a_key_that_works(project: Project) -> None:
    answer = create_key(project)

    assert answer == {
        "id": ApiKey.objects.get(project=project).pk,
        "key": answer["key"],
        "scopes": ["ticket:read"],
        "expires_at": None,
        "rate_limits": [],
    }
    assert status(answer["key"], project) == 200


@pytest.mark.parametrize(
    ("duration", "length"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("45s", timedelta(seconds=45)),
    ],
)
def test_a_key_expires_when_it_is_told_to(
    project: Project, duration: str, length: timedelta
) -> None:
    before = timezone.now()
    answer = create_key(project, "--expires-in", duration)
    after = timezone.now()

    expires_at = datetime.fromisoformat(answer["expires_at"])
    assert answer["expires_at"].endswith("Z")
    assert before + length <= expires_at <= after + length


@pytest.mark.parametrize(
    "duration",
    [
        "0d",
        "-1d",
        "1",
        "d",
        "",
        "1w",
        "1.5h",
        "1 d",
        "\N{ARABIC-INDIC DIGIT THREE}d",
        "36501d",
        "999999999d",
    ],
)
def test_a_duration_that_means_nothing_is_refused(project: Project, duration: str) -> None:
    message = refusal(
        "create_api_key",
        *("--project", project.pk, "--label", "x", "--scopes", "*", f"--expires-in={duration}"),
    )

    assert repr(duration) in message
    assert not ApiKey.objects.filter(project=project).exists()


@pytest.mark.parametrize(
    ("label", "scopes", "reason"),
    [
        ("x", "ticket:read,tickets:write", "There is no scope 'tickets:write'"),
        ("x", "", "There is no scope ''"),
        ("x", "ticket:read,", "There is no scope ''"),
        (" ", "*", "label '' is blank"),
        ("x" * 201, "*", "at most 200 characters (it has 201)"),
        ("a\x00", "*", r"label 'a\x00' has characters that can not be stored"),
    ],
)
def test_a_key_that_can_not_be_is_refused(
    project: Project, label: str, scopes: str, reason: str
) -> None:
    message = refusal(
        "create_api_key", "--project", project.pk, f"--label={label}", f"--scopes={scopes}"
    )

    assert reason in message


@pytest.mark.parametrize("command", ["create_api_key", "list_api_keys", "create_user"])
@pytest.mark.parametrize(
    "named",
    ["0", "9" * 19, "9" * 18, "9" * 40, "-1", "x", "1.0", "\N{ARABIC-INDIC DIGIT ONE}", "1\x00"],
)
def test_an_unknown_project_is_refused(command: str, named: str) -> None:
    more = {
        "create_api_key": ["--label=x", "--scopes=*"],
        "create_user": [new_email()],
        "list_api_keys": [],
    }

    assert repr(named)[:20] in refusal(command, f"--project={named}", *more[command])


@pytest.mark.parametrize("command", ["revoke_api_key", "rotate_api_key"])
def test_an_unknown_key_is_refused(command: str) -> None:
    assert refusal(command, "9" * 18) == f"There is no API key '{'9' * 18}'."


def test_a_revoked_key_works_no_more_from_the_next_request_on(project: Project) -> None:
    created = create_key(project)
    assert status(created["key"], project) == 200

    answer = run("revoke_api_key", created["id"])

    assert status(created["key"], project) == 401
    assert answer["id"] == created["id"]
    assert datetime.fromisoformat(answer["revoked_at"]) <= timezone.now()


def test_revoking_again_changes_nothing(project: Project) -> None:
    created = create_key(project)
    first = run("revoke_api_key", created["id"])

    assert run("revoke_api_key", created["id"]) == first


def test_a_rotated_key_works_with_both_secrets(project: Project) -> None:
    created = create_key(project)
    assert status(created["key"], project) == 200

    answer = run("rotate_api_key", created["id"], "--overlap", "1h")

    assert answer["id"] == created["id"]
    assert status(created["key"], project) == status(answer["key"], project) == 200
    left = datetime.fromisoformat(answer["previous_expires_at"]) - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_a_second_rotation_ends_the_first_secret(project: Project) -> None:
    created = create_key(project)
    run("rotate_api_key", created["id"], "--overlap", "1h")
    assert status(created["key"], project) == 200

    run("rotate_api_key", created["id"], "--overlap", "1h")

    assert status(created["key"], project) == 401


def test_a_rotated_secret_does_not_outlive_its_key(project: Project) -> None:
    created = create_key(project, "--expires-in", "30m")

    answer = run("rotate_api_key", created["id"], "--overlap", "1h")

    assert answer["previous_expires_at"] == created["expires_at"]


def test_a_revoked_key_is_not_rotated(project: Project) -> None:
    created = create_key(project)
    run("revoke_api_key", created["id"])

    message = refusal("rotate_api_key", created["id"], "--overlap", "1h")

    assert f"API key {created['id']} is revoked or expired" in message


def test_list_api_keys_shows_everything_but_secrets(project: Project, neighbour: Project) -> None:
    used, revoked = create_key(project), create_key(project, "--expires-in", "1h")
    create_key(neighbour)
    status(used["key"], project)
    run("revoke_api_key", revoked["id"])

    first, second = run("list_api_keys", "--project", project.pk)

    assert list(first) == [
        *("id", "label", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at")
    ]
    assert (first["id"], first["label"], first["scopes"]) == (used["id"], "crm", ["ticket:read"])
    assert first["last_used_at"] is not None
    assert first["revoked_at"] is None
    assert second["id"] == revoked["id"]
    assert second["expires_at"] == revoked["expires_at"]
    assert second["revoked_at"] is not None


# --- Agents ------------------------------------------------------------------


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> str:
    """A password on standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough phrase\n"))
    return "a long enough phrase"


def create_user(email: str, project: Project, *arguments: str) -> Any:
    return run("create_user", email, "--project", project.pk, *arguments)


def test_create_user_makes_an_agent_who_can_log_in(project: Project, password: str) -> None:
    email = new_email()

    answer = create_user(email.upper(), project, "--name", "Mia Keller", "--password-stdin")

    user = User.objects.get(email=email)
    assert answer == {"id": user.pk, "email": email}
    assert user.display_name == "Mia Keller"
    assert not user.is_staff
    assert user.projects.get() == project
    assert Client().login(email=email, password=password)


def test_without_a_password_there_is_a_link_to_choose_one(project: Project, settings: Any) -> None:
    settings.SERVICE_URL = "https://support.example.com"

    answer = create_user(new_email(), project)

    assert list(answer) == ["id", "email", "set_password_url"]
    assert answer["set_password_url"].startswith("https://support.example.com/set-password/")


def test_an_agent_of_another_project_is_added(
    project: Project, neighbour: Project, password: str
) -> None:
    email = new_email()
    created = create_user(email, neighbour, "--password-stdin")

    assert create_user(email, project) == created
    assert set(User.objects.get(email=email).projects.all()) == {project, neighbour}
    assert Client().login(email=email, password=password)


def test_an_agent_who_has_no_password_yet_gets_another_link(project: Project) -> None:
    email = new_email()
    create_user(email, project)

    assert "set_password_url" in create_user(email, project)
    assert Membership.objects.filter(project=project).count() == 1


def test_adding_an_agent_twice_is_refused(project: Project, password: str) -> None:
    email = new_email()
    create_user(email, project, "--password-stdin")

    assert refusal("create_user", email, "--project", project.pk) == (
        f"{email} is an agent of project {project.pk} already."
    )


def test_the_password_of_an_agent_is_not_replaced(
    project: Project, neighbour: Project, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    email = new_email()
    create_user(email, neighbour, "--password-stdin")
    monkeypatch.setattr("sys.stdin", io.StringIO("quite another phrase\n"))

    message = refusal("create_user", email, "--project", project.pk, "--password-stdin")

    assert message == f"{email} exists already, with another password."
    assert Client().login(email=email, password=password)
    assert not Membership.objects.filter(project=project).exists()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "no password"),
        ("short", "too short"),
        ("password123", "too common"),
        ("a\x00bcdefgh", "nobody can type"),
    ],
)
def test_a_weak_password_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, given: str, reason: str
) -> None:
    email = new_email()
    monkeypatch.setattr("sys.stdin", io.StringIO(given))

    assert reason in refusal("create_user", email, "--project", project.pk, "--password-stdin")
    assert not User.objects.filter(email=email).exists()


@pytest.mark.parametrize("email", ["", "nobody", "a@b", "a\x00@example.com", "x" * 250 + "@b.org"])
def test_an_address_that_is_none_is_refused(project: Project, email: str) -> None:
    assert repr(email)[:20] in refusal("create_user", email, "--project", project.pk)


def test_a_name_that_is_too_long_is_refused(project: Project) -> None:
    message = refusal("create_user", new_email(), "--project", project.pk, "--name", "x" * 151)

    assert "at most 150 characters" in message


# --- All of them -------------------------------------------------------------


def test_every_command_answers_a_person_in_words(project: Project) -> None:
    created = create_key(project, "--expires-in", "1h")

    assert "Identity secret" in words("create_project", "Shop")
    assert "cvk_" in words("rotate_api_key", created["id"])
    assert "crm  [ticket:read]" in words("list_api_keys", "--project", project.pk)
    assert "is revoked since" in words("revoke_api_key", created["id"])
    assert 'name = "Shop"' in words("update_project", project.pk, "--set", 'name="Shop"')
    assert "To choose a password" in words("create_user", new_email(), "--project", project.pk)
    assert "cvk_" in words(
        "create_api_key", "--project", project.pk, "--label", "x", "--scopes", "*"
    )


def test_a_project_without_keys_says_so(project: Project) -> None:
    assert words("list_api_keys", "--project", project.pk) == "The project has no API keys.\n"


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_an_error_is_one_line_and_exit_code_1() -> None:
    done = manage("revoke_api_key", "x", "--json")

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == "CommandError: 'x' is not an id: ids are whole numbers."
    assert "Traceback" not in done.stderr


def test_a_database_that_does_not_answer_is_no_traceback() -> None:
    done = manage("create_project", "Shop", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert done.returncode == 1
    assert "CommandError: The database can not be used" in done.stderr
    assert "Traceback" not in done.stderr
