"""The changes of a run and their undoing, bad states first.

Covers `tools.changes.undo`.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.base import ToolError
from tools.changes.log import JOURNAL, RunChanges
from tools.changes.undo import ChangedSince, NotKept, restore
from tools.workspace import Change, Workspace


@pytest.fixture
def changes(tmp_path: Path) -> RunChanges:
    return RunChanges(tmp_path / "kept", 100_000)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "files").mkdir()
    made = Workspace(tmp_path / "files")
    yield made
    made.close()


def contents(workspace: Workspace) -> dict[str, str]:
    return {path.name: path.read_text() for path in workspace.base.iterdir() if path.is_file()}


@pytest.fixture
def changed(workspace: Workspace, changes: RunChanges) -> Workspace:
    """Return a workspace in which a run changed one file twice, removed one, and made one."""
    (workspace.base / "a.txt").write_text("a before")
    (workspace.base / "gone.sh").write_text("gone before")
    (workspace.base / "gone.sh").chmod(0o755)
    (workspace.base / "other.txt").write_text("other")
    tool = workspace.restricted(None, changes.record)
    tool.write("a.txt", b"a between")
    tool.apply((Change(path="a.txt", data=b"a after"), Change(path="new.txt", data=b"new after")))
    tool.apply((Change(path="gone.sh", data=None),))
    return workspace


AFTER = {"a.txt": "a after", "new.txt": "new after", "other.txt": "other"}
BEFORE = {"a.txt": "a before", "gone.sh": "gone before", "other.txt": "other"}


def test_undo_and_redo_restore_all_files_and_may_be_repeated(changed: Workspace, changes: RunChanges) -> None:
    assert contents(changed) == AFTER
    for _ in range(2):
        undone = restore(changed, changes, "undo")
        assert contents(changed) == BEFORE
        assert (changed.base / "gone.sh").stat().st_mode & 0o100
    assert {file.action for file in undone} == {"none"}
    for _ in range(2):
        redone = restore(changed, changes, "redo")
        assert contents(changed) == AFTER
    assert [file.path for file in redone] == ["a.txt", "new.txt", "gone.sh"]
    assert {file.action for file in restore(changed, changes, "undo")} == {"written", "removed"}


@pytest.mark.parametrize("late", ["a.txt", "new.txt", "gone.sh"])
@pytest.mark.parametrize("kind", ["other content", "folder", "missing"])
def test_nothing_is_restored_if_one_file_changed_since(
    changed: Workspace, changes: RunChanges, late: str, kind: str
) -> None:
    path = changed.base / late
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "other content":
        path.write_text("a person's work")
    elif late != "a.txt":
        pytest.skip("a file that is missing is as before, or as the run left it")
    found = contents(changed)
    with pytest.raises(ChangedSince) as refused:
        restore(changed, changes, "undo")
    assert (refused.value.paths, contents(changed)) == ((late,), found)


def test_change_that_a_crash_prevented_is_no_obstacle(changed: Workspace, changes: RunChanges) -> None:
    journal = changes._folder / JOURNAL
    # The line of a change that was not made, and half a line.
    line = json.loads(journal.read_text().splitlines()[1])
    line["before"], line["after"] = line["after"], {"sha256": "0" * 64, "size": 5}
    with journal.open("a") as file:
        file.write(json.dumps(line) + "\n" + '{"path": "oth')
    restore(changed, changes, "undo")
    assert contents(changed) == BEFORE


def test_content_beyond_the_limit_is_named_and_nothing_is_restored(workspace: Workspace, tmp_path: Path) -> None:
    changes = RunChanges(tmp_path / "small", 10)
    tool = workspace.restricted(None, changes.record)
    (workspace.base / "large.txt").write_text("x" * 50)
    tool.write("small.txt", b"small")
    tool.write("large.txt", b"new")
    with pytest.raises(NotKept) as refused:
        restore(workspace, changes, "undo")
    assert (refused.value.paths, contents(workspace)) == (("large.txt",), {"small.txt": "small", "large.txt": "new"})


def test_file_is_not_changed_if_its_content_cannot_be_kept(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    tool = workspace.restricted(None, RunChanges(tmp_path / "blocked", 1_000).record)
    with pytest.raises(ToolError, match="was not changed"):
        tool.write("a.txt", b"a")
    assert contents(workspace) == {}


def test_refused_change_leaves_the_run_without_changes(workspace: Workspace, changes: RunChanges) -> None:
    tool = workspace.restricted(None, changes.record)
    with pytest.raises(ToolError):
        tool.write(".env", b"secret")
    with pytest.raises(ToolError):
        tool.write("missing.txt", b"x", expected_sha256="0" * 64)
    assert changes.files() == ()


def test_kept_contents_are_private(changed: Workspace, changes: RunChanges) -> None:
    files = list(changes._folder.iterdir())
    assert len(files) == 6
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}
    shutil.rmtree(changes._folder)
    assert changes.files() == ()
