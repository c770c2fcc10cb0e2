"""Another process swaps folders, files and links all the time; nothing outside is read or changed.

`WORKSPACE_SWAPS` is the least number of swaps of each pair; the default is 2,000.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.base import ToolError
from tools.workspace import Deadline, Workspace
from tools.workspace.confinement.opening import Opener

CANARY = b"canary"
INSIDE = b"inside"
SWAPS = int(os.environ.get("WORKSPACE_SWAPS", "2000"))
REFUSALS = {"outside_workspace", "not_found", "not_allowed", "conflict"}

SWAPPER = """
import ctypes, os, sys
CWD, EXCHANGE = -100, 2
exchange = ctypes.CDLL(None).renameat2
target = os.readlink("folder.link")
print("ready", flush=True)
for _ in range(int(sys.argv[1])):
    assert exchange(CWD, b"folder", CWD, b"folder.link", EXCHANGE) == 0
    os.symlink(target + "/file", "next")
    os.rename("next", "file")
    assert exchange(CWD, b"folder", CWD, b"folder.link", EXCHANGE) == 0
    os.link("beside/file", "next")
    os.rename("next", "file")
"""

pytestmark = pytest.mark.slow


@pytest.fixture(params=["../outside", "{outside}"], ids=["relative", "absolute"])
def base(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    base, outside = tmp_path / "base", tmp_path / "outside"
    for folder in (base / "folder", base / "beside", outside):
        folder.mkdir(parents=True)
    for file in (base / "folder/file", base / "beside/file", base / "file"):
        file.write_bytes(INSIDE)
    (outside / "file").write_bytes(CANARY)
    target = request.param.replace("{outside}", str(outside))
    (base / "folder.link").symlink_to(target)
    return base


def outcomes_while_swapping(base: Path, call: Callable[[], object]) -> Counter[object]:
    """Repeat the call until the last swap and once after it; return the results and the error codes."""
    seen: Counter[object] = Counter()
    command = [sys.executable, "-c", SWAPPER, str(SWAPS)]
    with subprocess.Popen(command, cwd=base, stdout=subprocess.PIPE, text=True) as swapper:
        assert swapper.stdout
        assert swapper.stdout.readline() == "ready\n"
        while swapper.poll() is None:
            seen[_outcome(call)] += 1
    assert swapper.returncode == 0
    seen[_outcome(call)] += 1
    return seen


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except ToolError as error:
        return error.code


def listed(workspace: Workspace) -> frozenset[str]:
    walk = workspace.walk(workspace.entry("folder"), recursive=True, deadline=Deadline(10))
    return frozenset(entry.path for entry in walk)


@pytest.mark.parametrize("path", ["folder/file", "file", "beside/../folder/file"])
def test_nothing_outside_is_read_while_names_are_swapped(path: str, base: Path, opener: Opener) -> None:
    workspace = Workspace(base, opener=opener)
    seen = outcomes_while_swapping(base, lambda: workspace.read_bytes(path))
    assert seen[INSIDE]
    assert set(seen) <= {INSIDE, *REFUSALS}


def test_nothing_outside_is_listed_while_names_are_swapped(base: Path, opener: Opener) -> None:
    workspace = Workspace(base, opener=opener)
    (base.parent / "outside/only-outside").touch()
    inside = frozenset({"folder/file"})
    seen = outcomes_while_swapping(base, lambda: listed(workspace))
    assert seen[inside]
    assert set(seen) <= {inside, *REFUSALS}


@pytest.mark.parametrize("path", ["folder/file", "file", "folder/new/deep"])
def test_nothing_outside_is_written_while_names_are_swapped(
    path: str, base: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)  # Waiting for the disk would leave few writes to race with.
    workspace = Workspace(base, opener=opener)
    seen = outcomes_while_swapping(base, lambda: workspace.write(path, INSIDE).path)
    assert seen[path]
    assert set(seen) <= {path, *REFUSALS}
    outside = base.parent / "outside"
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_bytes() == CANARY
    assert not list(base.rglob("*.partial"))
