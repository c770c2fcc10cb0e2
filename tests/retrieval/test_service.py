"""Searches in an index: what is found, how the index follows the files, and what survives damage.

Covers `retrieval.ranking`, `retrieval.service`, `retrieval.updating`, and `retrieval.indexes` with each database.
"""

import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from retrieval import updating
from retrieval.base import Piece
from retrieval.indexes.base import Indexes, piece_numbers
from retrieval.service import Hits, Retrieval
from spending.accounts import Payer
from tests.retrieval.sources import Files, WordReader
from tests.servers import wait_until

WORKSPACE = Path("/workspaces/alice")


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


def test_without_a_model_words_are_searched_and_the_result_says_so(indexes: Indexes) -> None:
    retrieval = Retrieval(indexes, WordReader("no model is installed"))
    found = find(retrieval, Files(a__md="buy a car", b__md="an automobile"), "car")
    assert [hit.path for hit in found.hits] == ["a.md"]
    assert (found.by_vectors, found.missing) == (False, "Only words are searched: no model is installed.")


def test_indexes_of_workspaces_are_apart(retrieval: Retrieval) -> None:
    find(retrieval, Files(secret__md="the password of alice"), "password")
    bob = find(retrieval, Files(), "password", Path("/workspaces/bob"))
    assert bob.hits == []


def test_vectors_of_a_replaced_file_or_out_of_turn_are_not_kept(retrieval: Retrieval) -> None:
    files = Files(a__md="old words")
    find(retrieval, files, "words")
    with retrieval.indexes.open(WORKSPACE) as index:
        (old,) = index.files().values()
    files.contents["a.md"] = "new words!"
    find(retrieval, files, "words")
    with retrieval.indexes.open(WORKSPACE) as index:
        (new,) = index.files().values()
        for first in (piece_numbers(old.id, 1)[0], piece_numbers(new.id, 1)[0], piece_numbers(new.id, 8)[7]):
            index.vectors.add(first, [b"\1" * 384])
        assert (index.totals().pieces, index.totals().embedded) == (1, 1)
        assert index.vectors.nearest(b"\1" * 384, [new.id], 5) == []


def test_search_waits_for_another_pass_only_as_long_as_it_may(retrieval: Retrieval) -> None:
    files = Files(a__md="words")
    files.left = 0
    with retrieval.indexes.open(WORKSPACE) as index, index.lock("words") as held:
        assert held
        with index.lock("vectors") as other:
            assert other
        assert find(retrieval, files, "words").missing.startswith("The index is not complete")
    files.left = 100
    assert paths(retrieval, files, "words") == ["a.md"]


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
    # Its low priority makes it slow on a busy machine: the next test must not meet it.
    wait_until(lambda: not retrieval.status(WORKSPACE).running)


def test_background_survives_a_workspace_that_fails(retrieval: Retrieval) -> None:
    bob = Path("/workspaces/bob")

    def broken() -> Files:
        raise ZeroDivisionError("a fault")

    retrieval.finish_later(WORKSPACE, broken)
    retrieval.finish_later(bob, lambda: Files(a__md="words"))
    wait_until(lambda: not retrieval.status(bob).running)
    assert retrieval.status(bob).totals.embedded == 1


def test_index_of_a_workspace_that_is_gone_is_swept(retrieval: Retrieval, tmp_path: Path) -> None:
    for workspace in (tmp_path, tmp_path / "gone"):
        find(retrieval, Files(a__md="words"), "words", workspace)
    assert retrieval.sweep() == 1
    assert retrieval.status(tmp_path).totals.files == 1
    assert retrieval.status(tmp_path / "gone").totals.files == 0


def test_forgotten_index_is_gone(retrieval: Retrieval) -> None:
    find(retrieval, Files(a__md="words"), "words")
    find(retrieval, Files(b__md="words"), "words", Path("/workspaces/bob"))
    retrieval.forget(WORKSPACE)
    assert retrieval.status(WORKSPACE).totals.pieces == 0
    assert paths(retrieval, Files(), "words") == []
    assert retrieval.status(Path("/workspaces/bob")).totals.embedded == 1


def test_text_with_what_a_database_cannot_hold_is_found(retrieval: Retrieval, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Piece(first=1, last=1, title="a\0b \ud800", text="odd \0 words \udfff")
    monkeypatch.setattr(retrieval.reader, "pieces", lambda *_: [odd])
    (hit,) = find(retrieval, Files(a__md="x"), "odd words").hits
    assert (hit.title, hit.text) == ("a\ufffdb ?", "odd \ufffd words ?")


def test_query_of_many_or_long_words_is_bounded(retrieval: Retrieval) -> None:
    files = Files(a__md="plain words")
    many = "plain " + " ".join(f"word{n}" for n in range(10_000))
    for query in (many, "plain " + "w" * 100_000, "plain " + "\U0001d552" * 3_000, "plain " * 10_000):
        assert paths(retrieval, files, query) == ["a.md"]


@pytest.mark.parametrize(
    "query",
    [
        "running",
        "RUN",
        "caf\u00e9",
        "cafe",
        "os.path.join",
        "join",
        "snake",
        "snake_case",
        "to be or not",
        "\u4e2d\u6587",
        "3d",
    ],
)
def test_words_are_found_in_any_form_and_place(retrieval: Retrieval, query: str) -> None:
    text = "He runs to a cafe\u0301, or is not to be found.\nos.path.join(snake_case) \u4e2d\u6587 3D"
    files = Files(a__md=text, b__md="another text")
    retrieval.reader.missing = "no model"
    assert paths(retrieval, files, query)[0] == "a.md"


def test_rare_words_and_titles_count_more(retrieval: Retrieval) -> None:
    retrieval.reader.missing = "no model"
    files = Files(
        **{f"f{n}__md": "common text" for n in range(20)}, rare__md="common plover", title__md="# Plover\n\ncommon"
    )
    assert paths(retrieval, files, "common plover")[:2] == ["title.md", "rare.md"]


def test_only_accepted_files_are_found_even_among_many_better_ones(retrieval: Retrieval) -> None:
    files = Files(**{f"f{n}__md": "plover" for n in range(150)}, wanted__md="a longer text about a plover")
    found = retrieval.search(WORKSPACE, files, "plover", lambda file: file.path == "wanted.md", 10)
    assert [hit.path for hit in found.hits] == ["wanted.md"]


def test_passes_at_the_same_time_leave_one_valid_index(indexes: Indexes) -> None:
    files = Files(**{f"f{n}__md": f"words {n}" for n in range(80)})
    done: list[Hits] = []

    def work(part: int) -> None:
        own = Files()
        own.contents = {name: f"{text!s} {part % 2}" for name, text in files.contents.items()}
        own.time = part
        done.append(Retrieval(indexes, WordReader()).search(WORKSPACE, own, "words", lambda _: True, 50))

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(found.hits) for found in done] == [50] * 4
    retrieval = Retrieval(indexes, WordReader())
    retrieval.update(WORKSPACE, files)
    totals = retrieval.status(WORKSPACE).totals
    assert (totals.files, totals.pieces, totals.embedded) == (80, 80, 80)
