"""The command line: `--env-file`, and what it changes for each command.

Covers `command_line.program`.
"""

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.backends.signals import connection_created

from command_line import main as module
from command_line.database import ExistingFile
from command_line.main import ADVICE, CommandLine, announce, main, restrict
from command_line.program import FOLDER, PROGRAM


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    """Undo what a command line changes in its process."""
    monkeypatch.setenv("ENV_FILE", os.devnull)
    monkeypatch.setitem(settings.DATABASES["default"], "OPTIONS", dict(settings.DATABASES["default"]["OPTIONS"]))
    monkeypatch.setenv("LOG_FORMAT", "json")
    settings.SILENCED_SYSTEM_CHECKS = []
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
    connection_created.disconnect(announce)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the arguments that reach Django."""
    reached: list[list[str]] = []
    monkeypatch.setattr(CommandLine, "execute", lambda line: reached.append(line.argv))
    return reached


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage", "--json", "--env-file", "my.env"],
        ["--env-file", "my.env", "usage", "--json"],
        ["usage", "--env-file=my.env", "--json"],
    ],
)
def test_env_file_is_taken_from_any_place_and_the_working_directory(
    arguments: list[str], executed: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(arguments)
    assert executed == [["orchestrator", "usage", "--json"]]
    assert os.environ["ENV_FILE"] == str(tmp_path / "my.env")


def test_env_file_without_a_path_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["usage", "--env-file"])
    assert "--env-file: expected one argument" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["create_api_key", "migrate", "serve", "createsuperuser", "prune"])
def test_help_of_every_command_has_env_file(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        CommandLine(["orchestrator", command, "--help"]).fetch_command(command).run_from_argv(
            ["orchestrator", command, "--help"]
        )
    said = capsys.readouterr().out
    assert said.startswith(f"usage: orchestrator {command}")
    assert "--env-file PATH" in said


@pytest.mark.parametrize("arguments", [["serve", "--worker", "-1"], ["runserver", "--http_timeout=-5"]])
def test_number_of_every_command_has_bounds(arguments: list[str]) -> None:
    command = CommandLine(["orchestrator"]).fetch_command(arguments[0])
    parser = command.create_parser("orchestrator", arguments[0])
    parser.called_from_command_line = False
    with pytest.raises(CommandError, match="is not a number from 0 to"):
        parser.parse_args(arguments[1:])


@pytest.mark.parametrize("port", ["70000", "65536", "9" * 5_000])
def test_port_of_runserver_must_exist(port: str) -> None:
    command = CommandLine(["orchestrator"]).fetch_command("runserver")
    with pytest.raises(CommandError, match="is not a number from 0 to 65535"):
        command.run_from_argv(["orchestrator", "runserver", "--traceback", "--skip-checks", port])


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("command", "creates"), [("serve", True), ("migrate", True), ("createsuperuser", False), ("shell", False)]
)
def test_only_some_commands_may_create_a_database(command: str, creates: bool, settings: Any) -> None:
    restrict(command)
    assert (settings.DATABASES["default"]["OPTIONS"].get("factory") is ExistingFile) is not creates


@pytest.mark.django_db
def test_command_of_django_refuses_a_database_that_no_service_has_migrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command_line.database.is_migrated", lambda: False)
    command = CommandLine(["orchestrator"]).fetch_command("createsuperuser")
    assert command.requires_migrations_checks
    with pytest.raises(CommandError, match="does not have the tables of this version"):
        command.check_migrations()


def test_command_has_no_pool_that_hides_why_it_cannot_connect(settings: Any) -> None:
    settings.DATABASES["default"]["OPTIONS"]["pool"] = {"max_size": 8}
    restrict("serve")
    assert settings.DATABASES["default"]["OPTIONS"]["pool"] == {"max_size": 8}
    restrict("usage")
    assert "pool" not in settings.DATABASES["default"]["OPTIONS"]


def test_advice_is_reported_by_check_only(settings: Any) -> None:
    restrict("check")
    assert settings.SILENCED_SYSTEM_CHECKS == []
    restrict("serve")
    assert list(ADVICE) == settings.SILENCED_SYSTEM_CHECKS


def test_log_is_not_between_the_lines_of_a_command(monkeypatch: pytest.MonkeyPatch, executed: list[list[str]]) -> None:
    logging.getLogger().setLevel(logging.INFO)
    restrict("serve")
    assert logging.getLogger().isEnabledFor(logging.INFO)
    restrict("create_api_key")
    assert not logging.getLogger().isEnabledFor(logging.INFO)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for command, written in (("serve", None), ("create_api_key", "text")):
        monkeypatch.delenv("LOG_FORMAT", raising=False)
        main([command])
        assert os.environ.get("LOG_FORMAT") == written


def test_database_is_named_once_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    connection_created.connect(announce)
    for _ in range(2):
        connection_created.send(type(connection), connection=connection)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"Database: {connection.settings_dict['NAME']}\n" or connection.vendor != "sqlite"
    assert said.err.count("\n") == 1


def test_error_of_the_database_in_any_command_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(BaseCommand):
        def handle(self, **_: Any) -> None:
            raise DatabaseError("no such table: auth_user\nLINE 1")

    monkeypatch.setattr(module.ManagementUtility, "fetch_command", lambda *_: Failing())
    with pytest.raises(SystemExit) as caught:
        main(["createsuperuser", "--skip-checks"])
    assert str(caught.value).startswith("Error: The database ")
    assert "\n" not in str(caught.value)
    with pytest.raises(DatabaseError):
        main(["createsuperuser", "--skip-checks", "--traceback"])


def test_program_of_messages_can_be_run() -> None:
    assert os.access(PROGRAM, os.X_OK)
    assert (FOLDER / "manage.py").is_file()


def test_missing_package_is_one_sentence() -> None:
    # An isolated Python without site packages, as that of a system is.
    done = subprocess.run(
        [sys.executable, "-I", "-S", FOLDER / "manage.py", "usage"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(r"Error: \S+ does not have the package \w+. Run the first command of .*\n", done.stderr)
