"""`git.diff`: the text, the files, and the secrets that it withholds.

Covers `tools.git.quoting`.
"""

import os
import re
import time
from pathlib import Path

import pytest

from tests.tools.git.building import PLAIN, Built
from tools.base import ToolError
from tools.builtin import git, patch
from tools.git.changes import Changes, FileChange
from tools.git.limits import Limits
from tools.git.running import Runner
from tools.workspace import Workspace

SECRET = "the-canary-of-the-house"
LINES = "".join(f"{number}\n" for number in range(50))


def counts(result: Changes) -> dict[str, tuple[str, str | None, int | None, int | None]]:
    return {file.path: (file.action, file.source, file.added, file.removed) for file in result.files}


async def refusal_of(runner: Runner, **params: str | bool) -> tuple[str, str]:
    with pytest.raises(ToolError) as refusal:
        await git.diff(runner, **params)
    return refusal.value.code, str(refusal.value)


async def test_unstaged_staged_and_older_changes_are_shown(runner: Runner, repository: Built) -> None:
    repository.write("a", "one\n")
    first = repository.commit()
    repository.write("a", "two\n")
    repository.git("add", "a")
    repository.write("a", "three\n")

    assert (await git.diff(runner)).text.splitlines()[-2:] == ["-two", "+three"]
    assert (await git.diff(runner, staged=True)).text.splitlines()[-2:] == ["-one", "+two"]
    assert (await git.diff(runner, ref="HEAD")).text.splitlines()[-2:] == ["-one", "+three"]
    assert (await git.diff(runner, staged=True, ref=first)).text.splitlines()[-2:] == ["-one", "+two"]


async def test_text_equals_the_output_of_git(runner: Runner, repository: Built) -> None:
    for name in (b"a", b"tab\tnew\nline", b"\xff", "größe x".encode()):
        repository.write(name, LINES)
    repository.commit()
    for name in (b"a", b"tab\tnew\nline", b"\xff", "größe x".encode()):
        repository.write(name, LINES.replace("7\n", "seven\n") + "\rlast")
    plain = repository.run(("-c", "core.quotePath=false", "diff", "--histogram", "--no-indent-heuristic"), b"", PLAIN)

    assert (await git.diff(runner)).text == plain.stdout.decode("utf-8", "replace")


async def test_files_of_every_type_are_counted(runner: Runner, repository: Built) -> None:
    repository.write("modified", LINES)
    repository.write("deleted", "one\ntwo\n")
    repository.write("old", LINES)
    repository.write("mode", "x\n")
    repository.write("binary", b"\0\1")
    repository.write("type", "x\n")
    repository.commit()
    repository.write("modified", LINES + "more\n")
    repository.git("rm", "--quiet", "deleted")
    repository.git("mv", "old", "new")
    repository.write("new", LINES + "and\nmore\n")
    (repository.folder / "mode").chmod(0o755)
    repository.write("binary", b"\0\2")
    (repository.folder / "type").unlink()
    (repository.folder / "type").symlink_to("mode")
    repository.write("added", "quite other\n")
    repository.git("add", "--all")
    result = await git.diff(runner, staged=True)

    assert counts(result) == {
        "added": ("added", None, 1, 0),
        "binary": ("modified", None, None, None),
        "deleted": ("deleted", None, 0, 2),
        "mode": ("modified", None, 0, 0),
        "modified": ("modified", None, 1, 0),
        "new": ("renamed", "old", 2, 0),
        "type": ("type_changed", None, 1, 1),
    }
    assert [file.path for file in result.files if file.binary] == ["binary"]
    assert "old mode 100644\nnew mode 100755" in result.text
    assert "Binary files a/binary and b/binary differ" in result.text
    assert not result.truncated


async def test_conflict_is_shown_against_our_side(runner: Runner, repository: Built) -> None:
    repository.write("a", "one\n")
    repository.commit()
    repository.git("checkout", "--quiet", "-b", "other")
    repository.write("a", "theirs\n")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("a", "ours\n")
    repository.commit()
    repository.git("merge", "other", fails=True)
    result = await git.diff(runner)

    assert counts(result) == {"a": ("conflicted", None, 4, 0)}
    assert "+<<<<<<< HEAD\n ours\n+=======\n+theirs\n" in result.text
    assert counts(await git.diff(runner, staged=True))["a"][0] == "conflicted"


async def test_ranges_mean_the_same_as_in_git(runner: Runner, repository: Built) -> None:
    repository.commit("root")
    repository.git("branch", "other")
    repository.write("a", "quite\nother\n")
    repository.commit()
    repository.git("tag", "--annotate", "--message", "tag", "v1.0")
    repository.git("checkout", "--quiet", "other")
    repository.write("b")
    repository.commit()

    assert set(counts(await git.diff(runner, ref="main..other"))) == {"a", "b"}
    assert set(counts(await git.diff(runner, ref="main...other"))) == {"b"}
    assert set(counts(await git.diff(runner, ref="v1.0..other"))) == {"a", "b"}
    assert set(counts(await git.diff(runner, ref="main.."))) == {"a", "b"}
    assert counts(await git.diff(runner, ref="main..main")) == {}


async def test_path_limits_the_diff(runner: Runner, repository: Built) -> None:
    for name in ("folder/a", "folder/b", "folder2", "*"):
        repository.write(name, "one\n")
    repository.commit()
    for name in ("folder/a", "folder/b", "folder2", "*"):
        repository.write(name, "two\n")

    assert set(counts(await git.diff(runner, path="folder"))) == {"folder/a", "folder/b"}
    assert set(counts(await git.diff(runner, path="folder/b"))) == {"folder/b"}
    assert set(counts(await git.diff(runner, path="*"))) == {"*"}
    (repository.folder / "folder2").unlink()
    assert counts(await git.diff(runner, path="folder2")) == {"folder2": ("deleted", None, 0, 1)}


async def test_diff_of_a_repository_in_a_subfolder_applies_to_the_workspace(
    runner: Runner, workspace: Workspace, base: Path
) -> None:
    repository = Built.new(base / "sub/a repository")
    repository.write("old", LINES)
    repository.write('quo"te', "one\n")
    repository.commit()
    repository.git("mv", "old", "new")
    repository.write("new", LINES + "more\n")
    repository.write('quo"te', "two\n")
    result = await git.diff(runner, path="sub/a repository", ref="HEAD")
    repository.git("reset", "--quiet", "--hard")
    applied = await patch.apply_patch(workspace, patch=result.text)

    assert {file.path for file in applied.files} == {"sub/a repository/new", 'sub/a repository/quo"te'}
    assert repository.git("status", "--porcelain").splitlines()[0] == " D old"
    assert (repository.folder / "new").read_text() == LINES + "more\n"


async def test_secrets_are_withheld_under_each_of_their_names(runner: Runner, repository: Built) -> None:
    for name in (".env", "keys/id_rsa", "harmless", "server.pem", "open.txt", ".env.example"):
        repository.write(name, f"{name}\n{LINES}")
    repository.commit()
    repository.git("mv", "harmless", "now.key")
    repository.git("mv", "server.pem", "harmless.txt")
    for name in (".env", "keys/id_rsa", "now.key", "harmless.txt"):
        repository.write(name, (repository.folder / name).read_text() + SECRET)
    for name in ("open.txt", ".env.example"):
        repository.write(name, "changed\n")
    repository.git("add", "--all")
    result = await git.diff(runner, staged=True)

    assert SECRET not in result.text
    assert set(counts(result)) == {"open.txt", ".env.example"}
    assert result.withheld == [".env", "harmless.txt", "keys/id_rsa", "now.key"]
    assert len(re.findall("^diff --git", result.text, re.MULTILINE)) == 2


async def test_repository_in_a_secret_folder_is_withheld(runner: Runner, base: Path) -> None:
    repository = Built.new(base / ".aws")
    repository.write("config", SECRET)
    repository.git("add", "config")
    result = await git.diff(runner, path=".aws", staged=True)

    assert (result.text, result.files, result.withheld) == ("", [], [".aws/config"])


async def test_forged_diff_headers_reveal_no_secret(runner: Runner, repository: Built) -> None:
    names = [b"x", b"x b/x", b"x b/x b/x", b"x\ndiff --git a/x b/x"]
    for name in (*names, b"x b/.env"):
        repository.write(name, "diff --git a/x b/x\n+y\n")
    repository.write(".env", f"diff --git a/x b/x\n{SECRET}\n")
    repository.git("add", "--all", "--force")
    result = await git.diff(runner, staged=True)

    assert SECRET not in result.text
    assert ".env" in result.withheld
    assert result.text.count("+diff --git a/x b/x\n") >= 2


async def test_line_endings_and_missing_newlines_are_kept(runner: Runner, repository: Built) -> None:
    repository.write("a", "one\r\ntwo")
    repository.commit()
    repository.write("a", "one\r\nthree\r\n")

    assert (await git.diff(runner)).text.endswith(" one\r\n-two\n\\ No newline at end of file\n+three\r\n")


async def test_submodule_is_shown_by_its_commits(runner: Runner, repository: Built) -> None:
    inner = Built.new(repository.folder / "inner")
    old = inner.commit()
    repository.git("-c", "advice.addEmbeddedRepo=false", "add", "inner")
    repository.git("commit", "--quiet", "--message", "submodule")
    new = inner.commit("other")

    assert (await git.diff(runner)).text.endswith(f"-Subproject commit {old}\n+Subproject commit {new}\n")


async def test_long_diff_is_truncated_at_a_line(workspace: Workspace, repository: Built) -> None:
    for name in ("a", "b", "c"):
        repository.write(name, LINES)
    repository.git("add", "--all")
    whole = await git.diff(Runner(workspace), staged=True)
    for limits in (Limits(max_text_bytes=200), Limits(max_output_bytes=500)):
        result = await git.diff(Runner(workspace, limits=limits), staged=True)
        assert result.truncated
        assert result.text
        assert result.text.endswith("\n")
        assert whole.text.startswith(result.text)
    result = await git.diff(Runner(workspace, limits=Limits(max_files=2)), staged=True)
    assert result.truncated
    assert result.files == whole.files[:2]
    result = await git.diff(Runner(workspace, limits=Limits(max_output_bytes=60)), staged=True)
    assert (result.truncated, result.text) == (True, "")
    assert result.files[0] == FileChange(path="a", action="added", source=None, added=None, removed=None, binary=False)


async def test_huge_file_costs_neither_memory_nor_time(workspace: Workspace, repository: Built) -> None:
    """Git would have to read the whole file for the hash that a diff shows."""
    repository.write("large", "one\n")
    repository.commit()
    with (repository.folder / "large").open("r+b") as file:
        file.truncate(10 << 30)
    runner = Runner(workspace, limits=Limits(max_seconds=0.5))
    began = time.monotonic()
    with pytest.raises(ToolError) as refusal:
        await git.diff(runner)

    assert refusal.value.code == "timed_out"
    assert time.monotonic() - began < 2
    assert [entry.path for entry in (await git.show_status(runner)).unstaged] == ["large"]


@pytest.mark.parametrize("ref", ["nope", "nope..HEAD", "HEAD...nope", "HEAD~99", "@{upstream}", "HEAD@{99}", "f" * 40])
async def test_unknown_revision_is_named_in_the_error(ref: str, runner: Runner, repository: Built) -> None:
    repository.commit()
    code, message = await refusal_of(runner, ref=ref)

    assert code == "not_found"
    assert repr(ref) in message


@pytest.mark.parametrize("ref", ["tree", "blob"])
async def test_object_that_is_not_a_commit_is_rejected(ref: str, runner: Runner, repository: Built) -> None:
    repository.write("a")
    repository.commit()
    repository.git("tag", "tree", "HEAD^{tree}")
    repository.git("tag", "blob", "HEAD:a")

    assert (await refusal_of(runner, ref=ref))[0] == "not_found"


@pytest.mark.parametrize(
    "params",
    [{"ref": "--output=x"}, {"ref": "HEAD:a"}, {"ref": "a..b..c"}, {"ref": "a..b", "staged": True}],
    ids=str,
)
async def test_invalid_params_are_rejected(params: dict[str, str | bool], runner: Runner, repository: Built) -> None:
    repository.commit()

    assert (await refusal_of(runner, **params))[0] == "invalid_params"
    assert os.listdir(repository.folder) == [".git"]  # noqa: PTH208  the names alone


async def test_missing_path_is_reported(runner: Runner, repository: Built) -> None:
    repository.commit()

    assert await refusal_of(runner, path="nowhere/a") == (
        "not_found",
        "'nowhere/a' does not exist, and git knows nothing of it: list the files with `fs.list`.",
    )
