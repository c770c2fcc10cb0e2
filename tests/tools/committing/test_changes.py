"""`git.add`, `git.commit`, `git.branch` and `git.switch` in ordinary repositories, and their refusals.

Covers `tools.builtin.git_write`, `tools.committing.writable`, `tools.committing.changed_files`,
`tools.committing.tree_changes`, `tools.committing.branch_names` and `tools.committing.refusals`.
"""

import fcntl
import os
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.tools.committing.conftest import Call
from tests.tools.git.building import Built
from tools.base import Tool, ToolError
from tools.forges.allowed import remotes
from tools.forges.git_tools import git_tools
from tools.workspace import Workspace


async def refusal(call: Call, name: str, **params: Any) -> tuple[str, str]:
    with pytest.raises(ToolError) as error:
        await call(name, **params)
    return error.value.code, str(error.value)


async def test_changes_are_staged_and_committed_as_the_caller(call: Call, repository: Built) -> None:
    repository.write("a.txt", "changed\n")
    repository.write("docs/new ü.txt")
    (repository.folder / "docs/b.txt").unlink()

    added = await call("add", paths=["r"])
    made = await call("commit", path="r", message="Change a\n\n# a line of the body")

    assert added.added == ["r/a.txt", "r/docs/b.txt", "r/docs/new ü.txt"]
    assert made.branch == "main"
    assert made.commit.sha == repository.head
    assert repository.git("log", "-1", "--format=%an <%ae> %cn <%ce>%n%B") == (
        "Agent of user:7 <user-7@example.org> Agent of user:7 <user-7@example.org>\nChange a\n\n# a line of the body\n"
    )
    assert repository.git("status", "--porcelain") == ""


async def test_only_the_named_paths_are_staged(call: Call, repository: Built) -> None:
    repository.write("a.txt", "changed\n")
    repository.write("*", "a name\n")
    repository.write("-n", "a name\n")
    repository.write(":(top)", "a name\n")

    added = await call("add", paths=["r/*", "r/-n", "r/:(top)"])

    assert added.added == ["r/*", "r/-n", "r/:(top)"]
    assert repository.git("diff", "--cached", "--name-only").split() == ["*", "-n", ":(top)"]


async def test_secrets_are_never_staged_or_committed(call: Call, repository: Built) -> None:
    repository.write("docs/c.txt")
    repository.write("docs/.env", "KEY=1\n")
    Built.new(repository.folder / "docs/nested").commit("nested")

    assert await refusal(call, "add", paths=["r/docs/.env"]) == (
        "not_allowed",
        "'r/docs/.env' has the name of a secret, which is never committed.",
    )
    added = await call("add", paths=["r/docs"])
    assert (added.added, added.withheld) == (["r/docs/c.txt"], ["r/docs/.env", "r/docs/nested"])

    assert (await refusal(call, "add", paths=["r/docs"]))[0] == "not_allowed"
    repository.git("add", "docs/.env")
    assert (await refusal(call, "commit", path="r", message="x"))[0] == "not_allowed"


async def test_files_that_the_policy_denies_are_not_staged(call: Call, repository: Built) -> None:
    repository.write("docs/c.txt")

    assert (await refusal(call, "add", paths=["r"], permits=lambda path: "docs" not in path))[0] == "denied"
    assert repository.git("diff", "--cached", "--name-only") == ""


async def test_commit_without_changes_or_on_no_branch_is_a_conflict(call: Call, repository: Built) -> None:
    assert "nothing to commit" in (await refusal(call, "commit", path="r", message="x"))[1]
    assert (await refusal(call, "commit", path="r", message=" \n"))[0] == "invalid_params"

    repository.git("switch", "--quiet", "--detach")
    repository.write("a.txt", "changed\n")
    repository.git("add", ".")
    code, message = await refusal(call, "commit", path="r", message="x")
    assert code == "conflict"
    assert "detached" in message


async def test_first_commit_of_a_new_repository(call: Call, base: Path) -> None:
    built = Built.new(base / "r", "--object-format=sha256")
    built.write("a.txt")

    assert (await refusal(call, "branch", path="r", branch="x"))[0] == "not_found"
    assert (await refusal(call, "switch", path="r", branch="x"))[0] == "not_found"
    switched = await call("switch", path="r", branch="fix/x", create=True)
    await call("add", paths=["r/a.txt"])
    made = await call("commit", path="r", message="first")

    assert switched.commit == ""
    assert (made.branch, made.commit.sha, made.commit.parents) == ("fix/x", built.head, [])


async def test_conflicts_are_reported_until_they_are_staged(call: Call, repository: Built) -> None:
    repository.write("a.txt", "three\n")
    repository.commit("third")
    repository.git("merge", "other", fails=True)

    for name, params in (("commit", {"message": "x"}), ("switch", {"branch": "other"})):
        code, message = await refusal(call, name, path="r", **params)
        assert code == "conflict"
        assert "'r/a.txt': in conflict" in message

    repository.write("a.txt", "both\n")
    await call("add", paths=["r/a.txt"])
    made = await call("commit", path="r", message="Merge other")
    assert len(made.commit.parents) == 2


async def test_branch_is_created_at_a_commit(call: Call, repository: Built) -> None:
    made = await call("branch", path="r", branch="feature/x", start="other")

    assert made.commit == repository.git("rev-parse", "other")
    assert repository.git("branch", "--show-current") == "main"
    assert (await refusal(call, "branch", path="r", branch="feature/x"))[0] == "conflict"
    assert (await refusal(call, "branch", path="r", branch="feature"))[0] == "conflict"
    assert (await refusal(call, "branch", path="r", branch="y", start="nowhere"))[0] == "not_found"


ODD_NAMES = [
    *("-d", "--force", "a b", "a..b", "a.lock", "a/", "/a", "a//b", "HEAD", "refs/heads/a", "@{-1}", "a^", "a:b"),
    *(".a", "a/.b", "a.", "0" * 40, "b" * 201, "a\nb", "*", "a\0b", "\ud800"),
]


async def test_odd_branch_names_are_refused(call: Call, repository: Built) -> None:
    for tool, name in product(("branch", "switch"), ODD_NAMES):
        assert (await refusal(call, tool, path="r", branch=name))[0] == "invalid_params", name


async def test_switch_writes_the_files_of_the_branch(call: Call, repository: Built) -> None:
    switched = await call("switch", path="r", branch="other")

    assert (switched.commit, switched.changed, switched.created) == (repository.head, 2, False)
    assert (repository.folder / "a.txt").read_text() == "two\n"
    assert repository.git("status", "--porcelain") == ""
    assert (await refusal(call, "switch", path="r", branch="nowhere"))[0] == "not_found"


@pytest.mark.parametrize("ignored", [False, True])
async def test_switch_overwrites_no_file_that_is_not_committed(call: Call, repository: Built, ignored: bool) -> None:
    if ignored:
        repository.write(".git/info/exclude", "new.txt\n")
    repository.write("new.txt", "mine\n")

    code, message = await refusal(call, "switch", path="r", branch="other")

    assert (code, "overwrite" in message) == ("conflict", True)
    assert (repository.folder / "new.txt").read_text() == "mine\n"
    assert repository.git("branch", "--show-current") == "main"


@pytest.mark.parametrize("kind", ["secret", "link", "denied"])
async def test_switch_writes_nothing_that_file_tools_may_not(call: Call, repository: Built, kind: str) -> None:
    repository.git("switch", "--quiet", "other")
    if kind == "secret":
        repository.write("docs/id_rsa", "key\n")
    elif kind == "link":
        (repository.folder / "docs/in").symlink_to("../a.txt")
        (repository.folder / "docs/out").symlink_to("../../../outside")
    repository.commit("third")
    repository.git("switch", "--quiet", "main")

    permits = {"permits": lambda path: path != "r/a.txt"} if kind == "denied" else {}
    code, _ = await refusal(call, "switch", path="r", branch="other", **permits)

    assert code == ("denied" if kind == "denied" else "not_allowed")
    assert repository.git("branch", "--show-current") == "main"
    assert repository.git("status", "--porcelain") == ""


async def test_worktrees_and_submodules_are_not_changed(call: Call, repository: Built, base: Path) -> None:
    repository.git("worktree", "add", "--quiet", str(base / "w"), "other")
    (base / "w/a.txt").write_text("changed\n")

    assert (await refusal(call, "add", paths=["w"]))[0] == "not_allowed"
    assert (await refusal(call, "switch", path="r", branch="other"))[0] == "conflict"

    repository.write(".git/commondir", "../../elsewhere\n")
    assert (await refusal(call, "add", paths=["r"]))[0] == "not_allowed"


async def test_locked_repository_is_a_conflict_and_the_lock_stays(call: Call, repository: Built) -> None:
    repository.write("a.txt", "changed\n")
    lock = repository.write(".git/index.lock", "")
    assert (await refusal(call, "add", paths=["r"]))[0] == "conflict"
    assert lock.exists()
    lock.unlink()

    folder = os.open(repository.folder / ".git", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    assert (await refusal(call, "add", paths=["r"]))[0] == "conflict"
    os.close(folder)
    assert (await call("add", paths=["r"])).added == ["r/a.txt"]


async def test_killed_git_leaves_no_lock(call: Call, repository: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.committing.writable.MAX_FILE_BYTES", 1_000)
    repository.write("a.txt", os.urandom(100_000))

    assert (await refusal(call, "add", paths=["r"]))[0] == "too_large"
    assert not (repository.folder / ".git/index.lock").exists()


async def test_alternates_outside_the_workspace_are_refused(call: Call, repository: Built, tmp_path: Path) -> None:
    (repository.folder / ".git/objects").rename(tmp_path / "objects")
    repository.write(".git/objects/info/alternates", f"{tmp_path / 'objects'}\n")

    assert (await refusal(call, "switch", path="r", branch="other"))[0] in {"not_allowed", "not_found", "failed"}


async def test_policy_sees_the_paths_and_the_branch_of_a_call(tools: dict[str, Tool], repository: Built) -> None:
    switch, add, commit = tools["git.switch"], tools["git.add"], tools["git.commit"]

    assert {tool.effect for tool in tools.values()} == {"write"}
    assert switch.facets(switch.params(branch="main", path="./r")) == {
        "branch": ["main"],
        "create": ["false"],
        "path": ["r"],
    }
    assert add.facets(add.params(paths=["./r/../a", "b"])) == {"branch": (), "path": ["a", "b"]}
    committed = commit.params(message="x", path="r/docs")
    assert commit.facets(committed)["branch"] == ("main",)
    for head, branch in (("ref:  refs/heads/a/b \n", ("a/b",)), (repository.head, ()), ("", ())):
        repository.write(".git/HEAD", head)
        assert commit.facets(committed)["branch"] == branch
    (repository.folder / ".git/HEAD").unlink()
    assert commit.facets(committed)["branch"] == ()
    (repository.folder / ".git/HEAD").symlink_to("refs/heads/other")
    assert commit.facets(committed)["branch"] == ("other",)
    assert "Undo does not cover" in switch.spec.description


def test_all_git_tools_are_off_without_git(workspace: Workspace, settings: Any) -> None:
    settings.ENABLE_GIT = False

    assert {tool.disabled for tool in git_tools(workspace)} == {"ENABLE_GIT is false"}


def test_tools_that_reach_hosts_are_on_when_a_host_is_allowed(workspace: Workspace, settings: Any) -> None:
    def off() -> dict[str, str]:
        return {tool.name: tool.disabled for tool in git_tools(workspace) if tool.disabled}

    assert off() == dict.fromkeys(("git.clone", "git.create_pr"), "GIT_REMOTES_ALLOWED is empty")
    settings.GIT_REMOTES_ALLOWED = remotes("github.com/acme/*")
    assert off() == {}
    assert {tool.effect for tool in git_tools(workspace)} == {"read", "write", "network"}


SETTINGS = """
[core]
    hooksPath = {hooks}
    fsmonitor = {program}
    editor = {program}
[commit]
    gpgSign = true
    verbose = true
    template = {included}
[gpg]
    program = {program}
    format = ssh
[gpg "ssh"]
    program = {program}
[include]
    path = {included}
[trailer "x"]
    command = {program}
    cmd = {program}
[alias]
    add = !{program}
    commit = !{program}
    switch = !{program}
[credential]
    helper = {program}
"""
HOOKS = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "post-checkout", "reference-transaction")


@pytest.fixture
def program(repository: Built, base: Path) -> Path:
    """Make a program that leaves a mark, and hooks that do."""
    program = base / "evil"
    program.write_text(f"#!/bin/sh\ntouch {base / 'fired'}\ncat\n")
    program.chmod(0o755)
    for name in HOOKS:
        repository.write(f".git/hooks/{name}", program.read_bytes()).chmod(0o755)
    return program


async def test_no_program_of_a_repository_runs(call: Call, repository: Built, program: Path) -> None:
    included = repository.write("included", f"[core]\n fsmonitor = {program}\n")
    settings = SETTINGS.format(program=program, hooks=repository.folder / ".git/hooks", included=included)
    repository.configure(settings)
    repository.write("a.txt", "changed\n")

    await call("add", paths=["r/a.txt"])
    await call("commit", path="r", message="x")
    await call("switch", path="r", branch="new", create=True)

    assert not (program.parent / "fired").exists()


@pytest.mark.parametrize("kind", ["clean", "process", "lfs"])
async def test_file_that_a_filter_must_convert_is_not_staged(
    call: Call, repository: Built, program: Path, kind: str
) -> None:
    name = "lfs" if kind == "lfs" else "evil"
    repository.configure(f'[filter "{name}"]\n {"clean" if kind == "lfs" else kind} = {program}')
    repository.write(".gitattributes", f"*.txt filter={name}\n")
    repository.write("a.txt", "changed\n")

    assert (await refusal(call, "add", paths=["r/a.txt"]))[0] == "not_allowed"
    assert repository.git("ls-files", "--stage", "a.txt") == repository.git("ls-tree", "HEAD", "a.txt").replace(
        "blob ", ""
    ).replace("\t", " 0\t")
    assert not (program.parent / "fired").exists()
