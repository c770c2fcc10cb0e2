"""Atomic writes: complete or not at all, with modes kept, and never over unexpected content.

Covers `tools.workspace.batch`.
"""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.base import ToolError
from tools.workspace import Change, Deadline, Limits, SecretNames, Workspace
from tools.workspace.confinement.opening import Opener

ROOT = Path(__file__).resolve().parents[3]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal_of(workspace: Workspace, *changes: Change) -> ToolError:
    with pytest.raises(ToolError) as refusal:
        workspace.apply(changes)
    return refusal.value


def test_content_over_the_limit_is_rejected(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, limits=Limits(max_write_bytes=3))
    assert refusal_of(workspace, Change(path="new/a", data=b"1234")).code == "too_large"
    assert names(tmp_path) == []


def test_create_only_rejects_an_existing_file(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    assert refusal_of(workspace, Change(path="a", data=b"new", create_only=True)).code == "conflict"
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_create_only_rejects_a_file_that_appears_at_the_last_moment(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def late(*names: str, **folders: int) -> None:
        (tmp_path / "a").write_bytes(b"theirs")
        link(*names, **folders)

    monkeypatch.setattr(os, "link", late)
    assert refusal_of(workspace, Change(path="a", data=b"new", create_only=True)).code == "conflict"
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


def test_unexpected_content_is_a_conflict_that_names_its_hash(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"theirs")
    refusal = refusal_of(workspace, Change(path="a", data=b"new", expected_sha256=sha256(b"mine")))
    assert refusal.code == "conflict"
    assert sha256(b"theirs") in str(refusal)
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert names(tmp_path) == ["a"]


def test_expected_content_of_a_missing_file_creates_no_folder(workspace: Workspace, tmp_path: Path) -> None:
    assert refusal_of(workspace, Change(path="x/a", data=b"new", expected_sha256=sha256(b""))).code == "not_found"
    assert names(tmp_path) == []


def test_file_too_large_to_hash_cannot_be_expected(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    workspace = Workspace(tmp_path, limits=Limits(max_hash_bytes=2))
    refusal = refusal_of(workspace, Change(path="a", data=b"new", expected_sha256=sha256(b"old")))
    assert refusal.code == "too_large"
    assert (tmp_path / "a").read_bytes() == b"old"


def test_change_between_read_and_rename_is_a_conflict(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    fsync = os.fsync

    def meanwhile(handle: int) -> None:
        fsync(handle)
        (tmp_path / "a").write_bytes(b"theirs")

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert refusal_of(workspace, Change(path="a", data=b"new", expected_sha256=sha256(b"old"))).code == "conflict"
    assert (tmp_path / "a").read_bytes() == b"theirs"


def test_link_that_appears_before_the_rename_is_a_conflict(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").write_bytes(b"old")
    fsync = os.fsync

    def meanwhile(handle: int) -> None:
        fsync(handle)
        if not (tmp_path / "a").is_symlink():
            (tmp_path / "a").symlink_to("target")

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert refusal_of(workspace, Change(path="a", data=b"new")).code == "conflict"
    assert (tmp_path / "target").read_bytes() == b"old"


@pytest.mark.parametrize("path", [".", "./", "folder", "folder/", "file/below", "fifo"])
def test_only_a_regular_file_can_be_written(path: str, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"old")
    os.mkfifo(tmp_path / "fifo")
    assert refusal_of(workspace, Change(path=path, data=b"new")).code in {"not_allowed", "not_found"}
    assert names(tmp_path) == ["fifo", "file", "folder"]


def test_read_only_file_is_not_replaced(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o444)
    assert refusal_of(workspace, Change(path="a", data=b"new")).code == "not_allowed"
    assert (tmp_path / "a").read_bytes() == b"old"


def test_names_that_only_resemble_secrets_are_written(workspace: Workspace) -> None:
    for path in (".env.example", "docs/.env.sample", "id_rsa.pub", "environment.py", "keyboard.txt"):
        assert workspace.write(path, b"x").created


def test_patterns_of_secret_names_are_configurable(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, secret_names=SecretNames(patterns=("*.token",), exempt=()))
    workspace.write(".env", b"now allowed")
    with pytest.raises(ToolError):
        workspace.write("a.TOKEN", b"")
    assert Workspace(tmp_path, secret_names=SecretNames(patterns=())).write("a.token", b"").created


def test_full_disk_leaves_the_old_file_intact(tmp_path: Path, opener: Opener) -> None:
    mount, umount = shutil.which("mount"), shutil.which("umount")
    small = tmp_path / "small"
    small.mkdir()
    options = ("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small))
    if not mount or not umount or subprocess.run([mount, *options], check=False, capture_output=True).returncode:
        pytest.skip("mounting a small filesystem needs root")
    try:
        workspace = Workspace(small, opener=opener)
        workspace.write("a", b"old" * 1000)
        refusal = refusal_of(workspace, Change(path="new/folder/b", data=b"x" * 512 * 1024))
        assert (refusal.code, "disk is full" in str(refusal)) == ("failed", True)
        refusal = refusal_of(workspace, Change(path="a", data=b"x" * 512 * 1024))
        assert "disk is full" in str(refusal)
        assert (small / "a").read_bytes() == b"old" * 1000
        assert names(small) == ["a"]
        workspace.close()
    finally:
        subprocess.run([umount, str(small)], check=True)


def in_a_process(script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script that has a `workspace` and a `resource` in a process of its own."""
    start = "import os, resource, signal\nfrom pathlib import Path\nfrom tools.workspace import *\n"
    start += f"workspace = Workspace(Path({str(tmp_path)!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", start + script], cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )


def test_file_size_limit_of_the_system_leaves_the_old_file_intact(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    ended = in_a_process(
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\nworkspace.write('a', b'x' * 100_000)", tmp_path
    )
    assert "allows no file of that size. Nothing was changed." in ended.stderr
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_kill_between_write_and_rename_leaves_the_old_file_intact(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    ended = in_a_process(
        "os.rename = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\nworkspace.write('a', b'new')", tmp_path
    )
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"old"
    (left,) = (name for name in names(tmp_path) if name != "a")
    assert left.endswith(".partial")
    assert (tmp_path / left).read_bytes() == b"new"


def test_kill_during_a_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    ended = in_a_process(
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\nworkspace.write('a', b'new')", tmp_path
    )
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("missing", ["O_TMPFILE", "proc"])
def test_write_works_without_unnamed_temporary_files(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "proc":
        monkeypatch.setattr("tools.workspace.writing.OPEN_FILE", "/nowhere/{}")
    else:
        monkeypatch.setattr("tools.workspace.writing.WRITE_UNNAMED", os.O_WRONLY | os.O_DIRECTORY)
    workspace.write("a", b"one", create_only=True)
    workspace.write("a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert names(tmp_path) == ["a"]


def test_failed_rename_removes_the_temporary_file(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def broken(*_names: str, **_folders: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "rename", broken)
    assert refusal_of(workspace, Change(path="a", data=b"new")).code == "failed"
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_cancelled_write_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    deadline = Deadline(10)
    deadline.cancel()
    with pytest.raises(ToolError) as refusal:
        workspace.apply((Change(path="folder/a", data=b"new"),), deadline)
    assert refusal.value.code == "cancelled"
    assert names(tmp_path) == []


def test_write_creates_folders_and_reports_the_new_file(workspace: Workspace, tmp_path: Path) -> None:
    changed = workspace.write("x/y/z.txt", b"new")
    assert (changed.path, changed.size, changed.sha256, changed.created) == ("x/y/z.txt", 3, sha256(b"new"), True)
    assert (tmp_path / "x/y/z.txt").read_bytes() == b"new"
    assert names(tmp_path / "x/y") == ["z.txt"]


def test_write_keeps_the_mode_but_not_a_set_user_id_bit(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_bytes(b"old")
    (tmp_path / "run.sh").chmod(0o4751)
    assert workspace.write("run.sh", b"new").created is False
    assert (tmp_path / "run.sh").stat().st_mode & 0o7777 == 0o751


def test_write_keeps_the_owner(workspace: Workspace, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("giving a file to another needs root")
    (tmp_path / "a").write_bytes(b"old")
    os.chown(tmp_path / "a", 1234, 5678)
    workspace.write("a", b"new")
    assert ((tmp_path / "a").stat().st_uid, (tmp_path / "a").stat().st_gid) == (1234, 5678)


@pytest.mark.parametrize(("executable", "mode"), [(True, 0o750), (False, 0o640), (None, 0o650)])
def test_write_can_set_the_executable_bits(
    executable: bool | None, mode: int, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o650)
    workspace.apply((Change(path="a", data=b"new", executable=executable),))
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_new_file_has_the_mode_of_the_umask(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "like").touch()
    workspace.write("a", b"new")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "like").stat().st_mode


@pytest.mark.parametrize("path", ["link", "folder_link/target", "link_to_link"])
def test_write_through_a_link_replaces_its_target(path: str, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("folder/target")
    (tmp_path / "folder_link").symlink_to("./folder")
    (tmp_path / "folder/again").symlink_to("../link")
    (tmp_path / "link_to_link").symlink_to("folder/again")
    assert workspace.write(path, b"new").path == "folder/target"
    assert (tmp_path / "folder/target").read_bytes() == b"new"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "link_to_link").is_symlink()


def test_write_through_a_dangling_link_creates_its_target(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("new/target")
    assert workspace.write("link", b"new").path == "new/target"
    assert (tmp_path / "new/target").read_bytes() == b"new"


def test_create_only_rejects_a_link_even_if_it_is_dangling(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("new/target")
    assert refusal_of(workspace, Change(path="link", data=b"new", create_only=True)).code == "conflict"
    assert names(tmp_path) == ["link"]


def test_expected_content_is_replaced(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    workspace.write("a", b"new", expected_sha256=sha256(b"old").upper())
    assert (tmp_path / "a").read_bytes() == b"new"


def test_exactly_one_of_many_writers_with_the_same_expectation_wins(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0")
    outcomes: list[str] = []

    def write(content: bytes) -> None:
        try:
            workspace.write("a", content, expected_sha256=sha256(b"0"))
            outcomes.append("written")
        except ToolError as error:
            outcomes.append(error.code)

    writers = [threading.Thread(target=write, args=(b"%d" % number,)) for number in range(1, 17)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(outcomes) == ["conflict"] * 15 + ["written"]


def test_exactly_one_of_many_creating_writers_wins(workspace: Workspace, tmp_path: Path) -> None:
    outcomes: list[str] = []

    def create(content: bytes) -> None:
        try:
            workspace.write("x/y/a", content, create_only=True)
            outcomes.append("written")
        except ToolError as error:
            outcomes.append(error.code)

    writers = [threading.Thread(target=create, args=(b"%d" % number,)) for number in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(outcomes) == ["conflict"] * 15 + ["written"]
    assert names(tmp_path / "x/y") == ["a"]


def test_batch_creates_replaces_and_removes(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"1")
    (tmp_path / "gone").write_bytes(b"2")
    changed = workspace.apply(
        (
            Change(path="old", data=b"new", expected_sha256=sha256(b"1")),
            Change(path="gone", data=None, expected_sha256=sha256(b"2")),
            Change(path="x/made", data=b"3", create_only=True),
        )
    )
    assert [(change.path, change.size, change.created) for change in changed] == [
        ("old", 3, False),
        ("gone", 0, False),
        ("x/made", 1, True),
    ]
    assert names(tmp_path) == ["old", "x"]
    assert names(tmp_path / "x") == ["made"]


@pytest.mark.parametrize(
    "last",
    [
        Change(path="kept", data=b"new", expected_sha256="0" * 64),
        Change(path="missing", data=None),
        Change(path="../out", data=b"x"),
        Change(path=".git/config", data=b"x"),
        Change(path="old", data=b"twice"),
        Change(path="folder", data=b"x"),
    ],
    ids=lambda change: change.path,
)
def test_batch_with_one_invalid_change_changes_nothing(last: Change, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("old", "gone", "kept"):
        (tmp_path / name).write_bytes(name.encode())
    changes = (Change(path="old", data=b"new"), Change(path="gone", data=None), Change(path="x/y/made", data=b"3"))
    refusal_of(workspace, *changes, last)
    assert names(tmp_path) == ["folder", "gone", "kept", "old"]
    assert (tmp_path / "old").read_bytes() == b"old"


def test_batch_that_fails_midway_is_rolled_back(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "gone", "last"):
        (tmp_path / name).write_bytes(name.encode())
    before = (tmp_path / "old").stat().st_ino
    rename = os.rename

    def broken_at_last(source: str, target: str, **folders: int) -> None:
        if target == "last":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target, **folders)

    monkeypatch.setattr(os, "rename", broken_at_last)
    refusal = refusal_of(
        workspace,
        Change(path="old", data=b"new"),
        Change(path="gone", data=None),
        Change(path="x/made", data=b"3"),
        Change(path="last", data=b"new"),
    )
    assert refusal.code == "failed"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "old": b"old",
        "gone": b"gone",
        "last": b"last",
    }
    assert (tmp_path / "old").stat().st_ino == before


def test_failed_rollback_of_a_batch_is_reported(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "last"):
        (tmp_path / name).write_bytes(name.encode())
    rename = os.rename
    done: list[str] = []

    def works_once(source: str, target: str, **folders: int) -> None:
        if done:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target, **folders)
        done.append(target)

    monkeypatch.setattr(os, "rename", works_once)
    refusal = refusal_of(workspace, Change(path="old", data=b"new"), Change(path="last", data=b"new"))
    assert "could not be restored: ['old']" in str(refusal)


@settings(deadline=None)
@given(data=st.binary(max_size=5000), name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"])))
def test_written_content_is_read_back(data: bytes, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("base"), secret_names=SecretNames(()))
    workspace.write(f"folder/a{name[:60]}", data)
    assert workspace.read_bytes(f"folder/a{name[:60]}") == data
    workspace.close()
