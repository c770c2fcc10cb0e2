"""The folders of a workspace into which repositories were cloned."""

import os
from pathlib import Path

import pytest

from tools.base import ToolError
from tools.workspace.foreign import MAX_FOLDERS, ForeignFolders


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "base" / "deep" / "site").mkdir(parents=True)
    return tmp_path / "base"


@pytest.mark.parametrize(
    ("path", "is_foreign"),
    [
        ("deep/site", True),
        ("deep/site/README.md", True),
        # What is above the folder shows what is in it.
        ("deep", True),
        (".", True),
        ("deep/site2", False),
        ("deep/sit", False),
        ("other", False),
        ("site", False),
    ],
)
def test_path_overlaps_the_folders_above_and_below_it(base: Path, path: str, is_foreign: bool) -> None:
    folders = ForeignFolders(base)
    assert not folders.overlaps([path])
    folders.add("deep/site")
    assert folders.overlaps(["other", path]) is is_foreign


def test_other_process_and_later_start_know_the_folders(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "private" / "list"
    one, other = ForeignFolders(base, file), ForeignFolders(base, file)
    assert not other.overlaps(["."])
    for name in ("deep/site", "line\nend", "half\ud800", "deep/site"):
        one.add(name)
    assert other.overlaps(["deep/site/a"])
    assert ForeignFolders(base, file).overlaps(["deep/site/a"])
    assert len(file.read_text().splitlines()) == 3
    assert not other.overlaps(["line"])


def test_folder_whose_name_is_not_utf8_is_found(base: Path) -> None:
    Path(os.fsdecode(os.fsencode(base) + b"/caf\xe9")).mkdir()
    folders = ForeignFolders(base)
    folders.add("caf\\xe9")
    assert folders.overlaps(["caf\\xe9/a"])


def test_forgotten_folders_leave_no_file(base: Path, tmp_path: Path) -> None:
    folders = ForeignFolders(base, tmp_path / "list")
    folders.forget()
    folders.add("deep/site")
    folders.forget()
    assert not folders.overlaps(["."])
    assert not (tmp_path / "list").exists()


def test_removed_folder_is_not_foreign_any_more(base: Path) -> None:
    folders = ForeignFolders(base)
    folders.add("deep/site")
    (base / "deep" / "site").rmdir()
    assert not folders.overlaps(["."])


@pytest.mark.parametrize("line", [b'"deep/si', b"\xff\xfe", b"{", b""])
def test_line_that_cannot_be_read_makes_everything_foreign(base: Path, tmp_path: Path, line: bytes) -> None:
    (tmp_path / "list").write_bytes(line + b"\n")
    assert ForeignFolders(base, tmp_path / "list").overlaps(["other"])


def test_too_many_folders_make_everything_foreign(base: Path, tmp_path: Path) -> None:
    folders = ForeignFolders(base, tmp_path / "list")
    for number in range(MAX_FOLDERS):
        folders.add(f"gone-{number}")
    assert not folders.overlaps(["other"])
    folders.add("one-more")
    folders.add("and-another")
    assert folders.overlaps(["other"])
    assert len((tmp_path / "list").read_text().splitlines()) == MAX_FOLDERS + 1


def test_folder_that_cannot_be_stored_is_not_cloned_into(base: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folders = ForeignFolders(base, tmp_path / "file" / "list")
    with pytest.raises(ToolError, match="cannot be used"):
        folders.add("site")
    assert folders.overlaps(["other"])
