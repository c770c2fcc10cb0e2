"""What is in a folder, and in the folders beneath it, in the order of the names."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from typing import Literal

import msgspec

from tools.workspace.confinement.names import is_git
from tools.workspace.confinement.opening import READ_DIRECTORY
from tools.workspace.confinement.paths import Parts, joined
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.deadline import Deadline
from tools.workspace.limits import Limits
from tools.workspace.refusals import telling_of

EntryType = Literal["file", "directory", "symlink", "other"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A thing in the workspace. `size` is in bytes, `modified_ns` in nanoseconds since 1970."""

    parts: Parts
    type: EntryType
    size: int
    modified_ns: int

    @property
    def path(self) -> str:
        """Relative to the workspace."""
        return joined(self.parts)


class Walk:
    """The entries beneath a folder, each folder followed by what is in it. No link is followed, git's folder left out.

    It ends early at its deadline, at `max_walked` entries and at `max_path_depth`; `complete` says afterwards whether
    all were seen. Of a folder that holds too many, those are seen that the filesystem gives first.
    """

    def __init__(
        self, resolver: Resolver, folder: Parts, *, recursive: bool, limits: Limits, deadline: Deadline
    ) -> None:
        self._resolver = resolver
        self._folder = folder
        self._recursive = recursive
        self._limits = limits
        self._deadline = deadline
        self._left = limits.max_walked
        self.complete = True

    def __iter__(self) -> Iterator[Entry]:
        """Raises `ToolError` for the folder itself; one beneath it that cannot be read only makes it incomplete."""
        with telling_of(joined(self._folder)):
            pending = self._listing(self._folder)
        while pending:
            if self._deadline.over:
                self.complete = False
                return
            entry = pending.pop()
            yield entry
            if self._recursive and entry.type == "directory":
                pending.extend(self._listing_if_possible(entry.parts))

    def _listing_if_possible(self, folder: Parts) -> list[Entry]:
        """Nothing for a folder that lies too deep, is not for us, or is gone or a link by now."""
        if len(folder) >= self._limits.max_path_depth:
            self.complete = False
            return []
        try:
            return self._listing(folder)
        except OSError:
            self.complete = False
            return []

    def _listing(self, folder: Parts) -> list[Entry]:
        """The entries of a folder, last name first."""
        handle = self._resolver.open(folder, READ_DIRECTORY)
        try:
            with os.scandir(handle) as found:
                names = [item.name for item in islice(found, self._left + 1)]
            if len(names) > self._left:
                self.complete = False
                names.pop()
            self._left -= len(names)
            entries = [self._entry(handle, folder, name) for name in sorted(names, reverse=True) if not is_git(name)]
        finally:
            os.close(handle)
        return [entry for entry in entries if entry]

    def _entry(self, handle: int, folder: Parts, name: str) -> Entry | None:
        """None for what is gone by now."""
        try:
            status = os.lstat(name, dir_fd=handle)
        except FileNotFoundError:
            return None
        return entry_of((*folder, name), status)


def entry_of(parts: Parts, status: os.stat_result) -> Entry:
    """The entry that a status describes."""
    return Entry(parts=parts, type=_type(status.st_mode), size=status.st_size, modified_ns=status.st_mtime_ns)


def _type(mode: int) -> EntryType:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"
