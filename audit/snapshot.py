"""Views of a database that others write to: consistent ones, which block no writer, and repeated ones."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, transaction

Found = TypeVar("Found")

ATTEMPTS: Final = 10
PAUSE_SECONDS: Final = 0.2
REPEATABLE: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@contextmanager
def snapshot() -> Iterator[None]:
    """See one state of the database within the block. Raises the database's errors."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.in_atomic_block:
        yield
    elif database.vendor == "sqlite":
        # Django's own transactions are IMMEDIATE, and would keep all writers out.
        with database.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic(), database.cursor() as cursor:
            cursor.execute(REPEATABLE)
            yield


def confirmed(look: Callable[[], Found], is_wrong: Callable[[Found], object]) -> Found:
    """Return what a look finds. If `is_wrong` returns a problem, look again until it is the same twice.

    Django saves a user in a transaction of its own if the program has none, and the entry follows a moment later.
    """
    found = look()
    problem = is_wrong(found)
    # Within its own transaction, the caller sees no changes of others.
    attempts = 0 if connections[DEFAULT_DB_ALIAS].in_atomic_block else ATTEMPTS
    while problem is not None and attempts:
        time.sleep(PAUSE_SECONDS)
        found, before = look(), problem
        problem = is_wrong(found)
        if problem == before:
            break
        attempts -= 1
    return found
