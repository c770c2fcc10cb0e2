"""`git.status`: its report, and the choice of the repository."""

import os
import statistics
import time
from pathlib import Path

import pytest

from tests.tools.git.building import Built
from tools.base import ToolError
from tools.builtin import git
from tools.git.limits import Limits
from tools.git.running import Runner
from tools.git.status import Status, StatusEntry
from tools.workspace import Workspace

MANY = 20_000
MAX_SECONDS = 3.0
"""Far above the time on an idle machine. This detects a blunder; the benchmark reports the figure."""


def summary(entries: list[StatusEntry]) -> set[tuple[str, str, str | None]]:
    return {(entry.path, entry.status, entry.source) for entry in entries}


async def refusal_of(runner: Runner, path: str) -> tuple[str, str]:
    with pytest.raises(ToolError) as refusal:
        await git.show_status(runner, path=path)
    return refusal.value.code, str(refusal.value)


async def test_new_repository_has_a_branch_and_no_commit(runner: Runner, repository: Built) -> None:
    repository.write("new")
    repository.write("staged")
    repository.git("add", "staged")

    assert await git.show_status(runner) == Status(
        root=".",
        branch="main",
        commit=None,
        upstream=None,
        ahead=None,
        behind=None,
        staged=[StatusEntry(path="staged", status="added")],
        unstaged=[],
        untracked=[StatusEntry(path="new", status="untracked")],
        conflicted=[],
        truncated=False,
    )


async def test_changes_of_every_type_are_reported(runner: Runner, repository: Built) -> None:
    for name in ("modified", "deleted", "mode", "type", "both", "staged-deleted"):
        repository.write(name)
    repository.write("old", "one\ntwo\nthree\n")
    commit = repository.commit()
    repository.write("modified", "other\n")
    (repository.folder / "deleted").unlink()
    (repository.folder / "mode").chmod(0o755)
    (repository.folder / "type").unlink()
    (repository.folder / "type").symlink_to("mode")
    repository.write("both", "staged\n")
    repository.git("mv", "old", "new")
    repository.git("rm", "--quiet", "staged-deleted")
    repository.git("add", "both")
    repository.write("both", "and changed again\n")
    repository.write("folder/a")
    repository.write("folder/b")
    status = await git.show_status(runner)

    assert status.commit == commit
    assert summary(status.staged) == {
        ("both", "modified", None),
        ("new", "renamed", "old"),
        ("staged-deleted", "deleted", None),
    }
    assert summary(status.unstaged) == {
        ("both", "modified", None),
        ("deleted", "deleted", None),
        ("mode", "modified", None),
        ("modified", "modified", None),
        ("type", "type_changed", None),
    }
    assert summary(status.untracked) == {("folder/", "untracked", None)}


async def test_upstream_is_reported_with_the_distance(runner: Runner, base: Path, tmp_path: Path) -> None:
    origin = Built.new(tmp_path / "origin")
    origin.commit("first")
    clone = Built(base)
    clone.git("clone", "--quiet", str(origin.folder), ".")
    origin.commit("theirs")
    for message in ("ours", "ours too"):
        clone.commit(message)
    clone.git("fetch", "--quiet")
    status = await git.show_status(runner)

    assert (status.branch, status.upstream, status.ahead, status.behind) == ("main", "origin/main", 2, 1)

    clone.git("update-ref", "-d", "refs/remotes/origin/main")
    status = await git.show_status(runner)
    assert (status.upstream, status.ahead, status.behind) == ("origin/main", None, None)


async def test_detached_head_has_no_branch(runner: Runner, repository: Built) -> None:
    commit = repository.commit()
    repository.git("checkout", "--quiet", "--detach")
    status = await git.show_status(runner)

    assert (status.branch, status.commit) == (None, commit)


async def test_conflicts_are_reported_by_type(runner: Runner, repository: Built) -> None:
    for name in ("both", "ours-gone", "theirs-gone"):
        repository.write(name, "one\n")
    repository.commit()
    repository.git("checkout", "--quiet", "-b", "theirs")
    repository.write("both", "theirs\n")
    repository.write("added", "theirs\n")
    repository.write("ours-gone", "theirs\n")
    (repository.folder / "theirs-gone").unlink()
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("both", "ours\n")
    repository.write("added", "ours\n")
    repository.write("theirs-gone", "ours\n")
    (repository.folder / "ours-gone").unlink()
    repository.commit()
    repository.git("merge", "theirs", fails=True)
    status = await git.show_status(runner)

    assert summary(status.conflicted) == {
        ("both", "both_modified", None),
        ("added", "both_added", None),
        ("ours-gone", "deleted_by_us", None),
        ("theirs-gone", "deleted_by_them", None),
    }


async def test_unusual_names_are_reported_unquoted(runner: Runner, repository: Built) -> None:
    names = [b"a b", b"new\nline", b"\xff", "größe".encode(), b"-n", b"x -> y", b'"q"', b":(top)a"]
    for name in names:
        repository.write(name)
    status = await git.show_status(runner)

    assert {entry.path for entry in status.untracked} == {name.decode("utf-8", "backslashreplace") for name in names}


async def test_secrets_are_reported_by_name(runner: Runner, repository: Built) -> None:
    repository.write(".env", "KEY=1")

    assert summary((await git.show_status(runner)).untracked) == {(".env", "untracked", None)}


async def test_ignored_files_are_left_out(runner: Runner, repository: Built) -> None:
    repository.write(".gitignore", "*.log\n")
    repository.write("a.log")

    assert summary((await git.show_status(runner)).untracked) == {(".gitignore", "untracked", None)}


@pytest.mark.parametrize("path", ["sub/r", "sub/r/", "./sub/../sub/r", "link"])
async def test_paths_of_a_repository_in_a_subfolder_are_relative_to_the_workspace(
    path: str, runner: Runner, base: Path
) -> None:
    Built.new(base / "sub/r").write("folder/a")
    (base / "link").symlink_to("sub/r")
    status = await git.show_status(runner, path=path)

    assert status.root == "sub/r"
    assert summary(status.untracked) == {("sub/r/folder/", "untracked", None)}


async def test_absolute_path_in_the_workspace_is_accepted(runner: Runner, repository: Built, base: Path) -> None:
    repository.write("a/b")

    assert summary((await git.show_status(runner, path=str(base / "a/b"))).untracked) == {("a/b", "untracked", None)}


@pytest.mark.parametrize("path", ["folder/a", "folder", "gone", "link"])
async def test_path_may_be_a_folder_a_file_a_link_or_deleted(path: str, runner: Runner, repository: Built) -> None:
    for name in ("folder/a", "gone", "other"):
        repository.write(name)
    (repository.folder / "link").symlink_to("other")
    repository.commit()
    repository.write("folder/a", "changed\n")
    repository.write("other", "changed\n")
    (repository.folder / "gone").unlink()
    (repository.folder / "link").unlink()
    (repository.folder / "link").symlink_to("nowhere")
    status = await git.show_status(runner, path=path)

    assert [entry.path.startswith(path) for entry in status.unstaged] == [True]


async def test_innermost_repository_is_chosen(runner: Runner, repository: Built) -> None:
    Built.new(repository.folder / "inner").write("a")
    repository.write("b")

    assert (await git.show_status(runner, path="inner")).root == "inner"
    assert (await git.show_status(runner, path="inner/a")).root == "inner"
    assert (await git.show_status(runner)).root == "."


async def test_submodule_is_reported_only_by_its_commit(runner: Runner, repository: Built) -> None:
    inner = Built.new(repository.folder / "inner")
    inner.commit()
    repository.git("-c", "advice.addEmbeddedRepo=false", "add", "inner")
    repository.git("commit", "--quiet", "--message", "submodule")
    inner.write("a")
    assert not (await git.show_status(runner)).unstaged
    inner.commit()

    assert summary((await git.show_status(runner)).unstaged) == {("inner", "modified", None)}


async def test_worktree_and_separate_git_folder_work_within_the_workspace(runner: Runner, base: Path) -> None:
    main = Built.new(base / "main")
    main.commit()
    main.git("worktree", "add", "--quiet", "-b", "other", "../other")
    separate = Built.new(base / "separate", f"--separate-git-dir={base}/elsewhere")
    separate.commit()

    assert (await git.show_status(runner, path="other")).branch == "other"
    assert (await git.show_status(runner, path="separate")).branch == "main"


async def test_repository_of_another_owner_is_readable(runner: Runner, repository: Built) -> None:
    if os.getuid() != 0:
        pytest.skip("Only root can give files away.")
    repository.write("a")
    repository.commit()
    for path in (repository.folder, *repository.folder.rglob("*")):
        os.chown(path, 12_345, 12_345)

    assert (await git.show_status(runner)).branch == "main"


async def test_file_with_converted_line_endings_is_unchanged(runner: Runner, repository: Built) -> None:
    repository.write(".gitattributes", "* text=auto eol=crlf\n")
    repository.write("a", "one\r\ntwo\r\n")
    repository.commit()
    os.utime(repository.folder / "a", (1, 1))
    status = await git.show_status(runner)

    assert (status.staged, status.unstaged) == ([], [])


async def test_nothing_is_written_to_the_repository(runner: Runner, repository: Built) -> None:
    repository.write("a")
    repository.commit()
    os.utime(repository.folder / "a", (1, 1))
    index = repository.folder / ".git/index"
    before = index.stat()
    await git.show_status(runner)

    assert (index.stat().st_ino, index.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("plain", ("not_found", "'plain' is not in a git repository")),
        (".", ("not_found", "'.' is not in a git repository")),
        ("missing", ("not_found", "'missing' is not in a git repository")),
        ("..", ("outside_workspace", "leads outside")),
        ("plain/../..", ("outside_workspace", "leads outside")),
        ("/etc", ("outside_workspace", "leads outside")),
        ("out", ("outside_workspace", "absolute link")),
        ("r/missing", ("not_found", "'r/missing' does not exist")),
        ("r/missing/../a", ("not_found", "")),
        ("r/.git", ("not_allowed", "git's own folder")),
        ("r/.GIT/config", ("not_allowed", "git's own folder")),
        ("", ("invalid_params", "empty")),
        ("r\0", ("invalid_params", "NUL")),
        ("r\ud800", ("invalid_params", "surrogate")),
        ("x" * 300, ("invalid_params", "255")),
    ],
)
async def test_path_without_a_repository_is_rejected(
    path: str, refused: tuple[str, str], runner: Runner, base: Path, tmp_path: Path
) -> None:
    Built.new(tmp_path)
    Built.new(base / "r")
    (base / "plain").mkdir()
    (base / "out").symlink_to(tmp_path)
    code, message = await refusal_of(runner, path)

    assert code == refused[0]
    assert refused[1] in message


async def test_long_status_is_truncated(workspace: Workspace, repository: Built) -> None:
    for number in range(10):
        repository.write(f"{number}")
    repository.git("add", "0", "1")
    status = await git.show_status(Runner(workspace, limits=Limits(max_files=4)))

    assert status.truncated
    assert (len(status.staged), len(status.untracked)) == (2, 2)
    status = await git.show_status(Runner(workspace, limits=Limits(max_output_bytes=200)))
    assert status.truncated
    assert status.branch == "main"


async def test_large_repository_is_reported_in_time(runner: Runner, repository: Built) -> None:
    blob = repository.git("hash-object", "-w", "--stdin", input_=b"text\n")
    names = [f"{number % 100}/{number}" for number in range(MANY)]
    for name in names[:100]:
        repository.write(name, "changed\n")
    entries = "".join(f"100644 {blob}\t{name}\n" for name in names)
    repository.git("update-index", "--index-info", input_=entries.encode())
    began = time.monotonic()
    status = await git.show_status(runner)

    assert time.monotonic() - began < MAX_SECONDS
    assert status.truncated
    assert len(status.staged) + len(status.unstaged) >= runner.limits.max_files


async def test_status_is_fast(runner: Runner, repository: Built) -> None:
    repository.write("a")
    repository.commit()
    times = []
    for _ in range(5):
        began = time.monotonic()
        await git.show_status(runner)
        times.append(time.monotonic() - began)

    assert statistics.median(times) < 0.5
