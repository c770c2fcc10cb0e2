"""The files that differ between two commits, and whether a tool may write them into the work tree."""

import posixpath
from collections.abc import Iterable
from typing import Final

import msgspec

from tools.base import ToolError
from tools.committing.writable import WritableRepository
from tools.git.texts import parts_of
from tools.workspace.confinement.paths import Parts, joined, shown

DIFF: Final = ("diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-color")
LINK: Final = "120000"


class TreeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a tree: its path in the repository, its mode, and the hash of its object."""

    path: bytes
    mode: str
    sha: str

    @property
    def is_link(self) -> bool:
        return self.mode == LINK


def changed_entries(writable: WritableRepository, before: str, after: str) -> tuple[TreeEntry, ...]:
    """Return the entries that differ, as they are in the second commit. Raises `ToolError`."""
    fields = writable.read(*DIFF, before, after, "--").output.split(b"\0")
    found = []
    for header, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, sha, _ = header.decode().split()
        found.append(TreeEntry(path=path, mode=mode, sha=sha))
    return tuple(found)


def check_entries(writable: WritableRepository, entries: Iterable[TreeEntry]) -> None:
    """Check that a tool may write the entries. Raises `ToolError` (`not_allowed`, `denied`)."""
    workspace, links = writable.runner.workspace, []
    for entry in entries:
        parts = parts_of(entry.path, writable.repository.parts)
        if workspace.secret_names.cover(parts):
            raise ToolError(
                f"The commits differ in {shown(joined(parts))}, which has the name of a secret: no tool writes it.",
                code="not_allowed",
            )
        if workspace.permits and not workspace.permits(joined(parts)):
            raise ToolError("TOOL_POLICY does not let this call use one of its files.", code="denied")
        if entry.is_link:
            links.append(entry)
    if links:
        names = "".join(f"{entry.sha}\n" for entry in links).encode()
        check_links(links, writable.read("cat-file", "--batch", input_=names).output)


def check_links(links: Iterable[TreeEntry], batch: bytes) -> None:
    """Check that no link leads out of its repository. `batch` is the output of `git cat-file --batch`.

    Raises `ToolError` (`not_allowed`).
    """
    for entry in links:
        header, _, batch = batch.partition(b"\n")
        size = int(header.rpartition(b" ")[2]) if header.count(b" ") == 2 else 0
        target, batch = batch[:size], batch[size + 1 :]
        parts: Parts = parts_of(entry.path, ())
        path = posixpath.normpath(posixpath.join(*parts[:-1], target.decode(errors="surrogateescape") or "/"))
        if path.startswith("/") or path.split("/")[0] == "..":
            raise ToolError(
                f"{shown(joined(parts))} is a link that leads out of the repository: no tool makes it.",
                code="not_allowed",
            )
