"""The parts of a workspace that a command may read, kept up to date between commands.

Landlock cannot deny an entry of a folder that it allows, so a folder with a secret in it is allowed entry by entry. To
find those folders, the whole workspace must be visited: this is done once, and inotify reports what changes later.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from kernel import inotify
from tools.sandbox import subtrees
from tools.sandbox.policy import Part
from tools.sandbox.protection.names import SecretPatterns, is_git
from tools.sandbox.subtrees import Parts, open_part

READ = os.O_RDONLY | os.O_DIRECTORY


class _Folder:
    """A visited folder. `secrets` and `repositories` are names in it.

    `below` counts the folders from here down that have secrets, and those that have repositories. A `closed` folder
    cannot be read, or lies beyond a limit: no command gets anything of it.
    """

    __slots__ = ("below", "closed", "folders", "name", "parent", "repositories", "secrets", "watch")

    def __init__(self, name: str, parent: "_Folder | None") -> None:
        self.name = name
        self.parent = parent
        self.folders: dict[str, _Folder] = {}
        self.secrets: set[str] = set()
        self.repositories: set[str] = set()
        self.closed = False
        self.watch: int | None = None
        self.below = [0, 0]

    @property
    def names(self) -> tuple[str, ...]:
        """The names from the workspace's folder to this one."""
        found: list[str] = []
        folder = self
        while folder.parent:
            found.append(folder.name)
            folder = folder.parent
        return tuple(reversed(found))

    def own(self) -> list[int]:
        """Return whether this folder itself has secrets, and repositories."""
        return [int(self.closed or bool(self.secrets)), int(bool(self.repositories))]

    def add_below(self, before: list[int], after: list[int]) -> None:
        """Count a change in this folder and in those above."""
        if before == after:
            return
        folder: _Folder | None = self
        while folder:
            folder.below = [count - old + new for count, old, new in zip(folder.below, before, after, strict=True)]
            folder = folder.parent

    def close(self) -> None:
        """Mark the folder as closed."""
        self.closed = True
        self.add_below([0, 0], self.own())

    def is_divided(self, *, with_git: bool) -> bool:
        """Return whether a command may not get all of this folder."""
        return self.below[0] > 0 or (self.below[1] > 0 and not with_git)


class Division:
    """The division of the folder of a handle. Any thread may call it; calls block."""

    def __init__(self, base: int, secrets: SecretPatterns) -> None:
        self._base = os.dup(base)
        self._secrets = secrets
        self._lock = threading.Lock()
        self._root: _Folder | None = None
        self._by_watch: dict[int, _Folder] = {}
        self._watcher = _new_watcher()
        self._visited = 0
        self._complete = True
        self._kept: dict[bool, Parts] = {}

    def __del__(self) -> None:
        os.close(self._base)
        if self._watcher:
            self._watcher.close()

    def readable(self, *, with_git: bool) -> Parts:
        """Return the parts that a command may read. As long as they are the same, so is the list."""
        with self._lock:
            root = self._current()
            if with_git not in self._kept:
                parts = list(self._parts(root, with_git=with_git))
                complete = self._complete and len(parts) <= subtrees.MAX_PARTS
                self._kept[with_git] = Parts(parts[: subtrees.MAX_PARTS], complete)
            return self._kept[with_git]

    def _current(self) -> _Folder:
        if self._root is None or self._watcher is None or not self._follow(self._watcher):
            self._rebuild()
        assert self._root  # noqa: S101  for the type checker
        return self._root

    def _rebuild(self) -> None:
        """Visit the whole workspace."""
        self._kept = {}
        if self._watcher:
            self._watcher.close()
        self._by_watch = {}
        self._watcher = _new_watcher()
        self._visited = 0
        self._complete = True
        self._root = _Folder("", None)
        self._visit(self._root)

    def _visit(self, first: _Folder) -> None:
        """Visit a folder and everything below it, the nearest folders first."""
        pending = deque([first])
        while pending:
            folder = pending.popleft()
            names = folder.names
            if self._visited >= subtrees.MAX_WALKED or len(names) >= subtrees.MAX_DEPTH:
                self._complete = False
                folder.close()
                continue
            try:
                handle = open_part(Part(self._base, names), READ)
            except OSError:  # no permission, or it was removed
                folder.close()
                continue
            try:
                self._watch(folder, handle)
                self._list(folder, handle)
            finally:
                os.close(handle)
            pending.extend(folder.folders.values())

    def _watch(self, folder: _Folder, handle: int) -> None:
        """Watch a folder. Its entries are listed afterwards, so that no change is lost in between."""
        if self._watcher is None:
            return
        try:
            folder.watch = self._watcher.add(handle)
        except OSError:  # the kernel allows no more
            self._watcher.close()
            self._watcher = None
            return
        self._by_watch[folder.watch] = folder

    def _list(self, folder: _Folder, handle: int) -> None:
        with os.scandir(handle) as entries:
            for entry in entries:
                self._visited += 1
                if not self._is_protected(folder, entry.name) and entry.is_dir(follow_symlinks=False):
                    folder.folders[entry.name] = _Folder(entry.name, folder)
        if self._visited > subtrees.MAX_WALKED:
            folder.folders.clear()
            folder.closed = True
            self._complete = False
        folder.add_below([0, 0], folder.own())

    def _is_protected(self, folder: _Folder, name: str) -> bool:
        """Return whether a name is protected, and take it if it is."""
        if is_git(name):
            folder.repositories.add(name)
        elif self._secrets.cover((name,)):
            folder.secrets.add(name)
        else:
            return False
        return True

    def _follow(self, watcher: inotify.Watcher) -> bool:
        """Take the reported changes. Return whether that was possible."""
        for event in watcher.events():
            if event.mask & inotify.OVERFLOW or self._watcher is None:
                return False
            if event.mask & inotify.IGNORED:
                self._by_watch.pop(event.watch, None)
            elif folder := self._by_watch.get(event.watch):
                self._change(folder, event)
        return self._watcher is not None and self._visited < subtrees.MAX_WALKED

    def _change(self, folder: _Folder, event: inotify.Event) -> None:
        before, divided = folder.own(), any(folder.below)
        name, is_folder = event.name, event.mask & inotify.IS_FOLDER
        if event.mask & (inotify.DELETE | inotify.MOVED_FROM):
            folder.secrets.discard(name)
            folder.repositories.discard(name)
            self._drop(folder, name)
        elif event.mask & inotify.ATTRIB:
            # A folder may have become readable, or may be no more.
            if is_folder and name in folder.folders:
                self._take(folder, name)
        elif not self._is_protected(folder, name) and is_folder:
            self._take(folder, name)
        folder.add_below(before, folder.own())
        # Of a folder that is not divided, no entry is a part.
        if divided or any(folder.below):
            self._kept = {}

    def _take(self, folder: _Folder, name: str) -> None:
        """Visit a folder that is new, or that has changed."""
        self._drop(folder, name)
        folder.folders[name] = made = _Folder(name, folder)
        self._visit(made)

    def _drop(self, folder: _Folder, name: str) -> None:
        """Forget a folder and everything below it."""
        dropped = folder.folders.pop(name, None)
        if dropped is None:
            return
        folder.add_below(dropped.below, [0, 0])
        pending = [dropped]
        while pending:
            gone = pending.pop()
            pending.extend(gone.folders.values())
            # A folder that was moved has its watch still, under its new name.
            if gone.watch is not None and self._by_watch.get(gone.watch) is gone:
                del self._by_watch[gone.watch]
                if self._watcher:
                    with suppress(OSError):
                        self._watcher.remove(gone.watch)

    def _parts(self, root: _Folder, *, with_git: bool) -> Iterator[Part]:
        """Yield the fewest parts without protected entries, nearest first."""
        pending: deque[tuple[tuple[str, ...], _Folder]] = deque()
        if root.is_divided(with_git=with_git):
            pending.append(((), root))
        if not pending and not root.closed:
            yield Part(self._base, ())
        while pending:
            names, folder = pending.popleft()
            for entry in () if folder.closed else _entries(self._base, names):
                path = (*names, entry.name)
                below = folder.folders.get(entry.name)
                if entry.is_symlink() or self._hides(entry.name, with_git=with_git):
                    # The target of a link is a part by its own name, or is withheld.
                    continue
                if below and below.is_divided(with_git=with_git):
                    pending.append((path, below))
                elif below or is_git(entry.name) or not entry.is_dir(follow_symlinks=False):
                    yield Part(self._base, path)

    def _hides(self, name: str, *, with_git: bool) -> bool:
        return not with_git if is_git(name) else self._secrets.cover((name,))


def _entries(base: int, names: tuple[str, ...]) -> "list[os.DirEntry[str]]":
    """Return the entries of a folder; none if it was removed."""
    try:
        opened = open_part(Part(base, names), READ)
    except OSError:
        return []
    try:
        with os.scandir(opened) as entries:
            return list(entries)
    finally:
        os.close(opened)


def _new_watcher() -> inotify.Watcher | None:
    """Return a watcher, or None if the kernel allows no more: the workspace is visited before each command then."""
    try:
        return inotify.Watcher()
    except OSError:
        return None
