"""The division of a workspace, kept between commands. Covers `kernel.inotify`."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.sandbox import subtrees
from tools.sandbox.division import Division
from tools.sandbox.subtrees import parts_without
from tools.workspace.confinement.names import SecretNames, is_git

NAMES = ["a", "b", ".env", ".git", "c"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)


def kept(division: Division, handle: int, *, with_git: bool = False) -> list[str]:
    return sorted("/".join(part.names) or "." for part in division.readable(with_git=with_git).parts)


def visited(handle: int, *, with_git: bool = False) -> list[str]:
    """Return the parts that a visit of the whole workspace finds."""
    if with_git:
        return kept(Division(handle, SecretNames()), handle, with_git=True)

    def withheld(entry: "os.DirEntry[str]") -> bool:
        return is_git(entry.name) or SecretNames().cover((entry.name,))

    return sorted("/".join(part.names) or "." for part in parts_without(handle, withheld, lambda: False).parts)


def make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def rename(base: Path, one: str, other: str) -> None:
    (base / other).parent.mkdir(parents=True, exist_ok=True)
    (base / one).rename(base / other)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a secret is made": lambda base: make(base / "a/b/.env"),
    "a secret is removed": lambda base: (base / "s/.env").unlink(),
    "a file becomes a secret": lambda base: rename(base, "a/b/x", "a/b/x.pem"),
    "a secret becomes a file": lambda base: rename(base, "s/.env", "s/plain"),
    "a folder with a secret is moved": lambda base: rename(base, "s", "a/b/s"),
    "a folder is moved over": lambda base: (rename(base, "s", "t"), rename(base, "a", "s")),
    "a repository is made": lambda base: make(base / "a/.git/config"),
    "a folder is copied in": lambda base: shutil.copytree(base / "s", base / "a/copy"),
    "a folder becomes a secret": lambda base: rename(base, "a", ".ssh"),
    "a folder is removed": lambda base: shutil.rmtree(base / "s"),
    "a folder is made again": lambda base: (shutil.rmtree(base / "s"), make(base / "s/deep/x")),
}


@pytest.mark.parametrize("with_git", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_change_is_seen_by_the_next_command(name: str, with_git: bool, base: Path, handle: int) -> None:
    for path in ("a/b/x", "s/.env", "s/y", "r/.git/config"):
        make(base / path)
    division = Division(handle, SecretNames())
    assert kept(division, handle) == ["a", "s/y"]
    CHANGES[name](base)
    assert kept(division, handle, with_git=with_git) == visited(handle, with_git=with_git)
    make(base / "a/b/later/.env")
    assert kept(division, handle, with_git=with_git) == visited(handle, with_git=with_git)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from(["make", "remove", "move"]), PATHS, PATHS), max_size=12))
def test_any_changes_lead_to_the_division_of_a_new_visit(
    steps: list[tuple[str, str, str]], base: Path, handle: int
) -> None:
    for entry in base.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    division = Division(handle, SecretNames())
    for what, one, other in steps:
        try:
            if what == "make":
                make(base / one)
            elif what == "move":
                rename(base, one, other)
            else:
                shutil.rmtree(base / one)
        except OSError:
            continue
        for with_git in (False, True):
            assert kept(division, handle, with_git=with_git) == visited(handle, with_git=with_git)


def test_lost_reports_lead_to_a_new_visit(base: Path, handle: int) -> None:
    division = Division(handle, SecretNames())
    assert kept(division, handle) == ["."]
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip("The queue is too long to fill.")
    for number in range(limit // 2 + 10):
        os.rename(base / "x", base / f"{number}") if number else make(base / "x")  # noqa: PTH104
        os.rename(base / f"{number}", base / "x") if number else None  # noqa: PTH104
    make(base / ".env")

    assert kept(division, handle) == ["x"]


def test_workspace_is_visited_each_time_where_the_kernel_reports_nothing(
    base: Path, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError("No more watches.")

    monkeypatch.setattr("kernel.inotify.Watcher.add", refuse)
    division = Division(handle, SecretNames())
    for path in ("a/x", "a/.env", "a/b/.git"):
        make(base / path)
        assert kept(division, handle) == visited(handle)


@pytest.mark.parametrize("bound", ["MAX_WALKED", "MAX_DEPTH", "MAX_PARTS"])
def test_what_lies_beyond_a_limit_is_withheld(
    bound: str, base: Path, handle: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("a/b/c/d", ".env", "e", "f"):
        make(base / path)
    monkeypatch.setattr(subtrees, bound, 2)
    found = Division(handle, SecretNames()).readable(with_git=False)

    assert not found.complete
    assert ("a",) not in [part.names for part in found.parts] or bound == "MAX_PARTS"
