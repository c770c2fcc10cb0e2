"""The connection of a thread, after the database has failed it."""

from typing import Any, Final

from django.db import connection

RETRIED: Final = frozenset({"40001", "40P01"})
"""SQLSTATEs of transactions that ended for another's sake: `serialization_failure`, `deadlock_detected`."""


def release() -> None:
    """Gives the connection up, and has the pool look at those that it holds: where one is broken, most are."""
    connection.close()
    pool: Any = getattr(connection, "pool", None)
    if pool is not None:
        pool.check()


def driver() -> Any:
    """The driver's own connection, or None where there is none."""
    return connection.connection


def is_broken(used: Any) -> bool:
    """Whether the other end has closed a driver's connection, as a server does that starts anew."""
    return bool(getattr(used, "closed", False))


def lost_to_another(error: BaseException) -> bool:
    """Whether the transaction was ended for another's sake: it may be tried again at once."""
    return getattr(error.__cause__, "sqlstate", None) in RETRIED
