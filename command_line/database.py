"""The database that a command uses: its name, and the errors of one that is missing or out of date."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from command_line.program import PROGRAM
from storage.schema import is_migrated, migrate
from storage.writer import StorageUnavailable

ADVICE: Final = (
    f"Start the service once ({PROGRAM} serve), run {PROGRAM} migrate, or name the service's settings with --env-file."
)
UNDEFINED: Final = frozenset({"42P01", "42703"})
"""PostgreSQL's codes for a table and a column that do not exist."""

NO_FILE: Final = f"There is no database at {{path}}. {ADVICE}"


def described(configured: Mapping[str, Any]) -> str:
    """Return the path or the URL of a database, from Django's settings of it. A password is masked."""
    name = str(configured["NAME"])
    if configured["ENGINE"].endswith("sqlite3"):
        return name
    user = str(configured.get("USER") or "") + (":***" if configured.get("PASSWORD") else "")
    host, port = str(configured.get("HOST") or ""), configured.get("PORT")
    # The folder of a Unix socket is percent-encoded, as in `DATABASE_URL`.
    host = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"postgres://{user}{'@' if user else ''}{host}{f':{port}' if port else ''}/{name}"


def explained(error: Exception) -> str:
    """Return the message for an error of the database: its name, the problem, and the fix."""
    name = described(connection.settings_dict)
    first_line = str(error).strip().partition("\n")[0]
    if first_line == NO_FILE.format(path=name):
        return first_line
    is_undefined = getattr(error.__cause__, "sqlstate", "") in UNDEFINED
    if isinstance(error, Unmigrated) or is_undefined or first_line.startswith(("no such table", "no such column")):
        return f"The database {name} does not have the tables of this version. {ADVICE}"
    return f"DATABASE_URL names a database that cannot be used: {first_line} ({name})"


def is_missing() -> bool:
    """Return whether the database is a SQLite file that does not exist."""
    return connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists()


class ExistingFile(sqlite3.Connection):
    """A connection that does not create a missing file, in which a command would work on what no service uses."""

    def __init__(self, database: str, *arguments: Any, **options: Any) -> None:
        if not Path(database).exists():
            raise sqlite3.OperationalError(NO_FILE.format(path=database))
        super().__init__(database, *arguments, **options)


class Unmigrated(DatabaseError):
    """The database lacks a migration, or everything."""


@contextmanager
def migrated_database() -> Iterator[None]:
    """Migrate the database for a command. Raises `CommandError` with one line if the database fails, then or later."""
    with _explained_errors():
        migrate()
        yield


@contextmanager
def existing_database() -> Iterator[None]:
    """Check that a service has migrated the database before. Raises `CommandError` as `migrated_database` does."""
    with _explained_errors():
        if is_missing():
            raise Unmigrated(NO_FILE.format(path=connection.settings_dict["NAME"]))
        if not is_migrated():
            raise Unmigrated
        yield


@contextmanager
def _explained_errors() -> Iterator[None]:
    try:
        yield
    except (DatabaseError, StorageUnavailable) as error:
        raise CommandError(explained(error)) from None
