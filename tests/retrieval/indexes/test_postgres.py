"""Indexes in PostgreSQL: their tables, the detection of pgvector, other processes, and faults of the database.

Covers `retrieval.indexes.nearest`, `retrieval.indexes.postgres.database`, `retrieval.indexes.postgres.index`,
`retrieval.indexes.postgres.tables`, `retrieval.indexes.postgres.vectors`, `retrieval.indexes.postgres.words`.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from retrieval.base import DocumentError
from retrieval.indexes.base import IndexDamagedError
from retrieval.indexes.postgres import database
from retrieval.indexes.postgres.database import PostgresIndexes
from retrieval.indexes.postgres.vectors import ByteVectors, PgVectors
from retrieval.service import Hits, Retrieval
from tests.retrieval.conftest import emptied, indexes_at
from tests.retrieval.sources import Files, WordReader
from tests.servers import Postgres, wait_until

WORKSPACE = Path("/workspaces/alice")


@pytest.fixture
def url(plain_database: str) -> str:
    return emptied(plain_database)


@pytest.fixture
def indexes(url: str) -> Iterator[PostgresIndexes]:
    made = indexes_at(url)
    yield made
    made.close()


@pytest.fixture
def retrieval(indexes: PostgresIndexes) -> Retrieval:
    return Retrieval(indexes, WordReader())


def find(retrieval: Retrieval, files: Files, query: str, workspace: Path = WORKSPACE) -> Hits:
    return retrieval.search(workspace, files, query, lambda _: True, 10)


def paths(retrieval: Retrieval, files: Files, query: str) -> list[str]:
    return [hit.path for hit in find(retrieval, files, query).hits]


def rows(postgres: Postgres, url: str) -> dict[str, int]:
    names = ("indexes", "files", "pieces", "vectors")
    return {name: postgres.query(f"SELECT count(*) FROM retrieval_{name}", url=url)[0][0] for name in names}  # noqa: S608


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE retrieval_vectors",
        "DROP TABLE retrieval_indexes CASCADE",
        "ALTER TABLE retrieval_pieces DROP COLUMN words",
        "ALTER TABLE retrieval_vectors ALTER COLUMN data TYPE text",
        "DROP TEXT SEARCH CONFIGURATION retrieval_words",
        "COMMENT ON TABLE retrieval_indexes IS NULL; DROP TABLE retrieval_files",
    ],
)
def test_tables_changed_by_hand_are_made_again(retrieval: Retrieval, postgres: Postgres, url: str, damage: str) -> None:
    files = Files(a__md="buy a car")
    find(retrieval, files, "car")
    for statement in damage.split("; "):
        postgres.query(statement, url=url)
    files.contents["b.md"] = "an automobile"
    assert paths(retrieval, files, "car") == ["a.md", "b.md"]
    assert rows(postgres, url) == {"indexes": 1, "files": 2, "pieces": 2, "vectors": 2}


def test_damage_that_several_notice_is_repaired_once(url: str, postgres: Postgres) -> None:
    first, second = indexes_at(url), indexes_at(url)
    files = Files(a__md="some words")
    for indexes in (first, second):
        find(Retrieval(indexes, WordReader()), files, "words")
    query = "SELECT oid FROM pg_class WHERE relname = 'retrieval_indexes'"
    before = postgres.query(query, url=url)
    with ExitStack() as stack:
        opened = [stack.enter_context(indexes.open(WORKSPACE)) for indexes in (first, first, second)]
        postgres.query("DROP TABLE retrieval_pieces", url=url)
        for index in opened:
            with pytest.raises(psycopg.errors.UndefinedTable):
                index.pieces([1])
    oids = []
    for indexes in (first, first, second, second):
        with suppress(IndexDamagedError), indexes.open(WORKSPACE) as index:
            index.pieces([1])
        indexes.repair(WORKSPACE)
        oids.append(postgres.query(query, url=url))
    assert oids == [oids[0]] * 4 != [before] * 4
    assert paths(Retrieval(second, WordReader()), files, "words") == ["a.md"]
    first.close()
    second.close()


@pytest.mark.parametrize(("mark", "is_made_again"), [("0 bytes", True), ("nonsense", True), ("99 bytes", False)])
def test_tables_of_an_older_version_are_made_again_and_newer_ones_left(
    url: str, postgres: Postgres, mark: str, is_made_again: bool
) -> None:
    first, second = indexes_at(url), indexes_at(url)
    files = Files(a__md="words")
    find(Retrieval(first, WordReader()), files, "words")
    postgres.query(f"COMMENT ON TABLE retrieval_indexes IS '{mark}'", url=url)
    if is_made_again:
        assert paths(Retrieval(second, WordReader()), Files(), "words") == []
        assert rows(postgres, url)["files"] == 0
    else:
        with pytest.raises(DocumentError, match="newer version"):
            find(Retrieval(second, WordReader()), files, "words")
        postgres.query("COMMENT ON TABLE retrieval_indexes IS '0'", url=url)
    first.close()
    second.close()


def test_database_that_cannot_be_used_is_a_sentence_without_its_address(
    monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 0.5)
    refused = postgres.database()
    postgres.query("CREATE ROLE reader LOGIN", url=refused)
    postgres.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC", url=refused)
    for url in ("postgres://nobody@127.0.0.1:9/none", refused.replace("postgres@", "reader@")):
        indexes = indexes_at(url)
        with pytest.raises(DocumentError, match="the database failed") as error:
            find(Retrieval(indexes, WordReader()), Files(a__md="words"), "words")
        assert "127.0.0.1" not in str(error.value)
        with pytest.raises(DocumentError):
            indexes.forget(WORKSPACE)
        indexes.close()


def test_connection_lost_in_the_middle_leaves_a_valid_index_and_no_lock(
    retrieval: Retrieval, postgres: Postgres, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "psycopg.pool")
    files = Files(**{f"f{n}__md": f"words {n}" for n in range(70)})
    read = files.read

    def cut(path: str, max_bytes: int) -> bytes:
        if path == "f40.md":
            files.read = read
            postgres.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                url.rpartition("/")[2],
                url=url,
            )
        return read(path, max_bytes)

    files.read = cut
    with pytest.raises(DocumentError, match="the database failed"):
        find(retrieval, files, "words")
    assert rows(postgres, url)["files"] == 32
    assert len(find(retrieval, files, "words").hits) == 10
    assert retrieval.status(WORKSPACE).totals.files == 70


def test_locks_hold_between_processes_and_end_with_their_connection(url: str, indexes: PostgresIndexes) -> None:
    other = indexes_at(url)
    with indexes.open(WORKSPACE) as index, other.open(WORKSPACE) as same, other.open(Path("/workspaces/bob")) as bob:
        with index.lock("vectors") as held, same.lock("vectors") as refused, bob.lock("vectors") as free:
            assert (held, refused, free) == (True, False, True)
        with same.lock("vectors") as held:
            assert held
            same.connection.close()

            def is_free() -> bool:
                with index.lock("vectors") as after:
                    return after

            # The server may notice it a moment later.
            wait_until(is_free)
    other.close()


def test_index_removed_in_the_middle_of_a_pass_is_a_sentence(retrieval: Retrieval, indexes: PostgresIndexes) -> None:
    files = Files(a__md="words")
    read = files.read

    def remove(path: str, max_bytes: int) -> bytes:
        indexes.forget(WORKSPACE)
        return read(path, max_bytes)

    files.read = remove
    with pytest.raises(DocumentError, match="removed at this moment"):
        find(retrieval, files, "words")
    files.read = read
    assert paths(retrieval, files, "words") == ["a.md"]


def test_forgotten_index_leaves_no_row_and_others_keep_theirs(
    retrieval: Retrieval, postgres: Postgres, url: str
) -> None:
    for name in ("alice", "bob"):
        find(retrieval, Files(a__md=f"words of {name}", b__md="words"), "words", Path("/workspaces", name))
    retrieval.forget(WORKSPACE)
    assert rows(postgres, url) == {"indexes": 1, "files": 2, "pieces": 2, "vectors": 2}
    assert find(retrieval, Files(), "alice").hits == []


def test_workspace_of_another_machine_is_not_swept(retrieval: Retrieval, tmp_path: Path) -> None:
    # The folder around it does not exist here, so nothing is known about it.
    elsewhere = tmp_path / "not mounted" / "alice"
    for workspace in (elsewhere, tmp_path / "gone"):
        find(retrieval, Files(a__md="words"), "words", workspace)
    assert retrieval.sweep() == 1
    assert retrieval.status(elsewhere).totals.files == 1


def test_long_and_odd_paths_of_workspaces_and_files_have_an_index(retrieval: Retrieval) -> None:
    workspace = Path("/" + "/".join(["d" * 250] * 15), "\udcff 'x' \"y\"")
    files = Files()
    files.contents = {"/".join(["n" * 250] * 15) + ".md": "words", "it's \\ %s.md": "words"}
    assert {hit.path for hit in find(retrieval, files, "words", workspace).hits} == set(files.contents)


@pytest.mark.parametrize("database_of", ["plain_database", "vector_database"])
def test_vectors_are_compared_by_pgvector_if_the_database_has_it(
    request: pytest.FixtureRequest, database_of: str
) -> None:
    workspace = Path("/workspaces/compared")
    indexes = indexes_at(emptied(request.getfixturevalue(database_of)))
    retrieval = Retrieval(indexes, WordReader())
    files = Files(**{f"f{n}__md": f"text {n}" for n in range(20)}, a__md="buy a car", b__md="an automobile")
    files.contents["long.md"] = "\n\n".join(f"car {'x' * 600}" for _ in range(20))
    assert retrieval.update(workspace, files)
    with indexes.open(workspace) as index:
        assert isinstance(index.vectors, PgVectors if database_of == "vector_database" else ByteVectors)
        by_path = {file.path: file for file in index.files().values()}
        (query,) = WordReader().vectors(["car"])
        nearest = index.vectors.nearest(query, [by_path["b.md"].id, by_path["f1.md"].id], 5)
        assert nearest == [by_path["b.md"].id * 4096]
        ids = [file.id for file in by_path.values()]
        assert len(index.vectors.nearest(query, ids, 100)) == 22
        # Negative bytes, and vectors of other dimensions, which an index of another model may have left behind.
        assert index.vectors.nearest(bytes(256 - each if each else 0 for each in query), ids, 5) == []
        assert index.vectors.nearest(query[:100], ids, 5) == []
    indexes.close()


def test_extension_that_comes_or_goes_changes_the_tables(postgres: Postgres, vector_database: str) -> None:
    url = postgres.database()
    files = Files(a__md="buy a car", b__md="an automobile")
    for statement in ("SELECT 1", "CREATE EXTENSION vector", "DROP EXTENSION vector CASCADE"):
        postgres.query(statement, url=url)
        indexes = indexes_at(url)
        assert paths(Retrieval(indexes, WordReader()), files, "car")[:2] == ["a.md", "b.md"], statement
        indexes.close()
    # The same while a process runs.
    indexes = indexes_at(url)
    retrieval = Retrieval(indexes, WordReader())
    find(retrieval, files, "car")
    for number, statement in enumerate(("CREATE EXTENSION vector", "DROP EXTENSION vector CASCADE")):
        postgres.query(statement, url=url)
        files.contents[f"{number}.md"] = "another automobile"
        assert len(paths(retrieval, files, "car")) == 3 + number
    indexes.close()


def test_extension_that_the_role_may_not_use_is_left_alone(postgres: Postgres, vector_database: str) -> None:
    url = postgres.database()
    for statement in (
        "CREATE SCHEMA hidden",
        "CREATE EXTENSION vector SCHEMA hidden",
        "CREATE ROLE other LOGIN",
        "GRANT CREATE ON SCHEMA public TO other",
    ):
        postgres.query(statement, url=url)
    indexes = indexes_at(url.replace("postgres@", "other@"))
    assert paths(Retrieval(indexes, WordReader()), Files(a__md="an automobile"), "car") == ["a.md"]
    with indexes.open(WORKSPACE) as index:
        assert isinstance(index.vectors, ByteVectors)
    indexes.close()


def test_searches_beyond_the_connections_wait_for_one(postgres: Postgres) -> None:
    url = postgres.database()
    indexes = indexes_at(url)
    retrieval, files = Retrieval(indexes, WordReader()), Files(a__md="words")
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(paths(retrieval, files, "words"))) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
    ((count,),) = postgres.query(query, url.rpartition("/")[2])
    indexes.close()
    assert found == [["a.md"]] * 24
    assert 1 <= count <= database.MAX_CONNECTIONS


def test_defaults_of_a_database_do_not_matter(postgres: Postgres) -> None:
    url = postgres.database()
    for setting, value in (
        ("bytea_output", "escape"),
        ("standard_conforming_strings", "off"),
        ("default_transaction_isolation", "serializable"),
        ("default_text_search_config", "pg_catalog.german"),
    ):
        postgres.query(f"ALTER DATABASE {url.rpartition('/')[2]} SET {setting} = '{value}'")
    indexes = indexes_at(url)
    assert paths(Retrieval(indexes, WordReader()), Files(a__md="running cars"), "run car") == ["a.md"]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT words FROM retrieval_pieces").fetchone() == (
            "'@1' 'a':1 'car':4 'md':2 'run':3",
        )
    indexes.close()
