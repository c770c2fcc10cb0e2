"""Recovery of a thread's connection after the database failed."""

from typing import Any, Final

from django.db import connection

RETRIED: Final = frozenset({"40001", "40P01"})
"""SQLSTATEs of transactions that lost to another one: `serialization_failure`, `deadlock_detected`."""


def release() -> None:
    """Close the connection, and have the pool check the others."""
    connection.close()
    pool: Any = getattr(connection, "pool", None)
    if pool is not None:
        # A server that restarted has closed all connections, so if one is broken, most are.
        pool.check()


def driver() -> Any:
    """Return the driver's own connection; None if there is none."""
    return connection.connection


def is_broken(used: Any) -> bool:
    """Return whether the server closed the connection, as it does when it restarts."""
    return bool(getattr(used, "closed", False))


def lost_to_another(error: BaseException) -> bool:
    """Return whether the transaction lost to another one and may be tried again at once."""
    return getattr(error.__cause__, "sqlstate", None) in RETRIED
