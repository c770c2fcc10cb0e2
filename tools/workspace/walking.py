"""The entries of a folder and of its subfolders, in the order of their names."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Literal

import msgspec

from tools.base import Permits
from tools.workspace.confinement.names import is_git
from tools.workspace.confinement.opening import READ_DIRECTORY
from tools.workspace.confinement.paths import Parts, joined
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.deadline import Deadline
from tools.workspace.limits import Limits
from tools.workspace.refusals import tool_errors

EntryType = Literal["file", "directory", "symlink", "other"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a folder. `size` is in bytes, `modified_ns` in nanoseconds since 1970."""

    parts: Parts
    type: EntryType
    size: int
    modified_ns: int

    @property
    def path(self) -> str:
        """The path relative to the workspace."""
        return joined(self.parts)


class Walk:
    """The entries below a folder; the entries of a subfolder follow it. Git's folder is left out, links not followed.

    Entries that `permits` rejects are left out. A walk ends early at its deadline, at
    `max_walked` entries and at `max_path_depth`. Afterwards `complete` is true if all entries were visited.
    """

    def __init__(
        self,
        resolver: Resolver,
        folder: Parts,
        *,
        recursive: bool,
        limits: Limits,
        deadline: Deadline,
        permits: Permits | None = None,
    ) -> None:
        self._resolver = resolver
        self._folder = folder
        self._recursive = recursive
        self._limits = limits
        self._deadline = deadline
        self._permits = permits
        self._left = limits.max_walked
        self.complete = True

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries. Raises `ToolError` if the folder itself cannot be read."""
        with tool_errors(joined(self._folder)):
            pending = self._listing(self._folder)
        while pending:
            if self._deadline.over:
                self.complete = False
                return
            entry = pending.pop()
            # A folder may be denied, and files in it allowed.
            if self._permits is None or self._permits(entry.path):
                yield entry
            if self._recursive and entry.type == "directory":
                if len(entry.parts) >= self._limits.max_path_depth:
                    self.complete = False
                    continue
                # A subfolder without read permission, or one that was removed or replaced by a link, is skipped.
                try:
                    pending.extend(self._listing(entry.parts))
                except OSError:
                    self.complete = False

    def _listing(self, folder: Parts) -> list[Entry]:
        """Return the entries of a folder, last name first."""
        entries: list[Entry] = []
        handle = self._resolver.open(folder, READ_DIRECTORY)
        try:
            # Sorting needs all names, so of a folder with too many the first that the filesystem returns are taken.
            with os.scandir(handle) as found:
                names = [item.name for item in islice(found, self._left + 1)]
            if len(names) > self._left:
                self.complete = False
                names.pop()
            self._left -= len(names)
            for name in sorted(names, reverse=True):
                # A file may be removed between the two calls.
                with suppress(FileNotFoundError):
                    if not is_git(name):
                        entries.append(entry_of((*folder, name), os.lstat(name, dir_fd=handle)))
        finally:
            os.close(handle)
        return entries


def entry_of(parts: Parts, status: os.stat_result) -> Entry:
    """Return the entry with this status."""
    kind: EntryType = "other"
    if stat.S_ISREG(status.st_mode):
        kind = "file"
    elif stat.S_ISDIR(status.st_mode):
        kind = "directory"
    elif stat.S_ISLNK(status.st_mode):
        kind = "symlink"
    return Entry(parts=parts, type=kind, size=status.st_size, modified_ns=status.st_mtime_ns)
