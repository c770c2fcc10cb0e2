"""The entries of a folder and of its subfolders."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Literal

import msgspec

from tools.base import Permits
from tools.workspace.confinement.names import is_hidden
from tools.workspace.confinement.opening import READ_DIRECTORY
from tools.workspace.confinement.paths import Parts, joined
from tools.workspace.confinement.resolving import Resolver
from tools.workspace.deadline import Deadline
from tools.workspace.ignoring import NAME, IgnoreRules, rules_above
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


def every_entry(parts: Parts) -> bool:
    """Want each entry."""
    return True


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The entries that a walk yields: those that `match`, by their names below the folder, and their sizes and times.

    Without `ignored`, what `.gitignore` names is left out, and so is everything below it.
    """

    match: Callable[[Parts], bool] = every_entry
    status: bool = True
    ignored: bool = True


EVERYTHING = Wanted()


class Walk:
    """The entries below a folder, the nearest folders first. Hidden names are left out, links not followed.

    Entries that `permits` rejects are left out. A walk ends early at its deadline, at `max_walked` entries and at
    `max_path_depth`. Afterwards `complete` is true if all entries were visited. While an entry is yielded, `handle` is
    that of its folder.
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
        wanted: Wanted = EVERYTHING,
    ) -> None:
        self._resolver = resolver
        self._folder = folder
        self._recursive = recursive
        self._limits = limits
        self._deadline = deadline
        self._permits = permits
        self._wanted = wanted
        self._left = limits.max_walked
        self.complete = True
        self.handle: int | None = None

    def __iter__(self) -> Iterator[Entry]:
        """Yield the entries. Raises `ToolError` if the folder itself cannot be read."""
        rules = None if self._wanted.ignored else rules_above(self._resolver, self._folder)
        # The nearest folders first: one deep folder with many entries must not hide the others.
        pending: deque[tuple[Parts, IgnoreRules | None]] = deque()
        wants_all = self._wanted.match is every_entry and self._permits is None
        try:
            with tool_errors(joined(self._folder)):
                listing = self._listing(self._folder, rules)
            while True:
                for entry, rules_there in listing:
                    if self._deadline.over:
                        self.complete = False
                        return
                    # A folder may be denied, and files in it allowed.
                    if wants_all or (self._matches(entry) and (self._permits is None or self._permits(entry.path))):
                        yield entry
                    if not self._recursive or entry.type != "directory":
                        continue
                    if len(entry.parts) < self._limits.max_path_depth:
                        pending.append((entry.parts, rules_there))
                    else:
                        self.complete = False
                if not pending:
                    return
                # A subfolder without read permission, or one that was removed or replaced by a link, is skipped.
                try:
                    listing = self._listing(*pending.popleft())
                except OSError:
                    self.complete, listing = False, []
        finally:
            self._leave()

    def _leave(self) -> None:
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None

    def _matches(self, entry: Entry) -> bool:
        return self._wanted.match(entry.parts[len(self._folder) :])

    def _listing(self, folder: Parts, rules: IgnoreRules | None) -> list[tuple[Entry, IgnoreRules | None]]:
        """Return the entries of a folder in the order of their names, with the rules that apply in it."""
        entries: list[tuple[Entry, IgnoreRules | None]] = []
        self._leave()
        self.handle = handle = self._resolver.open(folder, READ_DIRECTORY)
        # Sorting needs all names, so of a folder with too many the first that the filesystem returns are taken.
        with os.scandir(handle) as found:
            items = list(islice(found, self._left + 1))
        if len(items) > self._left:
            self.complete = False
            items.pop()
        self._left -= len(items)
        items.sort(key=attrgetter("name"))
        if rules is not None and NAME in [item.name for item in items]:
            rules = rules.below(self._resolver, folder)
        for item in items:
            try:
                entry = self._entry(folder, item, handle)
            except FileNotFoundError:  # it was removed between the two calls
                continue
            if is_hidden(item.name) or (rules and rules.ignore(entry.parts, is_folder=entry.type == "directory")):
                continue
            entries.append((entry, rules))
        return entries

    def _entry(self, folder: Parts, item: "os.DirEntry[str]", handle: int) -> Entry:
        parts = (*folder, item.name)
        if self._wanted.status and self._wanted.match(parts[len(self._folder) :]):
            return entry_of(parts, os.lstat(item.name, dir_fd=handle))
        # The type is known without a system call for each entry.
        kind: EntryType = "other"
        if item.is_file(follow_symlinks=False):
            kind = "file"
        elif item.is_dir(follow_symlinks=False):
            kind = "directory"
        elif item.is_symlink():
            kind = "symlink"
        return Entry(parts=parts, type=kind, size=0, modified_ns=0)


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
