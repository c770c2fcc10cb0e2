"""A folder of SQLite files, one for each workspace, named by the hash of its path.

They do not depend on the service's database, and hold nothing that cannot be made again. A file that is damaged, or of
another version, is replaced by an empty one.
"""

import contextlib
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from retrieval.base import DocumentError
from retrieval.indexes.base import IndexDamagedError, Indexes
from retrieval.indexes.sqlite.index import SqliteIndex

VERSION: Final = 1
"""The version of the tables, and of how texts are split. A file of another version is made again."""

OWNER_ONLY: Final = 0o700
BUSY_SECONDS: Final = 5.0
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
PRIMARY: Final = 0xFF
"""The bits of the primary code in an error code of SQLite."""

TABLES: Final = f"""
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL, sha256 TEXT NOT NULL, kind TEXT NOT NULL, pieces INTEGER NOT NULL,
    problem TEXT NOT NULL
);
CREATE TABLE pieces (id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE TABLE vectors (file_id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE VIRTUAL TABLE texts USING fts5(path, title, text, tokenize = "porter unicode61 remove_diacritics 2");
PRAGMA user_version = {VERSION};
"""


class SqliteIndexes(Indexes):
    """The indexes in a folder of the service's own. It is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, workspace: Path) -> Path:
        """Return the path of the index of a workspace."""
        return self.folder / f"{hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32]}.db"

    @contextlib.contextmanager
    def open(self, workspace: Path) -> Iterator[SqliteIndex]:
        """Open or make the index of a workspace."""
        with _opened(self.path(workspace)) as index:
            if not index.state("workspace"):
                index.set_state(workspace=os.fsencode(workspace).hex())
            yield index

    def repair(self, workspace: Path) -> None:
        """Remove a damaged index, which the next opening makes again."""
        self.forget(workspace)

    def forget(self, workspace: Path) -> None:
        """Remove the index of a workspace. Raises `DocumentError`."""
        _remove(self.path(workspace))

    def sweep(self) -> int:
        """Remove the indexes of workspaces that are gone, and return their number. Raises `DocumentError`."""
        gone = [path for path in self.folder.glob("*.db") if _is_of_no_workspace(path)]
        for path in gone:
            _remove(path)
        return len(gone)


def _is_of_no_workspace(path: Path) -> bool:
    """Return whether an index is damaged, or its workspace is gone."""
    try:
        with _opened(path) as index:
            name = index.state("workspace")
    except IndexDamagedError:
        return True
    return bool(name) and not Path(os.fsdecode(bytes.fromhex(name))).exists()


def _remove(path: Path) -> None:
    """Remove an index, with the files that SQLite keeps beside it. Raises `DocumentError`."""
    try:
        for suffix in ("-wal", "-shm", "-journal", ""):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise DocumentError(f"The index cannot be removed: {error.strerror}.") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[SqliteIndex]:
    try:
        path.parent.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        # SQLite does not wait for another process that turns on the log of the same new file.
        with path.with_suffix(".open.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            opened = _connection(path)
        with contextlib.closing(opened) as connection:
            yield SqliteIndex(path, connection)
    except sqlite3.Error as error:
        is_damaged = getattr(error, "sqlite_errorcode", 0) & PRIMARY in DAMAGED
        raise (IndexDamagedError if is_damaged else DocumentError)(f"The index cannot be used: {error}.") from error
    except OSError as error:
        raise DocumentError(f"The index cannot be opened: {error.strerror}.") from error


def _connection(path: Path) -> sqlite3.Connection:
    # Transactions are begun by hand. A thread may close what another opened.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA trusted_schema = OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return connection
        # Another process may make the tables at this moment.
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
                "AND name NOT LIKE 'texts_%'"
            ).fetchall():
                connection.execute(f'DROP TABLE "{name}"')
            for statement in filter(str.strip, TABLES.split(";")):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    path.chmod(0o600)
    return connection
