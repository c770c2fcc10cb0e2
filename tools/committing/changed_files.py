"""The changed files of a work tree, as `git status` lists them for staging and for a commit."""

from collections.abc import Iterator
from typing import Final

import msgspec

from tools.base import ToolError
from tools.committing.writable import WritableRepository
from tools.git.status import FIELDS_BEFORE_PATH
from tools.git.texts import parts_of
from tools.workspace.confinement.paths import Parts, joined, shown

STATUS: Final = ("status", "--porcelain=v2", "-z", "--branch", "--no-renames", "--no-ahead-behind")
SHOWN_FILES: Final = 5


class ChangedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file: its path in the repository, and its names in the workspace.

    `staged` and `unstaged` are the letters of git-status(1); `.` stands for unchanged. `is_embedded` is true for a
    submodule, and for a repository in the repository.
    """

    path: bytes
    parts: Parts
    staged: str
    unstaged: str
    is_conflict: bool
    is_embedded: bool

    @property
    def shown(self) -> str:
        return joined(self.parts)


class WorkTree(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a work tree. `branch` is empty for a detached HEAD, `commit` before the first commit."""

    branch: str
    commit: str
    files: tuple[ChangedFile, ...]


def work_tree(writable: WritableRepository, pathspec: tuple[str, ...] = (), *, untracked: bool) -> WorkTree:
    """Return the branch, and the changed files of some paths. Raises `ToolError`."""
    names = "all" if untracked else "no"
    done = writable.read(*STATUS, f"--untracked-files={names}", "--", *pathspec)
    headers: dict[str, str] = {}
    files: list[ChangedFile] = []
    for record in done.output.split(b"\0")[:-1]:
        if record.startswith(b"# "):
            name, _, value = record[2:].partition(b" ")
            headers[name.decode()] = value.decode(errors="replace")
        else:
            files += _files(record, writable.repository.parts)
    head, commit = headers.get("branch.head", ""), headers.get("branch.oid", "")
    return WorkTree(
        branch="" if head == "(detached)" else head,
        commit="" if commit == "(initial)" else commit,
        files=tuple(files),
    )


def check_names(writable: WritableRepository, files: tuple[ChangedFile, ...]) -> None:
    """Check that no file has the name of a secret or is denied by the policy. Raises `ToolError`."""
    workspace = writable.runner.workspace
    secret = [file.shown for file in files if workspace.secret_names.cover(file.parts)]
    if secret:
        raise ToolError(
            f"{', '.join(map(shown, secret[:SHOWN_FILES]))}: the names of secrets, which are never committed. Unstage "
            "them, or rename those that are harmless.",
            code="not_allowed",
        )
    if workspace.permits and not all(workspace.permits(file.shown) for file in files):
        raise ToolError("TOOL_POLICY does not let this call use one of its files.", code="denied")


def _files(record: bytes, root: Parts) -> Iterator[ChangedFile]:
    kind = chr(record[0]) if record else ""
    if kind == "?":
        path, staged, unstaged, is_embedded = record[2:], ".", "?", record.endswith(b"/")
    elif kind in FIELDS_BEFORE_PATH:
        fields = record.split(b" ", FIELDS_BEFORE_PATH[kind])
        path, is_embedded = fields[-1], fields[2].startswith(b"S")
        staged, unstaged = fields[1].decode()[:1], fields[1].decode()[1:]
    else:
        return
    yield ChangedFile(
        path=path,
        parts=parts_of(path.rstrip(b"/"), root),
        staged=staged,
        unstaged=unstaged,
        is_conflict=kind == "u",
        is_embedded=is_embedded,
    )
