"""The folders of callers: their names, and how they are made."""

import asyncio
import fcntl
import gc
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from access.caller import OPERATOR
from tools.base import ToolError
from tools.sandbox.protection.quarantine import LOCK, Quarantine
from tools.workspace import Deadline, Wanted, Workspace
from tools.workspaces.scope import ROOT, Scope, Workspaces, owner_folder

SESSION = UUID("0190e0c4-0000-7000-8000-000000000001")
OWNERS = [
    "user:1",
    "user:11",
    "user-1",
    "USER:1",
    "user 1",
    "../user:1",
    "",
    "/",
    "..",
    ".git",
    "ü",
    "u\u0308",
    "a" * 500,
]
SPELLINGS = [".workspaces", "./.workspaces", ".WORKSPACES", ".workspaces.", ".workspaces/", "x/../.workspaces", "link"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def opened(root: Path, scope: Scope = "owner") -> Workspaces:
    return Workspaces(root, scope, Workspace, root.parent / "quarantine" / LOCK)


def open_handles(folder: Path) -> int:
    """Return how many handles of a folder this process holds. Other threads open and close other files."""
    found = 0
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found += handle.readlink() == folder
    return found


@pytest.fixture
def owners(root: Path) -> Iterator[Workspaces]:
    made = opened(root)
    yield made
    made.root.close()


def test_owners_have_different_folders_whatever_their_names() -> None:
    names = [owner_folder(owner) for owner in OWNERS]
    assert len({name.lower() for name in names}) == len(OWNERS)
    assert all(name.isascii() and "/" not in name and len(name) <= 100 for name in names)


def test_scope_decides_who_shares_a_folder(root: Path) -> None:
    other = uuid4()
    for scope, expected in {
        "shared": [ROOT] * 5,
        "owner": [ROOT, ROOT, owner_folder("user:1"), owner_folder("user:1"), owner_folder("user:1")],
    }.items():
        spaces = opened(root, scope)
        places = [(OPERATOR, None), (OPERATOR, SESSION), ("user:1", None), ("user:1", SESSION), ("user:1", other)]
        assert [spaces.name(*place) for place in places] == expected
    sessions = opened(root, "session")
    assert sessions.name(OPERATOR) == ROOT
    assert sessions.name("user:1") == owner_folder("user:1")
    assert len({sessions.name(owner, s) for owner in (OPERATOR, "user:1", "user:2") for s in (SESSION, other)}) == 6


def test_workspace_is_made_for_its_owner_only_and_used_by_all_calls(owners: Workspaces) -> None:
    first = owners.at("user:1")
    assert first.base == owners.path("user:1")
    assert first.base.parent == owners.root.base / ".workspaces"
    assert [oct(path.stat().st_mode & 0o777) for path in (first.base.parent, first.base)] == ["0o700", "0o700"]
    assert owners.at("user:1") is first
    assert owners.at("user:2") is not first
    assert owners.at(OPERATOR) is owners.root


def test_removed_workspace_is_made_again(owners: Workspaces) -> None:
    first = owners.at("user:1")
    first.write("a.txt", b"a")
    (first.base / "a.txt").unlink()
    first.base.rmdir()
    second = owners.at("user:1")
    second.write("b.txt", b"b")
    assert [path.name for path in second.base.iterdir()] == ["b.txt"]


def test_unused_workspace_releases_its_handle_and_a_copy_keeps_it(owners: Workspaces) -> None:
    copy = owners.at("user:1").restricted(lambda path: True)
    gc.collect()
    copy.write("a.txt", b"a")
    assert open_handles(copy.base) == 1
    folder = copy.base
    del copy
    gc.collect()
    assert open_handles(folder) == 0


@pytest.mark.parametrize("kind", ["link", "file"])
def test_folder_of_workspaces_that_is_a_link_or_a_file_is_not_used(root: Path, tmp_path: Path, kind: str) -> None:
    spaces = opened(root)
    (tmp_path / "elsewhere").mkdir()
    if kind == "link":
        (root / ".workspaces").symlink_to(tmp_path / "elsewhere")
    else:
        (root / ".workspaces").write_text("")
    with pytest.raises(ToolError, match="cannot be opened"):
        spaces.at("user:1")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_workspace_that_is_a_link_is_not_used(owners: Workspaces, tmp_path: Path) -> None:
    path = owners.at("user:1").base.parent / owner_folder("user:2")
    path.symlink_to(tmp_path)
    with pytest.raises(ToolError, match="cannot be opened"):
        owners.at("user:2")


def test_folder_of_workspaces_is_not_made_while_a_command_may_write(owners: Workspaces, root: Path) -> None:
    lock = root.parent / "quarantine" / LOCK

    async def run() -> None:
        async with Quarantine(root, (lock.parent,)).watching((), ()):
            with pytest.raises(ToolError, match="Try again") as caught:
                owners.at("user:1")
            assert caught.value.code == "conflict"
            assert not owners.folder.exists()
        assert owners.at("user:1").base.is_dir()
        # Once the folder is there, commands cannot reach it, and owners need not wait for them.
        async with Quarantine(root, (lock.parent,)).watching((".workspaces",), ()) as watched:
            owners.at("user:2").write(".github/a", b"")
        assert watched.moved == []

    asyncio.run(run())
    with lock.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_root_workspace_neither_lists_nor_opens_the_others(owners: Workspaces, root: Path, spelling: str) -> None:
    alice = owners.at("user:1")
    alice.write("secret.txt", b"plover")
    (root / "x").mkdir()
    (root / "link").symlink_to(".workspaces")
    path = f"{spelling}/{alice.base.name}/secret.txt"
    for call in (
        lambda: owners.root.read_bytes(path),
        lambda: owners.root.write(path, b"changed"),
        lambda: owners.root.write(f"{spelling}/{alice.base.name}/new.txt", b"new"),
        lambda: owners.root.check_writable(path),
        lambda: owners.root.entry(spelling),
        lambda: owners.root.open_folder(spelling),
    ):
        with pytest.raises(ToolError):
            call()
    walk = owners.root.walk(owners.root.entry("."), recursive=True, deadline=Deadline(10), wanted=Wanted(ignored=True))
    assert {entry.path for entry in walk} == {"x", "link"}
    assert (alice.read_bytes("secret.txt"), [path.name for path in alice.base.iterdir()]) == (b"plover", ["secret.txt"])
