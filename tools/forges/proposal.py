"""A proposal: the commits of a branch that a pull request offers, their objects, and the difference that they make."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tools.base import ToolError
from tools.committing.branch_names import check_branch
from tools.committing.writable import input_of
from tools.forges.allowed import AllowedRemotes, Target
from tools.forges.offered import NO_OBJECT, Secrets, check_secrets, graph, shown_diff
from tools.forges.private_repository import LIMITS, MAX_BYTES, private_repository
from tools.git.hardening import WRITING_SETTINGS
from tools.git.repository import Repository, repository_of
from tools.git.running import GitResult, Place, Runner
from tools.git.texts import parts_of
from tools.workspace import Deadline
from tools.workspace.confinement.paths import joined, shown

MAX_OBJECTS: Final = 20_000
MAX_DIFF_BYTES: Final = 1024 * 1024
"""Bytes of a difference, so that an approval can show it whole."""

TREE, SUBMODULE, NONE = "040000", "160000", "000000"
SHA: Final = re.compile(r"[0-9a-f]{40}")
UNSET_PACK: Final = {"pack.packSizeLimit": "0", "pack.threads": "1", "pack.useSparse": "false"}
DIFF: Final = ("diff", "--text", "--no-renames", "--no-color", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/")
RAW: Final = ("diff-tree", "-r", "-t", "--raw", "-z", "--no-renames", "--no-abbrev")


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A branch `head` of a repository, whose commits since `base_sha` are to be offered to the branch `base`.

    `ancestors` are commits that the head is known to contain. `paths` are those of the changed files in the workspace.
    `pack` has exactly the objects of the commits.
    """

    target: Target
    head: str
    base: str
    head_sha: str
    base_sha: str
    commits: int
    ancestors: frozenset[str]
    paths: tuple[str, ...]
    diff: str
    pack: bytes

    @property
    def shown(self) -> dict[str, Any]:
        """The proposal as an approval shows it, and is bound to it."""
        return {
            "repository": self.target.page,
            "head": self.head,
            "head_sha": self.head_sha,
            "base": self.base,
            "base_sha": self.base_sha,
            "commits": self.commits,
            "files": len(self.paths),
            "diff": self.diff,
        }


class _Entry(msgspec.Struct, frozen=True):
    """A changed entry of a tree: its path, its objects before and after, and whether it is a folder."""

    path: bytes
    shas: tuple[str, ...]
    is_tree: bool


class _Source:
    """The repository in the workspace. What it says is checked afterwards."""

    def __init__(self, runner: Runner, repository: Repository, deadline: Deadline) -> None:
        self._runner = Runner(runner.workspace, limits=LIMITS)
        self._deadline = deadline
        self.repository = repository

    def git(self, *arguments: str, input_: bytes = b"", fails: bool = False) -> GitResult:
        with input_of(input_) as handle:
            place = Place(
                cwd=self.repository.folder.fileno(), input=handle, settings={**WRITING_SETTINGS, **UNSET_PACK}
            )
            done = self._runner.run(arguments, self.repository.folder, self._deadline, place)
        if not done.complete:
            raise _too_large()
        if done.exit_code != 0 and not fails:
            raise ToolError(
                f"{self.repository.shown} is a repository that git could not read: it is damaged, or needs files that "
                "git may not reach here.",
                code="failed",
            )
        return done

    def text(self, *arguments: str) -> str:
        """Return one line of output; an empty text if git fails."""
        done = self.git(*arguments, fails=True)
        return done.output.decode(errors="replace").strip() if done.exit_code == 0 else ""

    def names(self, *objects: str) -> tuple[str, ...]:
        """Return the name of each object, such as `main^{commit}`; an empty text for one that does not exist."""
        asked = "".join(f"{name}\n" for name in objects).encode()
        lines = self.git("cat-file", "--batch-check=%(objectname)", input_=asked).output.decode(errors="replace")
        return tuple("" if " " in line else line for line in lines.splitlines())

    def pack(self, names: Iterable[str]) -> bytes:
        listed = "".join(f"{name}\n" for name in names).encode()
        return self.git("pack-objects", "--stdout", "-q", input_=listed).output

    def origin(self) -> str:
        """Return the URL of the remote `origin`. Raises `ToolError` if there is none."""
        url = self.text("config", "--get", "remote.origin.url")
        if not url:
            raise ToolError(
                f"{self.repository.shown} has no remote `origin`, so there is no forge to offer it to: use a "
                "repository that was cloned.",
                code="not_found",
            )
        return url

    def current_branch(self) -> str:
        """Return the current branch. Raises `ToolError` if there is none."""
        name = self.text("symbolic-ref", "--short", "--quiet", "HEAD")
        if not name:
            raise ToolError(
                "HEAD is detached: name the branch in head, or make one with `git.switch` and `create`.",
                code="conflict",
            )
        return name

    def new_objects(self, head_sha: str, base_sha: str) -> list[str]:
        """Return the objects that the head has and the base does not have. Raises `ToolError` if they are too many."""
        listed = self.git("rev-list", "--objects", "--no-object-names", head_sha, f"^{base_sha}").output
        names = listed.decode(errors="replace").split()
        if len(names) > MAX_OBJECTS:
            raise _too_large()
        return names


def propose(
    runner: Runner,
    allowed: AllowedRemotes,
    secrets: Secrets,
    private: Path,
    deadline: Deadline,
    *,
    path: str,
    base: str,
    head: str | None,
) -> Proposal:
    """Return the proposal of a branch, made with the help of a `private` folder. This blocks. Raises `ToolError`."""
    check_branch(base)
    with repository_of(runner.workspace, path) as repository:
        source = _Source(runner, repository, deadline)
        target = allowed.publishable(source.origin())
        head = check_branch(head or source.current_branch())
        head_sha, base_sha = _ends(source, head, base)
        new = source.new_objects(head_sha, base_sha)
        entries = tuple(_changed(source.git(*RAW, base_sha, head_sha, "--").output))
        if not new or not entries:
            raise ToolError(f"No changes: {head} has nothing that {base} does not have.", code="conflict")
        named = {sha for entry in entries for sha in entry.shas}
        trees = source.names(f"{head_sha}^{{tree}}", f"{base_sha}^{{tree}}")
        around = sorted({base_sha, *trees, *named} - {*new, NO_OBJECT})
        pack, others = source.pack(new), source.pack(around)
        root = repository.parts

    with private_repository(private, deadline) as checked:
        checked.add_pack(pack)
        offered = checked.objects(new)
        checked.add_pack(others)
        check_secrets(offered, checked.objects(around), secrets, runner.workspace.secret_names)
        diff = shown_diff(checked.git(*DIFF, base_sha, head_sha, "--"))
    if len(diff.encode()) > MAX_DIFF_BYTES or int.from_bytes(pack[8:12], "big") != len(new):
        raise _too_large()
    commits, ancestors = graph(offered, head_sha, base_sha)
    return Proposal(
        target=target,
        head=head,
        base=base,
        head_sha=head_sha,
        base_sha=base_sha,
        commits=commits,
        ancestors=ancestors,
        paths=tuple(joined(parts_of(entry.path, root)) for entry in entries if not entry.is_tree),
        diff=diff,
        pack=pack,
    )


def _ends(source: _Source, head: str, base: str) -> tuple[str, str]:
    """Return the commit of the head, and the last one that it has in common with the base. Raises `ToolError`."""
    if head == base:
        raise ToolError(
            f"head and base are both {shown(base)}: commit to another branch, which `git.switch` with `create` makes.",
            code="invalid_params",
        )
    refs = (f"refs/heads/{head}", f"refs/remotes/origin/{base}", f"refs/heads/{base}")
    head_sha, of_remote, of_branch = source.names(*(f"{ref}^{{commit}}" for ref in refs))
    base_tip = of_remote or of_branch
    for name, sha in ((head, head_sha), (base, base_tip)):
        if not sha:
            raise ToolError(f"The repository has no branch {shown(name)}: see `git.status`.", code="not_found")
        if not SHA.fullmatch(sha):
            raise ToolError("Repositories with SHA-256 names cannot be sent to a forge.", code="not_allowed")
    common = source.text("merge-base", head_sha, base_tip).partition("\n")[0]
    if not SHA.fullmatch(common):
        raise ToolError(f"{shown(head)} and {shown(base)} have no commit in common.", code="conflict")
    return head_sha, common


def _changed(output: bytes) -> Iterator[_Entry]:
    """Yield the entries in the output of `git diff-tree --raw -z`."""
    fields = output.split(b"\0")
    for header, path in zip(fields[::2], fields[1::2], strict=False):
        before_mode, after_mode, before, after, _ = header.decode().removeprefix(":").split()
        sides = ((before_mode, before), (after_mode, after))
        # The commit of a submodule is not an object of this repository.
        shas = tuple(sha for mode, sha in sides if mode != SUBMODULE)
        yield _Entry(
            path, shas, is_tree=TREE in {before_mode, after_mode} and {before_mode, after_mode} <= {TREE, NONE}
        )


def _too_large() -> ToolError:
    return ToolError(
        f"The branch has more than {MAX_OBJECTS} new objects, or {MAX_BYTES} bytes, or {MAX_DIFF_BYTES} bytes of "
        "difference. Offer it in parts.",
        code="too_large",
    )
