"""The vectors in an SQLite file: one blob for each file of the workspace, which numpy compares."""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence

from retrieval.indexes.base import Vectors, file_of, piece_numbers
from retrieval.indexes.nearest import ROWS_AT_ONCE, Group, nearest_of


class SqliteVectors(Vectors):
    """The vectors of an index."""

    # Not every SQLite can load an extension that compares vectors.

    def __init__(self, connection: sqlite3.Connection, dimensions: Callable[[], int]) -> None:
        self._connection = connection
        self._dimensions = dimensions

    def missing(self, max_files: int) -> list[range]:
        """Return the pieces that lack vectors, of some files."""
        rows = self._connection.execute(
            "SELECT files.id, pieces, coalesce(length(data), 0) FROM files LEFT JOIN vectors ON file_id = files.id "
            "WHERE coalesce(length(data), 0) < files.pieces * ? LIMIT ?",
            (dimensions := self._dimensions(), max_files),
        )
        return [piece_numbers(file_id, pieces, size // dimensions) for file_id, pieces, size in rows]

    def add(self, first: int, vectors: Sequence[bytes]) -> None:
        """Add the vectors of the pieces from `first` on, which are all of one file."""
        file_id = file_of(first)
        before = (first - piece_numbers(file_id, 1)[0]) * self._dimensions()
        self._connection.execute(
            "INSERT INTO vectors SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM files WHERE id = ?1) "
            "AND ?3 = coalesce((SELECT length(data) FROM vectors WHERE file_id = ?1), 0) "
            "ON CONFLICT (file_id) DO UPDATE SET data = CAST(data || excluded.data AS BLOB)",
            (file_id, b"".join(vectors), before),
        )

    def clear(self) -> bool:
        """Remove all vectors, and return whether there were any."""
        return self._connection.execute("DELETE FROM vectors").rowcount > 0

    def nearest(self, vector: bytes, files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files whose vectors are nearest to a vector, the best first."""
        return nearest_of(self._groups(files, len(vector)), vector, limit)

    def _groups(self, files: Collection[int], dimensions: int) -> Iterator[Group]:
        """Yield the pieces of the files and their vectors, in groups of bounded size."""
        pieces: list[int] = []
        blobs: list[bytes] = []
        for file_id, data in self._connection.execute("SELECT file_id, data FROM vectors"):
            if file_id not in files:
                continue
            pieces += piece_numbers(file_id, len(data) // dimensions)
            blobs.append(data)
            if len(pieces) >= ROWS_AT_ONCE:
                yield pieces, b"".join(blobs)
                pieces, blobs = [], []
        if pieces:
            yield pieces, b"".join(blobs)
