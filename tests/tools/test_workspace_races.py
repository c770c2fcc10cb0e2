"""Another process swaps folders, files and links the whole time; nothing outside is read or changed.

`WORKSPACE_SWAPS` sets how often each pair is swapped at least, 2,000 unless told.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.base import ToolError
from tools.workspace import Deadline, KernelOpener, WalkOpener, Workspace
from tools.workspace.opening import Opener

CANARY = b"canary"
INSIDE = b"inside"
SWAPS = int(os.environ.get("WORKSPACE_SWAPS", "2000"))
ROUNDS = 500
REFUSALS = {"outside_workspace", "not_found", "not_allowed", "conflict"}

SWAPPER = """
import ctypes, os, select, sys
CWD, EXCHANGE = -100, 2
exchange = ctypes.CDLL(None).renameat2
target = os.readlink("folder.link")
swaps = 0
while swaps < int(sys.argv[1]) or not select.select([sys.stdin], [], [], 0)[0]:
    assert exchange(CWD, b"folder", CWD, b"folder.link", EXCHANGE) == 0
    os.symlink(target + "/file", "next")
    os.rename("next", "file")
    assert exchange(CWD, b"folder", CWD, b"folder.link", EXCHANGE) == 0
    with open("next", "w") as file:
        file.write("inside")
    os.rename("next", "file")
    swaps += 1
print(swaps)
"""


@pytest.fixture(params=[KernelOpener, WalkOpener], ids=["openat2", "walk"])
def opener(request: pytest.FixtureRequest) -> Opener:
    made: Opener = request.param()
    return made


@pytest.fixture(params=["../outside", "{outside}", "beside/../../outside"], ids=["relative", "absolute", "zigzag"])
def base(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    base, outside = tmp_path / "base", tmp_path / "outside"
    for folder in (base / "folder", base / "beside", outside):
        folder.mkdir(parents=True)
    for file in (base / "folder/file", base / "file"):
        file.write_bytes(INSIDE)
    (outside / "file").write_bytes(CANARY)
    target = request.param.replace("{outside}", str(outside))
    (base / "folder.link").symlink_to(target)
    return base


@contextmanager
def swapping(base: Path) -> Iterator[None]:
    """Swaps until the block is over, and as often as is set in any case."""
    swapper = subprocess.Popen(
        [sys.executable, "-c", SWAPPER, str(SWAPS)],
        cwd=base,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield
    finally:
        told, _ = swapper.communicate("stop\n", timeout=120)
    assert swapper.returncode == 0
    assert int(told) >= SWAPS


def outcomes(call: Callable[[], object], wanted: object) -> Counter[object]:
    """What the call gave in many rounds, its result or its refusal's code; at least once what was wanted."""
    seen: Counter[object] = Counter()
    while seen.total() < ROUNDS or (not seen[wanted] and seen.total() < 100 * ROUNDS):
        try:
            seen[call()] += 1
        except ToolError as error:
            seen[error.code] += 1
    assert set(seen) <= {wanted, *REFUSALS}
    assert seen[wanted]
    return seen


def listed(workspace: Workspace) -> frozenset[str]:
    walk = workspace.walk(workspace.entry("folder"), recursive=True, deadline=Deadline(10))
    return frozenset(entry.path for entry in walk)


def test_nothing_outside_is_read_or_listed_while_names_are_swapped(base: Path, opener: Opener) -> None:
    workspace = Workspace(base, opener=opener)
    (base.parent / "outside/only-outside").touch()
    with swapping(base):
        for path in ("folder/file", "file", "beside/../folder/file"):
            assert outcomes(lambda path=path: workspace.read_bytes(path), INSIDE)["outside_workspace"]
        outcomes(lambda: listed(workspace), frozenset({"folder/file"}))
    workspace.close()


def test_nothing_outside_is_written_while_names_are_swapped(
    base: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)  # waiting for the disk would leave few writes to race
    workspace = Workspace(base, opener=opener)
    with swapping(base):
        for path in ("folder/file", "file", "folder/new/deep"):
            outcomes(lambda path=path: workspace.write(path, INSIDE).size, len(INSIDE))
    workspace.close()
    outside = base.parent / "outside"
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_bytes() == CANARY
    assert not list(base.rglob("*.partial"))
