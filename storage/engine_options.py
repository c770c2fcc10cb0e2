"""How the databases are spoken to: Django's `OPTIONS` of each, with the reasons."""

from typing import Any, Final

LOG_BYTES: Final = 40 * 2**20
"""SQLite's log is taken into the database where it is longer: a checkpoint is worth its fsync every 40 MB, not 4."""

SQLITE: Final[dict[str, Any]] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 5,
    # A service takes the log in by itself (`storage.checkpoints`); within a commit, after so many pages of 4 KB, only
    # where that did not get round to it. A log that begins anew is cut, so that its size says how long it is.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=40000; "
    "PRAGMA journal_size_limit=4194304;",
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
