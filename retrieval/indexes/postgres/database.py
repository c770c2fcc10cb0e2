"""The indexes of all workspaces in one PostgreSQL database.

Machines that share the database, and see a workspace at the same path, share its index.
"""

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg_pool import ConnectionPool

from retrieval.base import DocumentError
from retrieval.indexes.base import IndexDamagedError, Indexes
from retrieval.indexes.postgres.index import PostgresIndex
from retrieval.indexes.postgres.tables import Connection, Tables, prepared_tables

logger = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 8
"""Connections of a process. Further searches wait for one."""

MAX_IDLE_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 5.0
"""Seconds in which a search must get a connection."""

LIMITS: Final = {"lock_timeout": "5s", "statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s"}
"""Settings of a session. A connection that is stuck must not keep the others waiting."""

DAMAGED: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedObject,
    errors.UndefinedFunction,
    errors.DatatypeMismatch,
    errors.CannotCoerce,
    errors.DataCorrupted,
    errors.IndexCorrupted,
)
"""Errors of tables that were dropped or changed by hand, or whose extension is new or gone."""

# A row that exists is only read. Two processes may add the same one.
OPEN: Final = """
WITH found AS (SELECT id FROM retrieval_indexes WHERE key = %(key)s), made AS (
    INSERT INTO retrieval_indexes (key, workspace) SELECT %(key)s, %(workspace)s WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id
)
SELECT id FROM found UNION ALL SELECT id FROM made
"""


class PostgresIndexes(Indexes):
    """The indexes in a database, over connections of their own. `parameters` returns those of libpq."""

    def __init__(self, parameters: Callable[[], dict[str, Any]]) -> None:
        self._pool = ConnectionPool[Connection](
            kwargs=lambda: {**parameters(), "autocommit": True},
            min_size=0,
            max_size=MAX_CONNECTIONS,
            max_idle=MAX_IDLE_SECONDS,
            timeout=CONNECT_SECONDS,
            reconnect_timeout=CONNECT_SECONDS,
            check=ConnectionPool.check_connection,
            configure=_limit,
            open=False,
            name="retrieval",
        )
        self._tables: Tables | None = None
        self._damaged: Tables | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def open(self, workspace: Path) -> Iterator[PostgresIndex]:
        """Open the index of a workspace; a new one is empty."""
        with self._connection() as (connection, tables):
            values = {"key": _key(workspace), "workspace": os.fsencode(workspace)}
            ((index_id,),) = connection.execute(OPEN, values).fetchall()
            yield PostgresIndex(connection, index_id, tables.pgvector)

    def repair(self, workspace: Path) -> None:
        """Make the tables again, unless another thread or process has done so. Raises `DocumentError`."""
        with self._lock, _errors(), self._pool.connection() as connection:
            self._tables = prepared_tables(connection, self._damaged)
            self._damaged = None

    def forget(self, workspace: Path) -> None:
        """Remove the index of a workspace. Raises `DocumentError`."""
        with self._connection() as (connection, _):
            connection.execute("DELETE FROM retrieval_indexes WHERE key = %s", (_key(workspace),))

    def sweep(self) -> int:
        """Remove the indexes of workspaces that are gone, and return their number. Raises `DocumentError`."""
        with self._connection() as (connection, _):
            rows = connection.execute("SELECT id, workspace FROM retrieval_indexes").fetchall()
            paths = [(index_id, Path(os.fsdecode(workspace))) for index_id, workspace in rows]
            # If the folder around it is missing too, it is a workspace of another machine, or not mounted now.
            gone = [index_id for index_id, path in paths if not path.exists() and path.parent.is_dir()]
            connection.execute("DELETE FROM retrieval_indexes WHERE id = ANY(%s)", (gone,))
        return len(gone)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[tuple[Connection, Tables]]:
        """Take a connection to a database that has the tables."""
        with _errors():
            with self._lock:
                self._pool.open()
            with self._pool.connection() as connection:
                with self._lock:
                    if self._tables is None:
                        self._tables = prepared_tables(connection)
                    tables = self._tables
                try:
                    yield connection, tables
                except DAMAGED:
                    with self._lock:
                        # Another thread may have repaired them since.
                        if self._tables is tables:
                            self._damaged = tables
                    raise


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Raise errors of the database as `DocumentError`."""
    try:
        yield
    except DAMAGED as error:
        raise IndexDamagedError(f"The index cannot be used: {type(error).__name__}.") from error
    except errors.ForeignKeyViolation as error:
        raise DocumentError("The index was removed at this moment. Search again.") from error
    except psycopg.Error as error:
        # The message of the driver may name hosts and users of the service.
        logger.warning("retrieval.database", extra={"reason": str(error).strip().partition("\n")[0]})
        raise DocumentError(
            f"The index cannot be used: the database failed ({type(error).__name__}). Search again later."
        ) from error


def _limit(connection: Connection) -> None:
    for name, value in LIMITS.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))


def _key(workspace: Path) -> bytes:
    # A path may be longer than a row of an index.
    return hashlib.sha256(os.fsencode(workspace)).digest()
