"""The database's tables: migrated before the first request, and before a command that reads or writes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.core.management import call_command
from django.db import NotSupportedError, connections
from django.db.migrations.loader import MigrationLoader

MIGRATION_LOCK: Final = 7_025_314_861
"""The key of PostgreSQL's advisory lock that a migrating process holds."""


def migrate(alias: str = "default") -> None:
    """Apply the missing migrations. Processes that start together migrate one at a time. Raises `DatabaseError`."""
    with _locked(alias):
        _check_encoding(alias)
        call_command("migrate", database=alias, verbosity=0, interactive=False)


def is_migrated(alias: str = "default") -> bool:
    """Return whether every migration is applied. Raises `DatabaseError`."""
    _check_encoding(alias)
    loader = MigrationLoader(connections[alias])
    return all(node in loader.applied_migrations for node in loader.graph.leaf_nodes())


def _check_encoding(alias: str) -> None:
    """Raise `DatabaseError` if the database cannot hold every text."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        ((encoding,),) = cursor.fetchall()
    if encoding != "UTF8":
        raise NotSupportedError(f"its encoding is {encoding}. Create it with ENCODING 'UTF8' and TEMPLATE template0")


@contextmanager
def _locked(alias: str) -> Iterator[None]:
    connection = connections[alias]
    if connection.vendor != "postgresql":
        # SQLite locks the whole file while a migration runs.
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
