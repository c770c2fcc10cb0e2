"""The index of one workspace: an SQLite file with the pieces of its files, their words (FTS5) and their vectors.

It does not depend on the service's database, and holds nothing that cannot be made again. A file that is damaged, or
of another version, is replaced by an empty one.
"""

import contextlib
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from retrieval.base import Kind, Piece, SourceFile
from retrieval.limits import MAX_PIECES_PER_FILE

VERSION: Final = 1
"""The version of the tables, and of how texts are split. A file of another version is made again."""

OWNER_ONLY: Final = 0o700
BUSY_SECONDS: Final = 5.0
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
DIMENSIONS: Final = 384
"""Bytes of a vector, if the index does not say how many."""

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


class IndexedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the index. A `problem` is the reason why it has no pieces."""

    id: int
    path: str
    size: int
    modified_ns: int
    sha256: str
    kind: Kind
    pieces: int
    problem: str


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file as it is indexed: its pieces, or the problem with it."""

    sha256: str
    kind: Kind
    pieces: Sequence[Piece] = ()
    problem: str = ""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of an index in numbers. `embedded` counts the pieces that have vectors."""

    files: int
    skipped: int
    pieces: int
    embedded: int
    bytes: int


class IndexFile:
    """An open index, as a context manager. Any number may be open; `lock` says which of them updates it."""

    def __init__(self, path: Path) -> None:
        """Open or make the index at the path. Raises `OSError` and `sqlite3.Error`."""
        self.path = path
        path.parent.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        try:
            self.connection = _opened(path)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            remove_index(path)
            self.connection = _opened(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def files(self) -> dict[str, IndexedFile]:
        """Return the files by their paths."""
        columns = "id, path, size, modified_ns, sha256, kind, pieces, problem"
        names = IndexedFile.__struct_fields__
        rows = self.connection.execute(f"SELECT {columns} FROM files")  # noqa: S608 - constant
        return {row[1]: IndexedFile(**dict(zip(names, row, strict=True))) for row in rows}

    def totals(self) -> Totals:
        files, skipped, pieces = self.connection.execute(
            "SELECT count(*), coalesce(sum(problem <> ''), 0), coalesce(sum(pieces), 0) FROM files"
        ).fetchone()
        (size,) = self.connection.execute("SELECT coalesce(sum(length(data)), 0) FROM vectors").fetchone()
        embedded = size // self.dimensions
        return Totals(files=files - skipped, skipped=skipped, pieces=pieces, embedded=embedded, bytes=self.size)

    @property
    def size(self) -> int:
        """The size in bytes."""
        pages: int = self.connection.execute("PRAGMA page_count").fetchone()[0]
        return pages * int(self.connection.execute("PRAGMA page_size").fetchone()[0])

    @property
    def dimensions(self) -> int:
        """The bytes of a vector."""
        return int(self.state("dimensions") or DIMENSIONS)

    def state(self, name: str) -> str:
        """Return a stored value, or an empty text."""
        row = self.connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def set_state(self, **values: str) -> None:
        self.connection.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", values.items())

    def put(self, file: SourceFile, content: Content) -> None:
        """Replace what the index has of a file."""
        self.remove(file.path)
        row = (file.path, file.size, file.modified_ns, content.sha256, content.kind)
        (file_id,) = self.connection.execute(
            "INSERT INTO files (path, size, modified_ns, sha256, kind, pieces, problem) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "RETURNING id",
            (*row, len(content.pieces), content.problem),
        ).fetchone()
        numbered = list(enumerate(content.pieces, file_id * MAX_PIECES_PER_FILE))
        self.connection.executemany(
            "INSERT INTO pieces VALUES (?, ?, ?)", [(number, piece.first, piece.last) for number, piece in numbered]
        )
        self.connection.executemany(
            "INSERT INTO texts (rowid, path, title, text) VALUES (?, ?, ?, ?)",
            [(number, file.path, piece.title, piece.text) for number, piece in numbered],
        )

    def touch(self, file: SourceFile) -> None:
        """Note the time of a file whose content is the same."""
        self.connection.execute(
            "UPDATE files SET size = ?, modified_ns = ? WHERE path = ?", (file.size, file.modified_ns, file.path)
        )

    def remove(self, path: str) -> None:
        """Remove a file, if the index has it."""
        row = self.connection.execute("DELETE FROM files WHERE path = ? RETURNING id", (path,)).fetchone()
        if row is None:
            return
        pieces = (row[0] * MAX_PIECES_PER_FILE, (row[0] + 1) * MAX_PIECES_PER_FILE - 1)
        self.connection.execute("DELETE FROM texts WHERE rowid BETWEEN ? AND ?", pieces)
        self.connection.execute("DELETE FROM pieces WHERE id BETWEEN ? AND ?", pieces)
        self.connection.execute("DELETE FROM vectors WHERE file_id = ?", row)

    def without_vectors(self, limit: int) -> list[tuple[int, int]]:
        """Return the ids of some files whose pieces lack vectors, and how many of their pieces have one."""
        rows = self.connection.execute(
            "SELECT files.id, coalesce(length(data), 0) FROM files LEFT JOIN vectors ON vectors.file_id = files.id "
            "WHERE coalesce(length(data), 0) < files.pieces * ? LIMIT ?",
            (dimensions := self.dimensions, limit),
        )
        return [(file_id, size // dimensions) for file_id, size in rows]

    def add_vectors(self, file_id: int, vectors: Sequence[bytes]) -> None:
        """Add the vectors of the next pieces of a file, unless the file has been replaced meanwhile."""
        self.connection.execute(
            "INSERT INTO vectors SELECT ?, ? WHERE EXISTS (SELECT 1 FROM files WHERE id = ?) "
            "ON CONFLICT (file_id) DO UPDATE SET data = CAST(data || excluded.data AS BLOB)",
            (file_id, b"".join(vectors), file_id),
        )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the statements of a block together, or none of them."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")


def index_path(folder: Path, workspace: Path) -> Path:
    """Return the path of the index of a workspace."""
    return folder / f"{hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32]}.db"


def indexed_workspace(path: Path) -> Path | None:
    """Return the workspace of an index; None if the index names none."""
    with IndexFile(path) as index:
        name = index.state("workspace")
    return Path(os.fsdecode(bytes.fromhex(name))) if name else None


def is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Return whether an index must be made again."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY in DAMAGED


def remove_index(path: Path) -> None:
    """Remove an index, with the files that SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", "-journal", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def lock(path: Path, part: Literal["words", "vectors"]) -> Iterator[bool]:
    """Lock the updates of a part of an index, across threads and processes. Yield False if another one holds it."""
    path.parent.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    with path.with_suffix(f".{part}.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _opened(path: Path) -> sqlite3.Connection:
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
