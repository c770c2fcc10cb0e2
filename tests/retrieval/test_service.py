"""Searches in an index: what is found, how the index follows the files, and what survives damage.

Covers `retrieval.index_file`, `retrieval.ranking`, `retrieval.service`, `retrieval.updating`.
"""

import sqlite3
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from retrieval import updating
from retrieval.base import DocumentError
from retrieval.index_file import IndexFile, index_path, lock
from retrieval.service import Hits, Retrieval
from spending.accounts import Payer
from tests.retrieval.sources import Files, WordReader

WORKSPACE = Path("/workspaces/alice")


@pytest.fixture
def retrieval(tmp_path: Path) -> Retrieval:
    return Retrieval(tmp_path / "indexes", WordReader())


def find(retrieval: Retrieval, files: Files, query: str, workspace: Path = WORKSPACE) -> Hits:
    return retrieval.search(workspace, files, query, lambda _: True, 10)


def paths(retrieval: Retrieval, files: Files, query: str) -> list[str]:
    return [hit.path for hit in find(retrieval, files, query).hits]


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "a AND",
        "NEAR(a, b)",
        "path:secret",
        "* OR *",
        "a\0b",
        "-",
        "((",
        "'; DROP TABLE files; --",
        "é" * 900,
        "?!",
    ],
)
def test_query_is_never_an_expression(retrieval: Retrieval, query: str) -> None:
    files = Files(a__md="plain words")
    find(retrieval, files, query)
    assert paths(retrieval, files, "plain") == ["a.md"]


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8192, b""])
def test_damaged_index_is_made_again(retrieval: Retrieval, damage: bytes) -> None:
    files = Files(a__md="some words")
    find(retrieval, files, "words")
    index_path(retrieval.folder, WORKSPACE).write_bytes(damage)
    assert paths(retrieval, files, "words") == ["a.md"]


def test_damage_in_the_middle_of_an_index_is_repaired(retrieval: Retrieval) -> None:
    files = Files(**{f"f{n}__md": f"words number {n} " * 40 for n in range(30)})
    find(retrieval, files, "words")
    path = index_path(retrieval.folder, WORKSPACE)
    with IndexFile(path) as index:
        index.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xaa" * (len(content) - 4096))
    assert len(paths(retrieval, files, "words")) == 10


def test_index_of_another_version_is_made_again(retrieval: Retrieval) -> None:
    files = Files(a__md="some words")
    find(retrieval, files, "words")
    with IndexFile(index_path(retrieval.folder, WORKSPACE)) as index:
        index.connection.execute("PRAGMA user_version = 99")
    assert paths(retrieval, files, "words") == ["a.md"]


def test_index_that_cannot_be_opened_is_a_sentence(retrieval: Retrieval) -> None:
    index_path(retrieval.folder, WORKSPACE).mkdir(parents=True)
    with pytest.raises(DocumentError, match="index cannot be"):
        find(retrieval, Files(a__md="words"), "words")


def test_file_that_cannot_be_read_is_skipped_and_counted(retrieval: Retrieval) -> None:
    files = Files(
        ok__md="words", binary__bin=b"\0words", huge__txt=b"w" * (3 * 2**20), bad__pdf=b"%PDF-no", late__md=b"x"
    )
    files.gone = {"bad.pdf", "late.md"}
    assert paths(retrieval, files, "words") == ["ok.md"]
    totals = retrieval.status(WORKSPACE).totals
    assert (totals.files, totals.skipped) == (1, 4)


def test_pass_that_dies_leaves_a_valid_index(retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "FILES_A_COMMIT", 2)
    files = Files(**{f"f{n}__md": f"words {n}" for n in range(6)})
    read = files.read

    def broken(path: str, max_bytes: int) -> bytes:
        if path == "f3.md":
            raise ZeroDivisionError
        return read(path, max_bytes)

    files.read = broken
    with pytest.raises(ZeroDivisionError):
        find(retrieval, files, "words")
    assert retrieval.status(WORKSPACE).totals.files == 2
    files.read = read
    assert len(paths(retrieval, files, "words")) == 6


def test_search_says_what_is_missing_when_its_time_is_over(retrieval: Retrieval) -> None:
    files = Files(**{f"f{n}__md": f"words {n}" for n in range(6)})
    files.left = 3
    assert "3 files are in it so far" in find(retrieval, files, "words").missing
    files.left = 1_000
    found = find(retrieval, files, "words")
    assert (len(found.hits), found.missing) == (6, "")


def test_full_index_is_searched_and_says_so(retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "MAX_PIECES", 2)
    found = find(retrieval, Files(a="words", b="words", c="words"), "words")
    assert len(found.hits) == 2
    assert "exceeds the limits" in found.missing


def test_incomplete_listing_removes_nothing(retrieval: Retrieval) -> None:
    files = Files(a__md="words", b__md="words")
    find(retrieval, files, "words")
    del files.contents["b.md"]
    files.complete = False
    assert len(paths(retrieval, files, "words")) == 2
    files.complete = True
    assert paths(retrieval, files, "words") == ["a.md"]


def test_only_changed_content_is_read_again(retrieval: Retrieval) -> None:
    files = Files(a__md="old words", b__md="more words")
    find(retrieval, files, "words")
    files.time = 2
    find(retrieval, files, "words")
    assert retrieval.reader.calls == 2
    files.contents["a.md"] = "new words!"
    assert paths(retrieval, files, "old") == []
    assert paths(retrieval, files, "new") == ["a.md"]
    assert retrieval.reader.calls == 3


def test_unchanged_files_are_not_opened(retrieval: Retrieval) -> None:
    files = Files(a__md="words")
    find(retrieval, files, "words")
    files.read = lambda *_: pytest.fail("it was opened")
    assert paths(retrieval, files, "words") == ["a.md"]


def test_words_and_meanings_are_both_found(retrieval: Retrieval) -> None:
    files = Files(a__md="buy a car", b__md="an automobile", c__md="weather today")
    assert paths(retrieval, files, "car")[:2] == ["a.md", "b.md"]
    assert find(retrieval, files, "car").by_vectors


def test_without_a_model_words_are_searched_and_the_result_says_so(tmp_path: Path) -> None:
    retrieval = Retrieval(tmp_path, WordReader("no model is installed"))
    found = find(retrieval, Files(a__md="buy a car", b__md="an automobile"), "car")
    assert [hit.path for hit in found.hits] == ["a.md"]
    assert (found.by_vectors, found.missing) == (False, "Only words are searched: no model is installed.")


def test_indexes_of_workspaces_are_apart(retrieval: Retrieval) -> None:
    find(retrieval, Files(secret__md="the password of alice"), "password")
    bob = find(retrieval, Files(), "password", Path("/workspaces/bob"))
    assert bob.hits == []
    assert len(list(retrieval.folder.glob("*.db"))) == 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in [retrieval.folder, *retrieval.folder.glob("*.db")])


def test_vectors_of_a_replaced_file_are_not_kept(retrieval: Retrieval) -> None:
    files = Files(a__md="old words")
    find(retrieval, files, "words")
    with IndexFile(index_path(retrieval.folder, WORKSPACE)) as index:
        (old,) = index.files().values()
        files.contents["a.md"] = "new words!"
        find(retrieval, files, "words")
        index.add_vectors(old.id, [b"\1" * 384])
        (count,) = index.connection.execute("SELECT count(*) FROM vectors").fetchone()
    assert count == 1


def test_search_waits_for_another_pass_only_as_long_as_it_may(retrieval: Retrieval) -> None:
    path = index_path(retrieval.folder, WORKSPACE)
    files = Files(a__md="words")
    files.left = 0
    with lock(path, "words") as held:
        assert held
        assert find(retrieval, files, "words").missing.startswith("The index is not complete")


def test_what_a_search_leaves_over_is_finished_in_the_background(
    retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(**{f"f{n}__md": f"words {n}" for n in range(60)})
    assert "of 60 pieces have vectors so far" in find(retrieval, files, "words").missing
    done = threading.Event()
    update = retrieval.update
    payers: list[Payer] = []

    def noted(*args: Any, payer: Payer) -> bool:
        payers.append(payer)
        return update(*args, payer=payer) and (done.set() or True)

    monkeypatch.setattr(retrieval, "update", noted)
    retrieval.finish_later(WORKSPACE, lambda: files, Payer(owner="user:1", key="7", run_id=uuid4(), session_id=uuid4()))
    assert done.wait(10)
    # The run that searched may be over.
    assert set(payers) == {Payer(owner="user:1", key="7")}
    assert retrieval.status(WORKSPACE).totals.embedded == 60


def test_background_survives_a_workspace_that_fails(retrieval: Retrieval) -> None:
    done = threading.Event()

    def broken() -> Files:
        raise sqlite3.ProgrammingError("a fault")

    def good() -> Files:
        done.set()
        return Files()

    retrieval.finish_later(WORKSPACE, broken)
    retrieval.finish_later(Path("/workspaces/bob"), good)
    assert done.wait(10)


def test_index_of_a_workspace_that_is_gone_is_swept(retrieval: Retrieval, tmp_path: Path) -> None:
    find(retrieval, Files(a__md="words"), "words", tmp_path)
    find(retrieval, Files(a__md="words"), "words", tmp_path / "gone")
    assert retrieval.sweep() == 1
    assert [path.name for path in retrieval.folder.glob("*.db")] == [index_path(Path(), tmp_path).name]


def test_forgotten_index_is_gone(retrieval: Retrieval) -> None:
    find(retrieval, Files(a__md="words"), "words")
    retrieval.forget(WORKSPACE)
    assert list(retrieval.folder.glob("*.db*")) == []
