"""The index of one workspace in an SQLite file: the pieces of its files, their words (FTS5) and their vectors."""

import contextlib
import fcntl
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from retrieval.base import Piece, SourceFile
from retrieval.indexes.base import Content, Index, IndexedFile, Part, Totals, file_of, piece_numbers
from retrieval.indexes.sqlite.vectors import SqliteVectors
from retrieval.limits import MAX_PIECES_PER_FILE

WEIGHTS: Final = "1.0, 2.0, 1.0"
"""The weights of a path, a title and a text in the ranking by words."""


class SqliteIndex(Index):
    """An index in an open file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self.vectors = SqliteVectors(connection, lambda: self.dimensions)

    def files(self) -> dict[str, IndexedFile]:
        """Return the files by their paths."""
        columns = "id, path, size, modified_ns, sha256, kind, pieces, problem"
        names = IndexedFile.__struct_fields__
        rows = self.connection.execute(f"SELECT {columns} FROM files")  # noqa: S608 - constant
        return {row[1]: IndexedFile(**dict(zip(names, row, strict=True))) for row in rows}

    def totals(self) -> Totals:
        """Return the contents in numbers."""
        files, skipped, pieces = self.connection.execute(
            "SELECT count(*), coalesce(sum(problem <> ''), 0), coalesce(sum(pieces), 0) FROM files"
        ).fetchone()
        (size,) = self.connection.execute("SELECT coalesce(sum(length(data)), 0) FROM vectors").fetchone()
        pages, page_size = (
            int(self.connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size")
        )
        embedded = size // self.dimensions
        return Totals(files=files - skipped, skipped=skipped, pieces=pieces, embedded=embedded, bytes=pages * page_size)

    def state(self, name: str) -> str:
        """Return a stored value, or an empty text."""
        row = self.connection.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def set_state(self, **values: str) -> None:
        """Store values."""
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
        numbered = list(zip(piece_numbers(file_id, len(content.pieces)), content.pieces, strict=True))
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
        numbers = piece_numbers(row[0], MAX_PIECES_PER_FILE)
        pieces = (numbers[0], numbers[-1])
        self.connection.execute("DELETE FROM texts WHERE rowid BETWEEN ? AND ?", pieces)
        self.connection.execute("DELETE FROM pieces WHERE id BETWEEN ? AND ?", pieces)
        self.connection.execute("DELETE FROM vectors WHERE file_id = ?", row)

    def pieces(self, numbers: Iterable[int]) -> dict[int, Piece]:
        """Return the pieces with these numbers, in this order, except those that are gone."""
        wanted = list(numbers)
        rows = self.connection.execute(
            "SELECT pieces.id, first, last, title, text FROM json_each(?) JOIN pieces ON pieces.id = json_each.value "
            "JOIN texts ON texts.rowid = pieces.id",
            (json.dumps(wanted),),
        )
        found = {row[0]: Piece(first=row[1], last=row[2], title=row[3], text=row[4]) for row in rows}
        return {number: found[number] for number in wanted if number in found}

    def matching(self, words: Sequence[str], files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files that have any of the words, the best first by BM25."""
        # In quotation marks nothing is an operator. In a string of FTS5, a doubled one is a quotation mark.
        expression = " OR ".join('"{}"'.format(word.replace('"', '""')) for word in words)
        rows = self.connection.execute(
            f"SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY bm25(texts, {WEIGHTS})",  # noqa: S608 - constants
            (expression,),
        )
        return list(islice((piece for (piece,) in rows if file_of(piece) in files), limit))

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

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the same state in a whole block, whatever others commit meanwhile."""
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    @contextlib.contextmanager
    def lock(self, part: Part) -> Iterator[bool]:
        """Lock the updates of a part, across threads and processes. Yield False if another one holds the lock."""
        with self.path.with_suffix(f".{part}.lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
