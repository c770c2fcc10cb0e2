"""The vectors in PostgreSQL's tables: compared by pgvector if the database has it, otherwise by numpy."""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from psycopg import sql

from retrieval.indexes.base import Vectors, file_of, piece_numbers
from retrieval.indexes.nearest import MIN_SIMILARITY, ROWS_AT_ONCE, Group, nearest_of
from retrieval.indexes.postgres.tables import Connection
from retrieval.limits import MAX_PIECES_PER_FILE

ADD: Final = """
WITH file AS (
    UPDATE retrieval_files SET embedded = embedded + %(count)s
    WHERE index_id = %(index)s AND id = %(file)s AND embedded = %(before)s AND embedded + %(count)s <= pieces
    RETURNING id
)
INSERT INTO retrieval_vectors (index_id, piece, data)
SELECT %(index)s, %(first)s + number - 1, {data} FROM file, unnest(%(vectors)s::{given}[])
    WITH ORDINALITY AS given (data, number)
"""
# The comparison with bytes fails if the type was changed by hand. Otherwise, such vectors would never be found.
GROUP: Final = f"""
SELECT piece, data FROM retrieval_vectors
WHERE index_id = %(index)s AND piece > %(after)s AND piece / {MAX_PIECES_PER_FILE} = ANY(%(files)s::bigint[])
    AND octet_length(data) = %(dimensions)s AND data <> ''::bytea
ORDER BY piece LIMIT {ROWS_AT_ONCE}
"""  # noqa: S608 - constants

# Each vector of the workspace is compared. An approximate index over all workspaces would find few of a small one.
# The dimensions are checked first, because those of another space cannot be compared.
NEAREST: Final = """
SELECT piece FROM (
    SELECT piece, CASE WHEN {schema}.vector_dims(data) = %(dimensions)s
        THEN data OPERATOR({schema}.<#>) %(vector)s::{schema}.halfvec END AS distance
    FROM retrieval_vectors WHERE index_id = %(index)s AND piece / {pieces} = ANY(%(files)s::bigint[])
) AS compared
WHERE distance <= {most} ORDER BY distance, piece LIMIT %(limit)s
"""


class PostgresVectors(Vectors):
    """The vectors of an index, one row for each piece."""

    def __init__(self, connection: Connection, index_id: int) -> None:
        self._connection = connection
        self._index_id = index_id

    @abstractmethod
    def nearest(self, vector: bytes, files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files whose vectors are nearest to a vector, the best first."""

    @abstractmethod
    def _add(self, vectors: Sequence[bytes]) -> tuple[sql.Composed, list[Any]]:
        """Return the statement that adds vectors, and the vectors as it takes them."""

    def missing(self, max_files: int) -> list[range]:
        """Return the pieces that lack vectors, of some files."""
        rows = self._connection.execute(
            "SELECT id, pieces, embedded FROM retrieval_files WHERE index_id = %s AND embedded < pieces LIMIT %s",
            (self._index_id, max_files),
        )
        return [piece_numbers(file_id, pieces, embedded) for file_id, pieces, embedded in rows]

    def add(self, first: int, vectors: Sequence[bytes]) -> None:
        """Add the vectors of the pieces from `first` on, which are all of one file."""
        statement, values = self._add(vectors)
        file_id = file_of(first)
        self._connection.execute(
            statement,
            {
                "index": self._index_id,
                "file": file_id,
                "first": first,
                "before": first - piece_numbers(file_id, 1)[0],
                "count": len(values),
                "vectors": values,
            },
        )

    def clear(self) -> bool:
        """Remove all vectors, and return whether there were any."""
        removed = self._connection.execute("DELETE FROM retrieval_vectors WHERE index_id = %s", (self._index_id,))
        self._connection.execute("UPDATE retrieval_files SET embedded = 0 WHERE index_id = %s", (self._index_id,))
        return removed.rowcount > 0


class ByteVectors(PostgresVectors):
    """Vectors as plain bytes, which are compared in this process."""

    def nearest(self, vector: bytes, files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files whose vectors are nearest to a vector, the best first."""
        return nearest_of(self._groups(files, len(vector)), vector, limit)

    def _groups(self, files: Collection[int], dimensions: int) -> Iterator[Group]:
        """Yield the pieces of the files and their vectors, in groups of bounded size."""
        values = {"index": self._index_id, "files": list(files), "dimensions": dimensions, "after": -1}
        while rows := self._connection.execute(GROUP, values, binary=True).fetchall():
            yield [piece for piece, _ in rows], b"".join(data for _, data in rows)
            values["after"] = rows[-1][0]

    def _add(self, vectors: Sequence[bytes]) -> tuple[sql.Composed, list[Any]]:
        return sql.SQL(ADD).format(data=sql.SQL("given.data"), given=sql.SQL("bytea")), list(vectors)


class PgVectors(PostgresVectors):
    """Vectors in pgvector's type for halves, which holds each signed byte exactly, compared by its operator."""

    def __init__(self, connection: Connection, index_id: int, schema: str) -> None:
        super().__init__(connection, index_id)
        # The schema may be outside of the role's search path.
        self._schema = sql.Identifier(schema)

    def nearest(self, vector: bytes, files: Collection[int], limit: int) -> list[int]:
        """Return the pieces of the files whose vectors are nearest to a vector, the best first."""
        most, pieces = sql.Literal(-MIN_SIMILARITY), sql.Literal(MAX_PIECES_PER_FILE)
        rows = self._connection.execute(
            sql.SQL(NEAREST).format(schema=self._schema, most=most, pieces=pieces),
            {
                "index": self._index_id,
                "files": list(files),
                "dimensions": len(vector),
                "vector": _literal(vector),
                "limit": limit,
            },
        )
        return [piece for (piece,) in rows]

    def _add(self, vectors: Sequence[bytes]) -> tuple[sql.Composed, list[Any]]:
        converted = sql.SQL("given.data::{}.halfvec").format(self._schema)
        statement = sql.SQL(ADD).format(data=converted, given=sql.SQL("text"))
        return statement, [_literal(vector) for vector in vectors]


def _literal(vector: bytes) -> str:
    """Return a vector of signed bytes as pgvector reads it."""
    return str(memoryview(vector).cast("b").tolist())


def vectors_in(connection: Connection, index_id: int, pgvector: str) -> PostgresVectors:
    """Return the vectors of an index. `pgvector` is the schema of that extension, or empty without it."""
    if pgvector:
        return PgVectors(connection, index_id, pgvector)
    return ByteVectors(connection, index_id)
