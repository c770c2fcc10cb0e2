"""The database's tables, made and brought up to date before the first request."""

from django.core.management import call_command
from django.db import connection


def migrate() -> None:
    """Applies what is to be applied. Raises Django's `DatabaseError` where the database cannot be used."""
    try:
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connection.close()
