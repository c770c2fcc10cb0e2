"""The parts of a folder that can be given without what has to be kept: Landlock takes nothing out of a folder again."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from tools.sandbox.policy import Part

MAX_WALKED: Final = 50_000
"""The most entries of a folder that are looked at."""

MAX_DEPTH: Final = 64
"""Folders that lie deeper are not looked into."""

MAX_PARTS: Final = 4_000
"""The most parts that a folder is divided into."""

STEP: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Withheld = Callable[["os.DirEntry[str]"], bool]
"""Whether an entry is to be kept from a command. Raises `FileNotFoundError` for one that is gone."""


class Parts(NamedTuple):
    """What may be given. Not `complete`: folders that were not looked into are left out."""

    parts: list[Part]
    complete: bool


class _Folder:
    """A folder that was met: what it holds, and whether something beneath it is withheld."""

    def __init__(self, names: tuple[str, ...], parent: "_Folder | None") -> None:
        self.names = names
        self.parent = parent
        self.files: list[str] = []
        self.folders: list[_Folder] = []
        self.whole = True

    def take(self, entry: "os.DirEntry[str]", withheld: Withheld, whole: Callable[[str], bool]) -> None:
        """One of its entries. Raises `FileNotFoundError`."""
        if withheld(entry):
            self.divide()
        elif entry.is_dir(follow_symlinks=False) and not whole(entry.name):
            self.folders.append(_Folder((*self.names, entry.name), self))
        elif not entry.is_symlink():
            self.files.append(entry.name)

    def divide(self) -> None:
        """It cannot be given as a whole, nor can the folders that hold it."""
        folder: _Folder | None = self
        while folder and folder.whole:
            folder.whole = False
            folder = folder.parent

    def refuse(self) -> None:
        """Nothing of it can be given."""
        self.divide()
        self.files, self.folders = [], []


def open_part(part: Part, flags: int) -> int:
    """A handle to the part, through no link but to one that it may be itself. Raises `OSError`."""
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


def nothing(name: str) -> bool:
    """No name."""
    return False


def parts_without(
    handle: int, withheld: Withheld, over: Callable[[], bool], whole: Callable[[str], bool] = nothing
) -> Parts:
    """The fewest parts of the folder that hold all of its files and folders but the withheld ones.

    Folders with a name that is `whole` are not looked into. Links are no parts: what one leads to is given by its own
    name, or not. The nearest folders are looked into first, until `over` says so or a bound is reached. Blocks.
    """
    root = _Folder((), None)
    folders = [root]
    left = MAX_WALKED
    complete = True
    for folder in folders:  # which grows meanwhile
        out_of_reach = left <= 0 or len(folder.names) >= MAX_DEPTH or over()
        if out_of_reach:
            folder.refuse()
            complete = False
            continue
        try:
            seen = _look_into(folder, handle, withheld, whole, left + 1)
        except OSError:  # nobody may, or it is gone
            folder.refuse()
            continue
        if seen > left:
            folder.refuse()
            complete = False
            continue
        left -= seen
        folders.extend(folder.folders)
    parts = [Part(handle, names) for names in _given(root)]
    return Parts(parts[:MAX_PARTS], complete and len(parts) <= MAX_PARTS)


def _look_into(folder: _Folder, handle: int, withheld: Withheld, whole: Callable[[str], bool], most: int) -> int:
    """How many entries were seen, at most so many. Raises `OSError`."""
    opened = open_part(Part(handle, folder.names), os.O_RDONLY | os.O_DIRECTORY)
    try:
        seen = 0
        with os.scandir(opened) as entries:
            for entry in islice(entries, most):
                seen += 1
                with suppress(FileNotFoundError):  # gone meanwhile
                    folder.take(entry, withheld, whole)
        return seen
    finally:
        os.close(opened)


def _given(root: _Folder) -> Iterator[tuple[str, ...]]:
    """The names of the parts, the nearest first: a folder where it is whole, else what it holds."""
    folders = [root]
    for folder in folders:  # which grows meanwhile
        if folder.whole:
            yield folder.names
        else:
            yield from ((*folder.names, name) for name in folder.files)
            folders.extend(folder.folders)
