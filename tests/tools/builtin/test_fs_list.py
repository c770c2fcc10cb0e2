"""`fs.list`: entries, their order, and bounds.

Covers `tools.workspace.walking`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.base import ToolError
from tools.builtin import fs
from tools.workspace import Limits, Workspace
from tools.workspace.confinement.opening import Opener


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for folder in ("src/deep", "docs", ".git", "src/.git"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("b.txt", "a.py", "src/c.py", "src/deep/d.py", "docs/e.md", ".git/config", "src/.git/config", ".env"):
        (tmp_path / file).write_text(file)
    (tmp_path / "link").symlink_to("src")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.fixture
def workspace(base: Path, opener: Opener) -> Iterator[Workspace]:
    workspace = Workspace(base, opener=opener)
    yield workspace
    workspace.close()


def paths(result: fs.ListResult) -> list[str]:
    return [entry.path for entry in result.entries]


@pytest.mark.parametrize("path", ["missing", "../", "/etc", ".git", "src/.git", "", "a\0", "a.py/x"])
async def test_path_that_is_not_a_workspace_folder_is_rejected(path: str, workspace: Workspace) -> None:
    with pytest.raises(ToolError):
        await fs.list_(workspace, path=path)


async def test_invalid_glob_is_rejected(workspace: Workspace) -> None:
    with pytest.raises(ToolError) as refusal:
        await fs.list_(workspace, glob="{a")
    assert refusal.value.code == "invalid_params"


async def test_listing_is_sorted_and_omits_git(workspace: Workspace) -> None:
    result = await fs.list_(workspace)
    assert [(entry.path, entry.type) for entry in result.entries] == [
        (".env", "file"),
        ("a.py", "file"),
        ("b.txt", "file"),
        ("docs", "directory"),
        ("fifo", "other"),
        ("link", "symlink"),
        ("src", "directory"),
    ]
    assert result.truncated is False


async def test_folders_are_followed_by_their_contents(workspace: Workspace) -> None:
    result = await fs.list_(workspace, path="src", recursive=True)
    assert paths(result) == ["src/c.py", "src/deep", "src/deep/d.py"]


async def test_folder_behind_a_link_is_listed_under_its_own_path(workspace: Workspace) -> None:
    assert paths(await fs.list_(workspace, path="link")) == ["src/c.py", "src/deep"]


async def test_path_of_a_file_lists_that_file(workspace: Workspace, base: Path) -> None:
    os.utime(base / "a.py", ns=(0, 1_700_000_000_123_456_789))
    result = await fs.list_(workspace, path="a.py")
    assert result.entries == [
        fs.ListedEntry(path="a.py", type="file", size=4, modified="2023-11-14T22:13:20.123Z"),
    ]


@pytest.mark.parametrize(
    ("glob", "recursive", "expected"),
    [
        ("*.py", False, ["a.py"]),
        ("*.py", True, ["a.py", "src/c.py", "src/deep/d.py"]),
        ("**/*.py", False, ["a.py", "src/c.py", "src/deep/d.py"]),
        ("src/*", False, ["src/c.py", "src/deep"]),
        ("*.{md,txt}", True, ["b.txt", "docs/e.md"]),
        ("nothing", True, []),
    ],
)
async def test_glob_narrows_the_listing(
    glob: str, expected: list[str], workspace: Workspace, *, recursive: bool
) -> None:
    result = await fs.list_(workspace, glob=glob, recursive=recursive)
    assert paths(result) == expected
    assert result.truncated is False


async def test_glob_is_relative_to_the_path(workspace: Workspace) -> None:
    assert paths(await fs.list_(workspace, path="src", glob="deep/*.py")) == ["src/deep/d.py"]


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        (Limits(max_entries=3), 3),
        (Limits(max_walked=8), 7),
        (Limits(max_seconds=0), 0),
        (Limits(max_path_depth=1), 7),
    ],
    ids=["entries", "walked", "seconds", "depth"],
)
async def test_listing_that_exceeds_a_bound_is_marked_truncated(limits: Limits, count: int, base: Path) -> None:
    result = await fs.list_(Workspace(base, limits=limits), recursive=True)
    assert result.truncated is True
    assert len(result.entries) == count


async def test_listing_of_exactly_the_bound_is_not_truncated(base: Path) -> None:
    result = await fs.list_(Workspace(base, limits=Limits(max_entries=2)), path="src")
    assert (len(result.entries), result.truncated) == (2, False)


async def test_time_outside_the_calendar_is_clamped(workspace: Workspace, base: Path) -> None:
    far = workspace.entry("a.py")
    for modified, expected in (
        (2**62 * 1000, "9999-12-31T23:59:59.999Z"),
        (-(2**62) * 1000, "0001-01-01T00:00:00.000Z"),
    ):
        entry = type(far)(parts=far.parts, type=far.type, size=0, modified_ns=modified)
        assert fs._listed(entry).modified == expected
    os.utime(base / "a.py", (0, -1))
    assert (await fs.list_(workspace, path="a.py")).entries[0].modified == "1969-12-31T23:59:59.000Z"
