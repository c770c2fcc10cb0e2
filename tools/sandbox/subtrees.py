"""The parts of a folder without its withheld entries. Landlock cannot deny an entry of a folder that it allows."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from tools.sandbox.policy import Part

MAX_WALKED: Final = 1_000_000
"""Entries that are visited."""

MAX_DEPTH: Final = 64
"""Nested folders that are visited."""

MAX_PARTS: Final = 60_000
"""Parts of a folder."""

STEP: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Withheld = Callable[["os.DirEntry[str]"], bool]
"""Returns whether a command may not get an entry. Raises `FileNotFoundError` if the entry was removed."""


class Parts(NamedTuple):
    """The parts of a folder. If they are not `complete`, folders that were not visited are left out."""

    parts: list[Part]
    complete: bool


class _Folder:
    """A visited folder: its entries, and whether it is `whole`, without a withheld entry below it."""

    def __init__(self, names: tuple[str, ...], parent: "_Folder | None") -> None:
        self.names = names
        self.parent = parent
        self.files: list[str] = []
        self.folders: list[_Folder] = []
        self.whole = True

    def take(self, entry: "os.DirEntry[str]", withheld: Withheld) -> None:
        """Take an entry of the folder. Raises `FileNotFoundError`."""
        if withheld(entry):
            self.divide()
        elif entry.is_dir(follow_symlinks=False):
            self.folders.append(_Folder((*self.names, entry.name), self))
        elif not entry.is_symlink():
            # The target of a link is a part by its own name, or is withheld.
            self.files.append(entry.name)

    def divide(self) -> None:
        """Mark the folder and its parents as not whole."""
        folder: _Folder | None = self
        while folder and folder.whole:
            folder.whole = False
            folder = folder.parent

    def refuse(self) -> None:
        """Leave the folder out."""
        self.divide()
        self.files, self.folders = [], []


def open_part(part: Part, flags: int) -> int:
    """Return a handle to the part. Only its last name may be a link, which is not followed. Raises `OSError`."""
    if not part.names:
        return os.open(".", flags | os.O_CLOEXEC, dir_fd=part.handle)
    folder = part.handle
    try:
        for name in part.names[:-1]:
            child = os.open(name, STEP, dir_fd=folder)
            if folder != part.handle:
                os.close(folder)
            folder = child
        return os.open(part.names[-1], flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        if folder != part.handle:
            os.close(folder)


def parts_without(handle: int, withheld: Withheld, over: Callable[[], bool]) -> Parts:
    """Return the fewest parts that contain all files and folders of the folder, except the withheld ones.

    The nearest folders are visited first, until `over` returns true or a limit is reached. This blocks.
    """
    root = _Folder((), None)
    folders = [root]
    left = MAX_WALKED
    complete = True
    # The list grows while it is read, which makes this breadth first: the deepest folders are left out first.
    for folder in folders:
        out_of_reach = left <= 0 or len(folder.names) >= MAX_DEPTH or over()
        if out_of_reach:
            folder.refuse()
            complete = False
            continue
        try:
            seen = _visit(folder, handle, withheld, left + 1)
        except OSError:  # no permission, or it was removed
            folder.refuse()
            continue
        if seen > left:
            folder.refuse()
            complete = False
            continue
        left -= seen
        folders.extend(folder.folders)
    parts = [Part(handle, names) for names in _names(root)]
    return Parts(parts[:MAX_PARTS], complete and len(parts) <= MAX_PARTS)


def _visit(folder: _Folder, handle: int, withheld: Withheld, max_entries: int) -> int:
    """Take the entries of a folder, and return their number. Raises `OSError`."""
    opened = open_part(Part(handle, folder.names), os.O_RDONLY | os.O_DIRECTORY)
    try:
        seen = 0
        with os.scandir(opened) as entries:
            for entry in islice(entries, max_entries):
                seen += 1
                with suppress(FileNotFoundError):  # it was removed meanwhile
                    folder.take(entry, withheld)
        return seen
    finally:
        os.close(opened)


def _names(root: _Folder) -> Iterator[tuple[str, ...]]:
    """Yield the names of the parts, nearest first: of a whole folder its own, otherwise those of its entries."""
    folders = [root]
    for folder in folders:
        if folder.whole:
            yield folder.names
        else:
            yield from ((*folder.names, name) for name in folder.files)
            folders.extend(folder.folders)
