"""Django's database `OPTIONS` for SQLite and PostgreSQL, with the reasons."""

from typing import Any, Final

# SQLite's log is checkpointed above this size: a checkpoint costs an fsync, which pays off every 40 MB, not every 4.
LOG_BYTES: Final = 40 * 2**20

SQLITE: Final[dict[str, Any]] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 5,
    # The service checkpoints the log itself (`storage.wal_checkpoint`). SQLite does so within a commit only if that
    # fell behind by this many pages of 4 KB. A restarted log is truncated, so that its size shows how much is in use.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=40000; "
    "PRAGMA journal_size_limit=4194304;",
}

POSTGRESQL: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    # A server that vanished is noticed after 10 s, not after the kernel's quarter of an hour.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""Parameters of libpq (PostgreSQL manual, 32.1.2). Parameters in the URL override them."""

# A role or a database may have other defaults, and the format of values depends on these. Poolers track all four.
SESSION: Final = "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c standard_conforming_strings=on"

READ_COMMITTED: Final = 2
"""`psycopg.IsolationLevel.READ_COMMITTED`. Under a stricter default of the role, commits would fail at random."""

POOL: Final[dict[str, Any]] = {
    "min_size": 1,
    "max_size": 8,
    # A request that gets no connection in this time is a 503.
    "timeout": 3,
    # The pool doubles its delay before each attempt to connect, and restarts at a short delay after this time. So it is
    # back soon after a server that was away for an hour.
    "reconnect_timeout": 3,
}
"""Parameters of psycopg's pool in seconds; each process has one pool."""


def postgresql(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a PostgreSQL database whose URL has these parameters."""
    options = f"{given.get('options', '')} {SESSION}".strip()
    return {**POSTGRESQL, "isolation_level": READ_COMMITTED, **given, "options": options, "pool": dict(POOL)}
