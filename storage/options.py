"""How the databases are spoken to: Django's `OPTIONS` of each, with the reasons."""

from typing import Any, Final

SQLITE: Final[dict[str, Any]] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 5,
    # A checkpoint is worth its fsync every 40 MB of log, not every 4.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=10000;",
}

POSTGRESQL: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    # A server that vanished without a word is found out in 10 s, not in the kernel's quarter of an hour.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""Parameters of libpq (PostgreSQL's manual, 32.1.2); those of the URL win."""

POOL: Final[dict[str, Any]] = {
    "min_size": 1,
    "max_size": 8,
    # A request that gets no connection in this time is a 503.
    "timeout": 3,
    # The pool waits twice as long before each further attempt to connect; it begins anew after this time, and so is
    # back soon after a server that was away for an hour.
    "reconnect_timeout": 3,
}
"""Parameters of psycopg's pool, in seconds: one for each process."""


def postgresql(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a PostgreSQL database whose URL gave these."""
    return {**POSTGRESQL, **given, "pool": dict(POOL)}
