"""The index of one workspace in PostgreSQL's tables. The words are in a `tsvector` with a GIN index."""

import contextlib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from psycopg.types.json import Jsonb

from retrieval.base import DocumentError, Piece, SourceFile
from retrieval.indexes.base import Content, Index, IndexedFile, Part, Totals, piece_numbers
from retrieval.indexes.postgres.tables import Connection
from retrieval.indexes.postgres.vectors import vectors_in
from retrieval.indexes.postgres.words import comparable, plain_words
from retrieval.limits import MAX_PIECES_PER_FILE

PARTS: Final[dict[Part, int]] = {"words": 1_635_720_001, "vectors": 1_635_720_002}
"""The first key of the advisory lock of each part; the second one is the id of the index."""

# Each piece has the word of its index. A search looks for it too, so it reads no entries of other workspaces.
PUT_PIECES: Final = """
INSERT INTO retrieval_pieces (index_id, id, first, last, title, text, words)
SELECT %(index)s, number, first, last, title, text,
    setweight(to_tsvector('retrieval_words', title_words), 'A') || to_tsvector('retrieval_words', text_words)
    || array_to_tsvector(ARRAY[%(own_word)s])
FROM unnest(%(numbers)s::bigint[], %(firsts)s::integer[], %(lasts)s::integer[], %(titles)s::text[], %(texts)s::text[],
    %(title_words)s::text[], %(text_words)s::text[])
    AS given (number, first, last, title, text, title_words, text_words)
"""
WEIGHTS: Final = "'{0.7, 0.7, 0.7, 1.0}'"
"""The weights of texts and paths, and of titles last."""

PRESENCE: Final = 0.3
"""The part of a word's rank that its place and its count do not change."""

# `ts_rank` of one word grows less and less with its count, as in BM25, and less in long texts. A word counts by its
# rarity. By themselves, `ts_rank` and `ts_rank_cd` of all words find fewer answers in `benchmarks.retrieval`.
MATCHING: Final = f"""
WITH words AS MATERIALIZED (
    SELECT word, phraseto_tsquery('retrieval_words', word) AS query FROM unnest(%(words)s::text[]) AS given (word)
), found AS (
    SELECT id, ts_rank({WEIGHTS}, piece.words, query, 1) AS rank, count(*) OVER (PARTITION BY word) AS pieces
    FROM (SELECT word, query FROM words WHERE numnode(query) > 0) AS asked
    CROSS JOIN LATERAL (
        SELECT id, words FROM retrieval_pieces WHERE words @@ (%(own_word)s::tsquery && asked.query)
    ) AS piece
), everything AS (
    SELECT sum(pieces)::float8 AS total FROM retrieval_files WHERE index_id = %(index)s
)
SELECT id FROM found CROSS JOIN everything
WHERE id / {MAX_PIECES_PER_FILE} = ANY(%(files)s::bigint[])
GROUP BY id
ORDER BY sum(({PRESENCE} + rank) * ln(1 + (total - found.pieces + 0.5) / (found.pieces + 0.5))) DESC, id
LIMIT %(limit)s
"""  # noqa: S608 - constants


class PostgresIndex(Index):
    """An index over an open connection, which commits each statement outside of a transaction."""

    def __init__(self, connection: Connection, index_id: int, pgvector: str) -> None:
        self.connection = connection
        self.id = index_id
        self.vectors = vectors_in(connection, index_id, pgvector)
        # No text has such a word: letters and digits only.
        self._own_word = f"@{index_id}"

    def files(self) -> dict[str, IndexedFile]:
        """Return the files by their paths."""
        names = IndexedFile.__struct_fields__
        rows = self.connection.execute(
            "SELECT id, path, size, modified_ns, sha256, kind, pieces, problem FROM retrieval_files "
            "WHERE index_id = %s",
            (self.id,),
        )
        return {row[1]: IndexedFile(**dict(zip(names, row, strict=True))) for row in rows}

    def totals(self) -> Totals:
        """Return the contents in numbers. The bytes are those of the rows, without the indexes of the database."""
        row = self.connection.execute(
            "SELECT count(*) FILTER (WHERE problem = ''), count(*) FILTER (WHERE problem <> ''), sum(pieces), "
            "sum(embedded), sum(bytes) FROM retrieval_files WHERE index_id = %s",
            (self.id,),
        ).fetchone()
        files, skipped, pieces, embedded, size = (int(value or 0) for value in row or ())
        size += embedded * self.dimensions
        return Totals(files=files, skipped=skipped, pieces=pieces, embedded=embedded, bytes=size)

    def state(self, name: str) -> str:
        """Return a stored value, or an empty text."""
        row = self.connection.execute(
            "SELECT state ->> %s FROM retrieval_indexes WHERE id = %s", (name, self.id)
        ).fetchone()
        return str(row[0] or "") if row else ""

    def set_state(self, **values: str) -> None:
        """Store values."""
        self.connection.execute(
            "UPDATE retrieval_indexes SET state = state || %s WHERE id = %s", (Jsonb(values), self.id)
        )

    def put(self, file: SourceFile, content: Content) -> None:
        """Replace what the index has of a file."""
        self.remove(file.path)
        pieces = content.pieces
        row = self.connection.execute(
            "INSERT INTO retrieval_files (index_id, key, path, size, modified_ns, sha256, kind, pieces, problem) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            (
                self.id,
                _key(file.path),
                file.path,
                file.size,
                file.modified_ns,
                content.sha256,
                content.kind,
                len(pieces),
                content.problem,
            ),
        ).fetchone()
        if row is None or not pieces:
            return
        numbers, path_words = piece_numbers(row[0], len(pieces)), plain_words(file.path)
        self.connection.execute(
            PUT_PIECES,
            {
                "index": self.id,
                "own_word": self._own_word,
                "numbers": list(numbers),
                "firsts": [piece.first for piece in pieces],
                "lasts": [piece.last for piece in pieces],
                "titles": [piece.title for piece in pieces],
                "texts": [piece.text for piece in pieces],
                "title_words": [plain_words(piece.title) for piece in pieces],
                "text_words": [f"{path_words} {plain_words(piece.text)}" for piece in pieces],
            },
        )
        self.connection.execute(
            "UPDATE retrieval_files SET bytes = (SELECT sum(pg_column_size(piece.*)) FROM retrieval_pieces AS piece "
            "WHERE index_id = %(index)s AND piece.id BETWEEN %(first)s AND %(last)s) WHERE id = %(file)s",
            {"index": self.id, "first": numbers[0], "last": numbers[-1], "file": row[0]},
        )

    def touch(self, file: SourceFile) -> None:
        """Note the time of a file whose content is the same."""
        self.connection.execute(
            "UPDATE retrieval_files SET size = %s, modified_ns = %s WHERE index_id = %s AND key = %s",
            (file.size, file.modified_ns, self.id, _key(file.path)),
        )

    def remove(self, path: str) -> None:
        """Remove a file, if the index has it."""
        row = self.connection.execute(
            "DELETE FROM retrieval_files WHERE index_id = %s AND key = %s RETURNING id", (self.id, _key(path))
        ).fetchone()
        if row is None:
            return
        numbers = piece_numbers(row[0], MAX_PIECES_PER_FILE)
        values = (self.id, numbers[0], numbers[-1])
        self.connection.execute("DELETE FROM retrieval_pieces WHERE index_id = %s AND id BETWEEN %s AND %s", values)
        self.connection.execute("DELETE FROM retrieval_vectors WHERE index_id = %s AND piece BETWEEN %s AND %s", values)

    def pieces(self, numbers: Iterable[int]) -> dict[int, Piece]:
        """Return the pieces with these numbers, in this order, except those that are gone."""
        wanted = list(numbers)
        rows = self.connection.execute(
            "SELECT id, first, last, title, text FROM retrieval_pieces WHERE index_id = %s AND id = ANY(%s)",
            (self.id, wanted),
        )
        found = {row[0]: Piece(first=row[1], last=row[2], title=row[3], text=row[4]) for row in rows}
        return {number: found[number] for number in wanted if number in found}

    def matching(self, words: Sequence[str], files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files that have any of the words, the best first."""
        values = {
            "index": self.id,
            "own_word": f"'{self._own_word}'",
            "words": comparable(words),
            "files": list(files),
            "limit": limit,
        }
        return [piece for (piece,) in self.connection.execute(MATCHING, values)]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the statements of a block together, or none of them. Transactions of one index exclude each other."""
        with self.connection.transaction():
            row = self.connection.execute(
                "SELECT 1 FROM retrieval_indexes WHERE id = %s FOR UPDATE", (self.id,)
            ).fetchone()
            if row is None:
                raise DocumentError("The index was removed at this moment. Search again.")
            yield

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the same state in a whole block, whatever others commit meanwhile."""
        with self.connection.transaction():
            self.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    @contextlib.contextmanager
    def lock(self, part: Part) -> Iterator[bool]:
        """Lock the updates of a part, for all processes and machines. Yield False if another one holds the lock."""
        # The lock belongs to the connection that does the work, so it is never lost before the work ends.
        keys = (PARTS[part], self.id)
        row = self.connection.execute("SELECT pg_try_advisory_lock(%s::integer, %s::integer)", keys).fetchone()
        if not (row and row[0]):
            yield False
            return
        try:
            yield True
        finally:
            # A broken connection has released it already.
            if not self.connection.closed:
                self.connection.execute("SELECT pg_advisory_unlock(%s::integer, %s::integer)", keys)


def _key(path: str) -> bytes:
    return hashlib.sha256(path.encode()).digest()
