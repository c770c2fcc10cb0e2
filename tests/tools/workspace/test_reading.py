"""Reading: links inside, absolute paths inside, limits, and the methods of confinement.

Covers `tools.workspace.limits`.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.handles import open_handles
from tools.base import ToolError
from tools.workspace import Deadline, KernelOpener, Limits, WalkOpener, Workspace, WorkspaceUnavailableError
from tools.workspace.confinement.opening import Opener
from tools.workspace.confinement.paths import Parts


@pytest.fixture
def workspace(tmp_path: Path, opener: Opener) -> Iterator[Workspace]:
    (tmp_path / "docs/deep").mkdir(parents=True)
    (tmp_path / "docs/guide.md").write_bytes(b"guide")
    workspace = Workspace(tmp_path, opener=opener)
    yield workspace
    workspace.close()


def code_of(workspace: Workspace, path: str) -> str:
    with pytest.raises(ToolError) as refusal:
        workspace.read_bytes(path)
    return refusal.value.code


def test_base_that_is_not_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for base in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(WorkspaceUnavailableError, match="cannot be opened"):
            Workspace(base)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_without_openat2_paths_are_walked(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> int:
        ctypes.set_errno(number)
        return -1

    monkeypatch.setattr("tools.workspace.confinement.opening._libc_syscall", lambda: refuse)
    (tmp_path / "a").write_bytes(b"a")
    workspace = Workspace(tmp_path)
    assert workspace.confinement == "walk"
    assert workspace.read_bytes("a") == b"a"


def test_without_confinement_no_workspace_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> int:
        raise NotImplementedError

    monkeypatch.setattr(KernelOpener, "open", refuse)
    monkeypatch.setattr(WalkOpener, "open", refuse)
    with pytest.raises(WorkspaceUnavailableError, match="No confined way"):
        Workspace(tmp_path)


def test_retries_of_the_kernel_call_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def busy(*arguments: int) -> int:
        asked.append(arguments[0])
        ctypes.set_errno(errno.EAGAIN)
        return -1

    monkeypatch.setattr("tools.workspace.confinement.opening._libc_syscall", lambda: busy)
    workspace = Workspace(tmp_path, opener=KernelOpener())
    assert code_of(workspace, "a") == "conflict"
    assert 1 < len(asked) <= 1000


def test_path_that_always_turns_into_a_link_is_given_up(tmp_path: Path) -> None:
    class AlwaysALink:
        confinement = "walk"
        tried = 0

        def open(self, base: int, parts: Parts, flags: int) -> int:
            self.tried += bool(parts)
            if parts:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return os.open(".", flags, dir_fd=base)

    opener = AlwaysALink()
    assert code_of(Workspace(tmp_path, opener=opener), "a") == "conflict"
    assert opener.tried < 1000


def test_file_over_the_limit_is_rejected(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ToolError) as refusal:
        workspace.read_bytes("docs/guide.md", max_bytes=4)
    assert refusal.value.code == "too_large"
    assert code_of(Workspace(tmp_path, limits=Limits(max_read_bytes=4)), "docs/guide.md") == "too_large"


def test_depth_of_paths_is_limited(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, limits=Limits(max_path_depth=2))
    with pytest.raises(ToolError, match="the maximum is 2"):
        workspace.write("a/b/c", b"")
    assert workspace.write("a/b", b"").created


def test_number_of_links_is_limited_as_in_linux(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link_0").symlink_to("docs/guide.md")
    for number in range(1, 60):
        (tmp_path / f"link_{number}").symlink_to(f"link_{number - 1}")
    assert workspace.read_bytes("link_39") == b"guide"
    assert code_of(workspace, "link_40") == "not_allowed"


def test_unreadable_file_is_reported(workspace: Workspace, tmp_path: Path) -> None:
    if not os.geteuid():
        pytest.skip("root may read everything")
    (tmp_path / "docs/guide.md").chmod(0)
    assert code_of(workspace, "docs/guide.md") == "not_allowed"


@pytest.mark.parametrize(
    "path",
    [
        "docs/guide.md",
        "./docs//./guide.md",
        "docs/../docs/guide.md",
        "docs/deep/../guide.md",
        "link",
        "link_folder/guide.md",
        "docs/deep/up_and_down",
        "link_folder/../docs/guide.md",
        "link_deep/../guide.md",
        "{base}/docs/guide.md",
        "{base}//docs/./guide.md",
        "{base}/link",
    ],
)
def test_path_that_stays_inside_is_read(path: str, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("docs/guide.md")
    (tmp_path / "link_folder").symlink_to("docs/")
    (tmp_path / "link_deep").symlink_to("docs/deep")
    (tmp_path / "docs/deep/up_and_down").symlink_to("../.././docs/guide.md")
    with workspace.open_file(path.replace("{base}", str(tmp_path))) as file:
        assert file.read(100) == b"guide"
        assert file.path == "docs/guide.md"


def test_base_behind_a_link_is_known_by_both_paths(tmp_path: Path, opener: Opener) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_bytes(b"a")
    (tmp_path / "base").symlink_to("real")
    workspace = Workspace(tmp_path / "base", opener=opener)
    for path in ("a", f"{tmp_path}/base/a", f"{tmp_path}/real/a"):
        assert workspace.read_bytes(path) == b"a"


def test_open_file_stays_the_same_after_its_name_is_reused(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.open_file("docs/guide.md") as file:
        (tmp_path / "docs/guide.md").unlink()
        (tmp_path / "docs/guide.md").write_bytes(b"another")
        assert file.read(100) == b"guide"


def test_open_folder_is_a_usable_handle(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("docs")
    with workspace.open_folder("link") as folder:
        assert folder.path == "docs"
        with os.scandir(folder.fileno()) as found:
            assert sorted(item.name for item in found) == ["deep", "guide.md"]
    with pytest.raises(ToolError) as refusal:
        workspace.open_folder("docs/guide.md")
    assert refusal.value.code == "not_found"


def test_non_unicode_names_are_listed_and_searched(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"bad\xff.txt")).write_bytes(b"x")
    walk = workspace.walk(workspace.entry("."), recursive=False, deadline=Deadline(10))
    for bad in walk:
        if bad.type == "file":
            assert bad.path == "bad\\xff.txt"
            with workspace.open_entry(walk, bad) as file:
                assert file.read(1) == b"x"
            return
    pytest.fail("the file is not listed")


def test_all_handles_are_closed(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("docs")
    os.mkfifo(tmp_path / "fifo")
    before = open_handles()
    for path in ("docs/guide.md", "link/guide.md", "link", "missing", "../x", "fifo", ".git", ".env", "link/../fifo"):
        for call in (workspace.read_bytes, workspace.entry, lambda path: workspace.write(path + "/x", b"x")):
            try:
                call(path)
            except ToolError:
                continue
    list(workspace.walk(workspace.entry("."), recursive=True, deadline=Deadline(10)))
    assert not open_handles() - before
