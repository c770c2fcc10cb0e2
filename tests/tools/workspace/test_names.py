"""Names of files that are not UTF-8, or whose accents are composed in another way."""

import os
from pathlib import Path

import pytest

from tools.builtin import fs
from tools.workspace import Workspace

NFC, NFD = "caf\u00e9.txt", "cafe\u0301.txt"
RAW = [
    b"lat\xe9.txt",
    b"lat\\xe9.txt",
    b"a\\x5cb",
    b"\xff\\\xfe",
    "日本.txt".encode(),
    b"plain\\name",
    b"\xe9/\xc3\xa9",
]


def write_raw(folder: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(name)


async def test_listed_name_is_read_back(workspace: Workspace, tmp_path: Path) -> None:
    for name in RAW:
        write_raw(tmp_path, name)
    listed = [entry.path for entry in (await fs.list_(workspace, recursive=True)).entries if entry.type == "file"]
    assert len(set(listed)) == len(RAW)
    assert sorted([workspace.read_bytes(path) for path in listed]) == sorted(RAW)
    found = (await fs.search(workspace, pattern="^lat")).matches
    assert [workspace.read_bytes(match.path)[:3] for match in found] == [b"lat", b"lat"]


@pytest.mark.parametrize(("on_disk", "asked"), [(NFC, NFD), (NFD, NFC)])
async def test_composed_and_decomposed_names_find_each_other(
    workspace: Workspace, tmp_path: Path, on_disk: str, asked: str
) -> None:
    (tmp_path / f"d-{on_disk}").mkdir()
    (tmp_path / f"d-{on_disk}" / on_disk).write_text("x")
    assert workspace.read_bytes(f"d-{asked}/{asked}") == b"x"
    workspace.write(f"d-{asked}/{asked}", b"y")
    assert [path.read_text() for path in (tmp_path / f"d-{on_disk}").iterdir()] == ["y"]
    listed = await fs.list_(workspace, glob=f"**/{asked}")
    assert [entry.path for entry in listed.entries] == [f"d-{on_disk}/{on_disk}"]


def test_both_forms_beside_each_other_stay_two_files(workspace: Workspace, tmp_path: Path) -> None:
    for name in (NFC, NFD):
        (tmp_path / name).write_text(name)
    for name in (NFC, NFD):
        assert workspace.read_bytes(name).decode() == name


def test_escaped_name_of_a_secret_is_still_a_secret(workspace: Workspace) -> None:
    with pytest.raises(Exception, match="name of a secret"):
        workspace.read_bytes(".env\\xe9")
