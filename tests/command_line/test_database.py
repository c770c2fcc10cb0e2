"""The database of a command: its name, and the sentence when it is missing, out of date or unusable."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from command_line import database
from command_line.database import ExistingFile, described

POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": "orchestrator", "HOST": "db", "PORT": 5432}


@pytest.mark.parametrize(
    ("configured", "shown"),
    [
        ({"ENGINE": "django.db.backends.sqlite3", "NAME": "/srv/o.db"}, "/srv/o.db"),
        ({**POSTGRESQL, "USER": "u", "PASSWORD": "secret"}, "postgres://u:***@db:5432/orchestrator"),
        ({**POSTGRESQL, "USER": "u"}, "postgres://u@db:5432/orchestrator"),
        ({**POSTGRESQL, "HOST": "/run/pg", "USER": "u", "PORT": ""}, "postgres://u@%2Frun%2Fpg/orchestrator"),
        ({**POSTGRESQL, "HOST": "::1", "PORT": ""}, "postgres://[::1]/orchestrator"),
    ],
)
def test_database_is_named_without_its_password(configured: dict[str, Any], shown: str) -> None:
    assert described(configured) == shown


def test_missing_file_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match=f"no database at {tmp_path}/o.db. Start the service once"):
        sqlite3.connect(tmp_path / "o.db", factory=ExistingFile)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "o.db").touch()
    sqlite3.connect(str(tmp_path / "o.db"), factory=ExistingFile).close()


COMMANDS = [
    ("create_api_key", "bob"),
    ("list_api_keys",),
    ("revoke_api_key", "bob"),
    ("usage",),
    ("usage", "--budgets"),
    ("database_size",),
    ("prune", "--older-than", "30d"),
    ("list_approvals",),
    ("approve_tool", "01a22283-9deb-73a8-8e2f-967317ce2094"),
    ("run_tool", "fs.list"),
    ("chat", "Hi"),
]


@pytest.mark.django_db
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_refuses_a_database_that_no_service_has_migrated(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "is_migrated", lambda: False)
    with pytest.raises(CommandError) as caught:
        call_command(*command)
    name = described(connection.settings_dict)
    assert str(caught.value).startswith(f"The database {name} does not have the tables of this version. Start the ")
    assert str(caught.value).endswith("or name the service's settings with --env-file.")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("no such table: api_keys", "does not have the tables of this version"),
        ("connection refused\nIs the server running?", "names a database that cannot be used: connection refused ("),
    ],
)
def test_error_of_the_database_is_one_sentence(monkeypatch: pytest.MonkeyPatch, problem: str, said: str) -> None:
    def fail() -> bool:
        raise OperationalError(problem)

    monkeypatch.setattr(database, "is_migrated", fail)
    with pytest.raises(CommandError) as caught:
        call_command("list_api_keys")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
