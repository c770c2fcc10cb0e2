"""`git.clone` from git's own HTTP backend, over a socket.

Covers `tools.builtin.git_clone`, `tools.forges.cloned` and `tools.forges.access`.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spending.accounts import Payer
from tests.tools.forges.hosts import TOKEN, Host
from tests.tools.git.building import Built
from tools.base import Execution, Permits, ToolError
from tools.builtin import git_clone
from tools.forges.access import ForgeAccess

Clone = Callable[..., Awaitable[Any]]


@pytest.fixture
def clone(access: ForgeAccess, host: Host, remote: Built) -> Clone:
    """Return a function that calls `git.clone` for `acme/site`."""

    async def run(access: ForgeAccess = access, permits: Permits | None = None, **params: Any) -> Any:
        tool = git_clone.tools(access)[0]

        async def emit(*_: Any) -> None:
            pass

        values = tool.params(**{"url": f"{host.origin}/acme/site", **params})
        return await tool.run(values, Execution(payer=Payer(owner="alice"), emit=emit, permits=permits))

    return run


async def refusal(clone: Clone, *given: Any, **params: Any) -> str:
    with pytest.raises(ToolError) as error:
        await clone(*given, **params)
    assert TOKEN not in str(error.value)
    return error.value.code


def left(base: Path, access: ForgeAccess) -> list[str]:
    """Return what lies in the workspace and in the folder of the service."""
    return [path.name for folder in (base, access.private) if folder.exists() for path in folder.iterdir()]


async def test_repository_is_cloned_without_a_credential(
    clone: Clone, access: ForgeAccess, host: Host, base: Path
) -> None:
    made = await clone(path="docs")

    cloned = Built(base / "docs")
    assert (made.path, made.branch, made.commit, made.shallow) == ("docs", "main", cloned.head, False)
    assert (made.files, made.size) == (2, 8)
    assert cloned.git("status", "--porcelain=v2", "--branch") == "\n".join(
        [f"# branch.oid {made.commit}", "# branch.head main", "# branch.upstream origin/main", "# branch.ab +0 -0"]
    )
    assert cloned.git("remote", "get-url", "origin") == f"{host.origin}/acme/site.git"
    assert cloned.git("fsck", "--strict") == ""
    assert TOKEN not in (cloned.folder / ".git/config").read_text()
    assert cloned.run(["grep", "--no-index", "--quiet", TOKEN, "."]).returncode == 1
    assert left(base, access) == ["docs"]


async def test_clone_and_its_files_are_texts_from_outside(clone: Clone, access: ForgeAccess) -> None:
    workspace = access.runner.workspace
    assert git_clone.tools(access)[0].taints == "repository"
    assert not workspace.foreign.overlaps(["."])
    await clone(path="docs")
    assert [workspace.foreign.overlaps([path]) for path in ("docs/a.txt", ".", "other")] == [True, True, False]


async def test_depth_and_branch_choose_what_is_fetched(clone: Clone, remote: Built, base: Path) -> None:
    remote.git("branch", "side/x", "main")

    made = await clone(branch="side/x", depth=1)

    assert (made.path, made.branch, made.shallow) == ("site", "side/x", True)
    assert Built(base / "site").git("rev-list", "--count", "HEAD") == "1"


async def test_places_that_cannot_be_used_are_refused(clone: Clone, host: Host, base: Path) -> None:
    (base / "there").mkdir()
    (base / "file").write_text("x")
    (base / "out").symlink_to("/tmp")
    for path, code in (
        ("there", "conflict"),
        (".", "conflict"),
        ("file/x", "not_found"),
        ("missing/x", "not_found"),
        ("../x", "outside_workspace"),
        ("out/x", "outside_workspace"),
        (".git", "not_allowed"),
        ("there/.ssh", "not_allowed"),
        ("", "invalid_params"),
    ):
        assert await refusal(clone, path=path) == code, path
    assert await refusal(clone, branch="--upload-pack=x") == "invalid_params"
    assert await refusal(clone, url="https://evil.example/acme/site") == "not_allowed"
    assert host.requests == []


async def test_refused_clones_leave_nothing(
    clone: Clone, access: ForgeAccess, host: Host, remote: Built, base: Path
) -> None:
    assert await refusal(clone, branch="nowhere") == "not_found"
    assert await refusal(clone, msgspec.structs.replace(access, max_clone_bytes=300)) == "too_large"
    assert await refusal(clone, permits=lambda path: path != "site/a.txt") == "denied"
    for part, status, code in (
        ("info/refs", 302, "failed"),
        ("info/refs", 401, "not_allowed"),
        ("/git-upload-pack", 500, "failed"),
        ("/git-upload-pack", 200, "failed"),
    ):
        host.statuses[part] = status
        assert await refusal(clone) == code
    assert left(base, access) == []


async def test_repository_with_a_link_that_leads_out_is_refused(
    clone: Clone, access: ForgeAccess, host: Host, original: Built, tmp_path: Path
) -> None:
    linked = Built.copy(original, tmp_path / "linked")
    (linked.folder / "docs/in").symlink_to("../a.txt")
    linked.commit("in")
    linked.git("clone", "--quiet", "--bare", ".", str(host.folder / "acme/in.git"))
    (linked.folder / "docs/out").symlink_to("../../../../etc/passwd")
    linked.commit("out")
    linked.git("clone", "--quiet", "--bare", ".", str(host.folder / "acme/out.git"))

    assert (await clone(url=f"{host.origin}/acme/in")).files == 3
    assert await refusal(clone, url=f"{host.origin}/acme/out") == "not_allowed"


async def test_bomb_is_refused_before_it_is_written(
    clone: Clone, access: ForgeAccess, host: Host, original: Built, tmp_path: Path
) -> None:
    bomb = Built.copy(original, tmp_path / "bomb")
    tree = bomb.git("rev-parse", "HEAD^{tree}")
    for _ in range(6):
        lines = "".join(f"040000 tree {tree}\td{number}\n" for number in range(10))
        tree = bomb.git("mktree", input_=lines.encode())
    bomb.git("update-ref", "refs/heads/fix", bomb.git("commit-tree", tree, "-m", "bomb"))
    bomb.git("clone", "--quiet", "--bare", ".", str(host.folder / "acme/bomb.git"))

    assert await refusal(clone, url=f"{host.origin}/acme/bomb") == "too_large"
    assert left(access.runner.workspace.base, access) == []


async def test_files_that_git_must_not_make_are_refused(
    clone: Clone, access: ForgeAccess, host: Host, original: Built, tmp_path: Path
) -> None:
    evil = Built.copy(original, tmp_path / "evil")
    blob = evil.git("hash-object", "-w", "--stdin", input_=b"[core]\nfsmonitor = evil\n")
    names = (b".git", b"..", b"git~1", b".g\xe2\x80\x8cit")
    for number, name in enumerate(names):
        entry = b"100644 " + name + b"\0" + bytes.fromhex(blob)
        tree = evil.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", input_=entry)
        evil.git("update-ref", f"refs/heads/evil{number}", evil.git("commit-tree", tree, "-m", "evil"))
    evil.git("clone", "--quiet", "--bare", ".", str(host.folder / "acme/evil.git"))

    for number in range(len(names)):
        assert await refusal(clone, url=f"{host.origin}/acme/evil", branch=f"evil{number}") == "failed"
    assert left(access.runner.workspace.base, access) == []
