"""`fs.apply_patch` on real files: a patch is applied completely or not at all, and never over a concurrent change."""

import asyncio
import hashlib
from pathlib import Path

import msgspec
import pytest

from tests.tools.patching.trees import read_tree, write_tree
from tools.base import ToolError
from tools.builtin import fs, patch
from tools.builtin.patch import FileResult, PatchResult, apply_patch
from tools.workspace import Change, Changed, Deadline, Limits, Workspace

SCENARIOS = sorted((Path(__file__).parents[1] / "patching/scenarios").iterdir())
CHANGE = "--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Meddled(Workspace):
    """A workspace in which a file changes between the reading and the writing of a patch."""

    def apply(self, changes: list[Change], deadline: Deadline | None = None) -> tuple[Changed, ...]:  # type: ignore[override]  # tuple or list alike
        (self.base / "a").write_bytes(b"theirs\n")
        return super().apply(changes, deadline)


async def test_concurrent_change_is_a_conflict_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    (tmp_path / "b").write_bytes(b"1\n")
    workspace = Meddled(tmp_path)
    with pytest.raises(ToolError) as refusal:
        await apply_patch(workspace, patch=CHANGE.replace("/a", "/b") + CHANGE)
    workspace.close()
    assert refusal.value.code == "conflict"
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"theirs\n", b"1\n")


async def test_concurrent_creation_is_a_conflict_and_nothing_is_written(tmp_path: Path) -> None:
    workspace = Meddled(tmp_path)
    added = "--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1\n"
    with pytest.raises(ToolError) as refusal:
        await apply_patch(workspace, patch=added.replace("/a", "/b") + added)
    workspace.close()
    assert refusal.value.code == "conflict"
    assert list(read_tree(tmp_path)) == ["a"]


async def test_lone_surrogate_is_rejected(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match="lone surrogate") as refusal:
        await apply_patch(workspace, patch=CHANGE + "\udcff")
    assert refusal.value.code == "invalid_params"


async def test_file_over_the_write_limit_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n" * 100)
    with pytest.raises(ToolError) as refusal:
        await apply_patch(Workspace(tmp_path, limits=Limits(max_write_bytes=100)), patch=CHANGE)
    assert refusal.value.code == "too_large"


async def test_patch_ends_at_its_deadline(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    with pytest.raises(ToolError) as refusal:
        await apply_patch(Workspace(tmp_path, limits=Limits(max_seconds=0)), patch=CHANGE)
    assert refusal.value.code == "timed_out"
    assert (tmp_path / "a").read_bytes() == b"1\n"


async def test_cancelled_patch_has_ended_when_its_call_returns(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    workspace = Workspace(tmp_path)
    running = asyncio.ensure_future(apply_patch(workspace, patch=CHANGE))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    before = (tmp_path / "a").read_bytes()
    workspace.close()
    assert before in {b"1\n", b"2\n"}
    assert list(read_tree(tmp_path)) == ["a"]


async def test_read_only_file_is_rejected(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    (tmp_path / "a").chmod(0o444)
    with pytest.raises(ToolError) as refusal:
        await apply_patch(workspace, patch=CHANGE)
    assert refusal.value.code == "not_allowed"


async def test_new_file_beneath_a_file_is_rejected_even_in_a_dry_run(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    added = "--- /dev/null\n+++ b/a/deep/x\n@@ -0,0 +1 @@\n+1\n"
    with pytest.raises(ToolError, match="'a' is not a folder") as refusal:
        await apply_patch(workspace, patch=added, dry_run=True)
    assert refusal.value.code == "not_allowed"


@pytest.mark.parametrize("part", ["delete", "move"])
async def test_link_is_neither_deleted_nor_moved(workspace: Workspace, tmp_path: Path, part: str) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    (tmp_path / "link").symlink_to("a")
    lines = {"delete": "*** Delete File: link", "move": "*** Update File: link\n*** Move to: x"}
    with pytest.raises(ToolError, match="'a'") as refusal:
        await apply_patch(workspace, patch=f"*** Begin Patch\n{lines[part]}\n*** End Patch\n")
    assert refusal.value.code == "not_allowed"
    assert (tmp_path / "link").is_symlink()


async def test_change_through_a_link_changes_its_target(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    (tmp_path / "link").symlink_to("a")
    await apply_patch(workspace, patch=CHANGE.replace("/a", "/link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_bytes() == b"2\n"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_scenario_on_disk_produces_the_expected_tree_or_error(scenario: Path, tmp_path: Path) -> None:
    before = read_tree(scenario / "input")
    write_tree(tmp_path, before)
    text = (scenario / "patch.txt").read_bytes().decode("utf-8", "replace")
    workspace = Workspace(tmp_path)
    try:
        await apply_patch(workspace, patch=text, dry_run=True)
        assert read_tree(tmp_path) == before
        await apply_patch(workspace, patch=text)
        assert read_tree(tmp_path) == read_tree(scenario / "expected")
    except ToolError:
        assert (scenario / "error.txt").exists() or "\ufffd" in text
        assert read_tree(tmp_path) == before
    finally:
        workspace.close()


async def test_result_describes_each_file(workspace: Workspace, tmp_path: Path) -> None:
    for name, text in (("a", b"1\n"), ("gone", b"1\n2\n"), ("old", b"x\ny\n")):
        (tmp_path / name).write_bytes(text)
    parts = (
        "*** Update File: a",
        "-1",
        "+2",
        "+3",
        "*** Delete File: gone",
        "*** Update File: old",
        "*** Move to: new",
        "*** Add File: d/added",
        "+1",
    )
    text = "\n".join(("*** Begin Patch", *parts, "*** End Patch"))
    shown = await apply_patch(workspace, patch=text, dry_run=True)
    done = await apply_patch(workspace, patch=text)
    assert shown == PatchResult(files=done.files, dry_run=True)
    assert done.files == [
        FileResult(path="a", action="update", source=None, added=2, removed=1, sha256=sha256(b"2\n3\n")),
        FileResult(path="gone", action="delete", source=None, added=0, removed=2, sha256=None),
        FileResult(path="new", action="move", source="old", added=0, removed=0, sha256=sha256(b"x\ny\n")),
        FileResult(path="d/added", action="add", source=None, added=1, removed=0, sha256=sha256(b"1\n")),
    ]


async def test_mode_bits_follow_the_patch_and_otherwise_stay(workspace: Workspace, tmp_path: Path) -> None:
    for name, mode in (("on", 0o640), ("off", 0o750), ("kept", 0o700), ("moved", 0o755)):
        (tmp_path / name).write_bytes(b"1\n")
        (tmp_path / name).chmod(mode)
    modes = "diff --git a/{0} b/{0}\nold mode {1}\nnew mode {2}\n"
    moved = "diff --git a/moved b/m\nsimilarity index 100%\nrename from moved\nrename to m\n"
    await apply_patch(
        workspace,
        patch=modes.format("on", 100644, 100755)
        + modes.format("off", 100755, 100644)
        + moved
        + "diff --git a/kept b/kept\n"
        + CHANGE.replace("/a", "/kept"),
    )
    found = {name: (tmp_path / name).stat().st_mode & 0o777 for name in ("on", "off", "kept")}
    assert found == {"on": 0o750, "off": 0o640, "kept": 0o700}
    assert (tmp_path / "m").stat().st_mode & 0o100


async def test_hash_of_the_result_can_be_expected_by_the_next_write(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1\n")
    (file,) = (await apply_patch(workspace, patch=CHANGE)).files
    await fs.write(workspace, path="a", content="3\n", expected_sha256=file.sha256)
    assert (tmp_path / "a").read_bytes() == b"3\n"


@pytest.mark.parametrize(
    "params", [{}, {"patch": ""}, {"patch": 1}, {"patch": "x", "more": 1}, {"patch": "x", "dry_run": "yes"}]
)
def test_invalid_params_are_rejected(workspace: Workspace, params: dict[str, object]) -> None:
    (tool,) = patch.tools(workspace)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(params, tool.params)


def test_tool_has_the_name_effect_and_params_of_the_protocol(workspace: Workspace) -> None:
    (tool,) = patch.tools(workspace)
    assert (tool.name, tool.effect) == ("fs.apply_patch", "write")
    assert list(tool.spec.parameters["properties"]) == ["patch", "dry_run"]
    assert tool.spec.parameters["required"] == ["patch"]


async def test_patch_that_carries_the_mask_of_a_secret_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\nkey = 5\n")
    (tmp_path / "b").write_text("one\n")
    change = "--- a/b\n+++ b/b\n@@ -1 +1 @@\n-one\n+two\n--- a/a\n+++ b/a\n@@ -2 +2 @@\n-key = 5\n+key = [secret]\n"
    with pytest.raises(ToolError, match="stands for a secret"):
        await apply_patch(workspace, patch=change)
    assert (tmp_path / "b").read_text() == "one\n"
