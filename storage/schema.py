"""The database's tables, made and brought up to date before the first request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.core.management import call_command
from django.db import connection

MIGRATING: Final = 7_025_314_861
"""Of all advisory locks in the database, that of who migrates it."""


def migrate() -> None:
    """Applies what is to be applied, while no other process does. Raises Django's `DatabaseError`."""
    try:
        with _alone():
            call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()


@contextmanager
def _alone() -> Iterator[None]:
    """Machines that start at the same moment migrate one after the other. SQLite has a lock of its own."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])
