"""The way back: the files that a run changed get their earlier content, all of them or none.

ChangedSince          a file is not as the run left it
NotKept               a content is not kept, because it was too large
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from tools.base import ToolError
from tools.changes.log import Content, RunChanges
from tools.workspace import Change, Workspace

Direction = Literal["undo", "redo"]
UNDO: Final = "undo"
UNREADABLE: Final = Content(sha256="unreadable", size=0)
"""The content of an entry that cannot be read as a file."""


class _Refused(Exception):
    """The files for which nothing was changed."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(", ".join(paths))
        self.paths = tuple(paths)


class ChangedSince(_Refused):
    """The file is not as the run left it."""


class NotKept(_Refused):
    """The content of the file is not kept."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has its earlier content again, or its later one. `action` is `none` if it had it already."""

    path: str
    action: Literal["written", "removed", "none"]


def restore(workspace: Workspace, changes: RunChanges, direction: Direction) -> tuple[Restored, ...]:
    """Give the files of a run their content before it, or after it again. This blocks.

    Doing it twice is the same as once. Raises `ChangedSince`, `NotKept` and `ToolError`; then no file has changed.
    """
    is_undo = direction == UNDO
    edits: list[Change] = []
    restored: list[Restored] = []
    elsewhere: list[str] = []
    missing: list[str] = []
    for file in changes.files():
        target = file.before if is_undo else file.after
        found = _current(workspace, file.path)
        if _is_same(found, target):
            restored.append(Restored(path=file.path, action="none"))
        # Before a crash the last change may not have been made.
        elif not any(_is_same(found, left) for left in ((file.after, file.between) if is_undo else (file.before,))):
            elsewhere.append(file.path)
        elif target is not None and not target.kept:
            missing.append(file.path)
        else:
            restored.append(Restored(path=file.path, action="written" if target else "removed"))
            edits.append(
                Change(
                    path=file.path,
                    data=changes.read(target) if target else None,
                    create_only=found is None,
                    expected_sha256=found.sha256 if found else None,
                    executable=target.executable if target else None,
                )
            )
    if elsewhere:
        raise ChangedSince(elsewhere)
    if missing:
        raise NotKept(missing)
    workspace.apply(edits)
    return tuple(restored)


def _current(workspace: Workspace, path: str) -> Content | None:
    """Return the content of a file now; None if it does not exist. Raises `ToolError`."""
    try:
        with workspace.open_file(path) as file:
            return Content(sha256=file.sha256(workspace.limits.max_hash_bytes), size=file.size)
    except ToolError as error:
        if error.code == "not_found":
            return None
        if error.code == "denied":
            raise
        return UNREADABLE


def _is_same(one: Content | None, other: Content | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.sha256 == other.sha256
