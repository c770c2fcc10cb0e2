"""What the commands about keys have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError


@contextmanager
def database() -> Iterator[None]:
    """The database, brought up to date. Its failures are one line: raises `CommandError`."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
        yield
    except DatabaseError as error:
        raise CommandError(f"DATABASE_URL names a database that cannot be used: {str(error).strip()}") from None
