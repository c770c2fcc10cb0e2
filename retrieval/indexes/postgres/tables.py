"""The tables of the indexes in a PostgreSQL database, and the text search configuration of their words."""

from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from retrieval.base import DocumentError

# The tables are made here, not by a migration: they hold nothing that cannot be made again, so another version replaces
# them instead of changing them. Their types also depend on the extensions of the database, which may come and go.
VERSION: Final = 1
"""The version of the tables, and of how texts are split. Tables of an older version are made again."""

TABLES_LOCK: Final = 7_025_314_862
"""The key of the advisory lock of a process that makes the tables."""

MARKED_TABLE: Final = "retrieval_indexes"
"""The table whose comment has the version and the type of vectors."""

BYTES: Final = sql.SQL("bytea")

# The parser of PostgreSQL takes `os.path.join` for the name of a host, so only single words are given to it. English
# stems as in SQLite's `porter`, and no stop words: the query has its common words taken out already.
TOKENS: Final = "asciiword, word, numword, int, uint, float, sfloat, version"
DROPPED: Final[tuple[LiteralString, ...]] = (
    "DROP TABLE IF EXISTS retrieval_vectors, retrieval_pieces, retrieval_files, retrieval_indexes CASCADE",
    "DROP TEXT SEARCH CONFIGURATION IF EXISTS retrieval_words CASCADE",
    "DROP TEXT SEARCH DICTIONARY IF EXISTS retrieval_stem CASCADE",
)
MADE: Final[tuple[LiteralString, ...]] = (
    "CREATE TEXT SEARCH DICTIONARY retrieval_stem (TEMPLATE = snowball, LANGUAGE = english)",
    "CREATE TEXT SEARCH CONFIGURATION retrieval_words (PARSER = default)",
    f"ALTER TEXT SEARCH CONFIGURATION retrieval_words ADD MAPPING FOR {TOKENS} WITH retrieval_stem",
    # A hash, because a path may be longer than the rows of an index.
    """CREATE TABLE retrieval_indexes (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key bytea NOT NULL UNIQUE, workspace bytea NOT NULL,
        state jsonb NOT NULL DEFAULT '{}'
    )""",
    """CREATE TABLE retrieval_files (
        index_id integer NOT NULL REFERENCES retrieval_indexes ON DELETE CASCADE, key bytea NOT NULL,
        id bigint GENERATED ALWAYS AS IDENTITY, path text NOT NULL, size bigint NOT NULL, modified_ns bigint NOT NULL,
        sha256 text NOT NULL, kind text NOT NULL, pieces integer NOT NULL, problem text NOT NULL,
        bytes bigint NOT NULL DEFAULT 0, embedded integer NOT NULL DEFAULT 0, PRIMARY KEY (index_id, key)
    )""",
    "CREATE UNIQUE INDEX retrieval_files_by_id ON retrieval_files (id)",
    "CREATE INDEX retrieval_files_without_vectors ON retrieval_files (index_id) WHERE embedded < pieces",
    # Rows stay whole: a ranking reads the words of many of them.
    """CREATE TABLE retrieval_pieces (
        index_id integer NOT NULL REFERENCES retrieval_indexes ON DELETE CASCADE, id bigint NOT NULL,
        first integer NOT NULL, last integer NOT NULL, title text NOT NULL, text text NOT NULL,
        words tsvector NOT NULL, PRIMARY KEY (index_id, id)
    ) WITH (toast_tuple_target = 8160)""",
    "CREATE INDEX retrieval_pieces_by_word ON retrieval_pieces USING gin (words)",
)
VECTORS: Final = sql.SQL(
    """CREATE TABLE retrieval_vectors (
        index_id integer NOT NULL REFERENCES retrieval_indexes ON DELETE CASCADE, piece bigint NOT NULL,
        data {type} NOT NULL, PRIMARY KEY (index_id, piece)
    ) WITH (toast_tuple_target = 8160)"""
)

Connection = psycopg.Connection[tuple[Any, ...]]


class Tables:
    """The tables as they were found. `pgvector` is the schema of that extension; empty if vectors are plain bytes."""

    def __init__(self, oid: int, pgvector: str) -> None:
        self.oid = oid
        self.pgvector = pgvector


def usable_pgvector(connection: Connection) -> str:
    """Return the schema of pgvector if this role can use its type and its operator, otherwise an empty text."""
    row = connection.execute(
        "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'vector'"
    ).fetchone()
    if row is None:
        return ""
    schema = sql.Identifier(row[0])
    try:
        with connection.transaction():
            # The type is missing before version 0.7.
            connection.execute(sql.SQL("SELECT '[1]'::{0}.halfvec OPERATOR({0}.<#>) '[1]'::{0}.halfvec").format(schema))
    except psycopg.Error:
        return ""
    return str(row[0])


def prepared_tables(connection: Connection, damaged: Tables | None = None) -> Tables:
    """Return the tables, made if they are missing, of an older version or the damaged ones.

    Raises `DocumentError` for those of a newer version.
    """
    with connection.transaction():
        # Processes that start together make the tables one after the other.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (TABLES_LOCK,))
        pgvector = usable_pgvector(connection)
        wanted = f"{VERSION} {'halfvec' if pgvector else 'bytes'}"
        oid, found = _marked(connection)
        version = found.partition(" ")[0]
        if version.isdecimal() and int(version) > VERSION:
            raise DocumentError(
                "The indexes in the database belong to a newer version of the service. Run that version, or drop the "
                f"table {MARKED_TABLE}."
            )
        # Another process may have made them again since they were found damaged.
        if found != wanted or (damaged and damaged.oid == oid):
            for statement in (*DROPPED, *MADE):
                connection.execute(statement)
            halfvec = sql.SQL("{}.halfvec").format(sql.Identifier(pgvector))
            connection.execute(VECTORS.format(type=halfvec if pgvector else BYTES))
            connection.execute(
                sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(MARKED_TABLE), sql.Literal(wanted))
            )
            oid, _ = _marked(connection)
    return Tables(oid, pgvector)


def _marked(connection: Connection) -> tuple[int, str]:
    """Return the oid and the comment of the marked table, or 0 and an empty text."""
    row = connection.execute(
        "SELECT oid, coalesce(obj_description(oid, 'pg_class'), '') FROM pg_class WHERE oid = to_regclass(%s)",
        (MARKED_TABLE,),
    ).fetchone()
    return (int(row[0]), str(row[1])) if row else (0, "")
