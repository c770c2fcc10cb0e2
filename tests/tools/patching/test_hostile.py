"""The hostile patches, each of which the tool rejects without changing a file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.patching import hostile
from tests.tools.patching.hostile import CANARY
from tools.base import ToolError
from tools.builtin.patch import apply_patch
from tools.workspace import Workspace

Picture = dict[str, tuple[int, bytes]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Create a folder with the workspace `base`, full of links out of it, and `outside`, their target."""
    base, outside = tmp_path / "base", tmp_path / "outside"
    for folder in (base / ".git/hooks", base / "docs", base / "keys", outside):
        folder.mkdir(parents=True)
    (outside / "canary.txt").write_text("1\n")
    for name, text in (("a", "1\n"), ("b", "2\n"), (".env", "1\n"), ("docs/c", "1\n"), (".git/config", "1\n")):
        (base / name).write_text(text)
    (base / "link_inside").symlink_to("a")
    (base / "link_out").symlink_to("../outside/canary.txt")
    (base / "link_folder").symlink_to("../outside")
    (base / "link_chain").symlink_to("link_folder")
    (base / "link_absolute").symlink_to(outside / "canary.txt")
    (base / "link_git").symlink_to(".git")
    os.mkfifo(base / "fifo")
    return tmp_path


@pytest.fixture
def workspace(place: Path) -> Iterator[Workspace]:
    workspace = Workspace(place / "base")
    yield workspace
    workspace.close()


def picture(place: Path) -> Picture:
    """Return everything beneath a folder: its mode, and its content or link target."""
    return {str(path.relative_to(place)): (path.lstat().st_mode, _held(path)) for path in place.rglob("*")}


def _held(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(path.readlink())
    return path.read_bytes() if path.is_file() else b""


async def refused(workspace: Workspace, place: Path, patch: str) -> ToolError:
    """Return the refusal of a patch; check that it changed nothing and shows nothing of the outside."""
    before = picture(place)
    for dry_run in (True, False):
        with pytest.raises(ToolError) as refusal:
            await apply_patch(workspace, patch=patch, dry_run=dry_run)
    assert picture(place) == before
    return refusal.value


def deleted(name: str) -> str:
    return f"--- {name}\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n"


def changed(name: str) -> str:
    old = name.replace("b/", "a/", 1) if name.startswith(("b/", '"b/')) else name
    return f"--- {old}\n+++ {name}\n@@ -1 +1 @@\n-1\n+{CANARY}\n"


@pytest.mark.parametrize("form", [hostile.added, deleted, changed], ids=lambda form: form.__name__)
@pytest.mark.parametrize("name", hostile.NAMES, ids=lambda name: name[:40].encode("unicode_escape").decode())
async def test_patch_cannot_add_delete_or_change_a_hostile_name(
    workspace: Workspace, place: Path, name: str, form: Callable[[str], str]
) -> None:
    await refused(workspace, place, form(name.replace("{outside}", str(place / "outside"))))


@pytest.mark.parametrize("name", hostile.NAMES_THAT_LEAD_OUT)
async def test_envelope_cannot_name_a_file_outside(workspace: Workspace, place: Path, name: str) -> None:
    plain = name.removeprefix("b/").replace("{outside}", str(place / "outside"))
    if not plain.startswith('"'):
        await refused(workspace, place, hostile.envelope(f"*** Add File: {plain}", f"+{CANARY}"))


@pytest.mark.parametrize("name", hostile.PATCHES)
async def test_hostile_patch_is_rejected(workspace: Workspace, place: Path, name: str) -> None:
    refusal = await refused(workspace, place, hostile.PATCHES[name])
    assert refusal.code in {"invalid_params", "outside_workspace", "not_allowed", "conflict", "not_found"}


def test_set_of_hostile_patches_is_large_enough() -> None:
    assert len(hostile.NAMES) + len(hostile.PATCHES) >= 100
