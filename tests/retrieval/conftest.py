"""Indexes in SQLite files, and in a real PostgreSQL with and without pgvector."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from retrieval import service
from retrieval.indexes.base import Indexes
from retrieval.indexes.postgres.database import PostgresIndexes
from retrieval.indexes.sqlite.folder import SqliteIndexes
from retrieval.service import Retrieval
from tests.retrieval.sources import WordReader
from tests.servers import Postgres, wait_until


@pytest.fixture(scope="session")
def plain_database(postgres: Postgres) -> str:
    """Return the URL of a database without extensions."""
    return postgres.database()


@pytest.fixture(scope="session")
def vector_database(postgres: Postgres) -> str:
    """Return the URL of a database with pgvector, in a schema that is not searched for names."""
    url = postgres.database()
    if not postgres.query("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        pytest.skip("This PostgreSQL has no pgvector.")
    postgres.query('CREATE SCHEMA "other\'s"', url=url)
    postgres.query('CREATE EXTENSION vector SCHEMA "other\'s"', url=url)
    return url


def emptied(url: str) -> str:
    """Return the URL of a database, without the indexes of another test."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('retrieval_indexes')").fetchone() != (None,):
            connection.execute("TRUNCATE retrieval_indexes CASCADE")
    return url


def indexes_at(url: str) -> PostgresIndexes:
    return PostgresIndexes(lambda: dict(conninfo_to_dict(url)))


@pytest.fixture(params=["sqlite", "plain_database", "vector_database"])
def indexes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Indexes]:
    if request.param == "sqlite":
        yield SqliteIndexes(tmp_path / "indexes")
        return
    made = indexes_at(emptied(request.getfixturevalue(request.param)))
    yield made
    made.close()


@pytest.fixture
def retrieval(indexes: Indexes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Retrieval]:
    # At its low priority, the background would hardly run on a machine that is busy with other things.
    monkeypatch.setattr(service, "NICE", 0)
    made = Retrieval(indexes, WordReader())
    yield made
    # Its background must not meet the next test, whose workspace has the same name.
    wait_until(lambda: not made._waiting)
