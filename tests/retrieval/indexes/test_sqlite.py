"""Indexes in SQLite files: damage, versions and permissions.

Covers `retrieval.indexes.sqlite.folder`, `retrieval.indexes.sqlite.index`, `retrieval.indexes.sqlite.vectors`.
"""

from pathlib import Path

import pytest

from retrieval.base import DocumentError
from retrieval.indexes.sqlite.folder import SqliteIndexes
from retrieval.service import Retrieval
from tests.retrieval.sources import Files, WordReader

WORKSPACE = Path("/workspaces/alice")


@pytest.fixture
def indexes(tmp_path: Path) -> SqliteIndexes:
    return SqliteIndexes(tmp_path / "indexes")


@pytest.fixture
def retrieval(indexes: SqliteIndexes) -> Retrieval:
    return Retrieval(indexes, WordReader())


def paths(retrieval: Retrieval, files: Files, query: str) -> list[str]:
    return [hit.path for hit in retrieval.search(WORKSPACE, files, query, lambda _: True, 10).hits]


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8192, b""])
def test_damaged_index_is_made_again(retrieval: Retrieval, indexes: SqliteIndexes, damage: bytes) -> None:
    files = Files(a__md="some words")
    paths(retrieval, files, "words")
    indexes.path(WORKSPACE).write_bytes(damage)
    assert paths(retrieval, files, "words") == ["a.md"]


def test_damage_in_the_middle_of_an_index_is_repaired(retrieval: Retrieval, indexes: SqliteIndexes) -> None:
    files = Files(**{f"f{n}__md": f"words number {n} " * 40 for n in range(30)})
    paths(retrieval, files, "words")
    with indexes.open(WORKSPACE) as index:
        index.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = indexes.path(WORKSPACE)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xaa" * (len(content) - 4096))
    assert len(paths(retrieval, files, "words")) == 10


def test_index_of_another_version_is_made_again(retrieval: Retrieval, indexes: SqliteIndexes) -> None:
    files = Files(a__md="some words")
    paths(retrieval, files, "words")
    with indexes.open(WORKSPACE) as index:
        index.connection.execute("PRAGMA user_version = 99")
    assert paths(retrieval, files, "words") == ["a.md"]


def test_index_that_cannot_be_opened_or_removed_is_a_sentence(retrieval: Retrieval, indexes: SqliteIndexes) -> None:
    indexes.path(WORKSPACE).mkdir(parents=True)
    with pytest.raises(DocumentError, match="index cannot be"):
        paths(retrieval, Files(a__md="words"), "words")
    with pytest.raises(DocumentError, match="cannot be removed"):
        retrieval.forget(WORKSPACE)


def test_index_is_a_file_of_the_service_only(retrieval: Retrieval, indexes: SqliteIndexes) -> None:
    paths(retrieval, Files(a__md="words"), "words")
    (file,) = indexes.folder.glob("*.db")
    assert [path.stat().st_mode & 0o077 for path in (indexes.folder, file)] == [0, 0]
    retrieval.forget(WORKSPACE)
    assert list(indexes.folder.glob("*.db*")) == []


def test_damaged_index_is_swept_with_those_of_workspaces_that_are_gone(
    retrieval: Retrieval, indexes: SqliteIndexes, tmp_path: Path
) -> None:
    for workspace in (tmp_path, tmp_path / "gone"):
        retrieval.search(workspace, Files(a__md="words"), "words", lambda _: True, 10)
    (indexes.folder / "damaged.db").write_bytes(b"no database at all" * 100)
    assert retrieval.sweep() == 2
    assert list(indexes.folder.glob("*.db")) == [indexes.path(tmp_path)]
