"""Following the links of a path, so that the names of an opened file are known for certain.

A path is first opened as it is, without links. If that meets a link, every link is read from the handle of its folder,
and the path without links is opened. If a link is swapped in between, this is tried again. A file that is opened always
has exactly the names that were checked.
"""

import errno
import os
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from tools.base import ToolError
from tools.workspace.confinement.names import refuse_hidden
from tools.workspace.confinement.opening import DIRECTORY, READ_DIRECTORY, Opener
from tools.workspace.confinement.paths import Parts, joined, outside, shown

# Linux has the same maximum, see path_resolution(7).
MAX_LINKS = 40
"""Links that are followed in one path."""

ATTEMPTS = 64
"""Attempts to open a path that changes meanwhile."""

Result = TypeVar("Result")


def composed(name: str) -> str:
    """Return the name of a file in the composed form of Unicode (NFC), if it is UTF-8."""
    raw = os.fsencode(name)
    return unicodedata.normalize("NFC", raw.decode("utf-8", "surrogateescape"))


class Resolver:
    """Resolves paths below one folder."""

    def __init__(self, base: int, opener: Opener) -> None:
        self._base = base
        self._opener = opener

    def open(self, parts: Parts, flags: int) -> int:
        """Return a handle to exactly these names. Raises `OSError`, with `ELOOP` for a link."""
        return self._opener.open(self._base, parts, flags)

    def follow(self, parts: Parts, use: Callable[[Parts], Result]) -> Result:
        """Return the result of `use` on the path without links.

        If `use` raises `ELOOP`, because it meets a link, it is called again. Raises its other errors, and `ToolError`
        for a path that leads out, in circles, or to a hidden folder.
        """
        refuse_hidden(parts)
        # Nearly all paths have no link, and then one system call is enough.
        if ".." not in parts and all(map(str.isascii, parts)):
            try:
                return use(parts)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
        for _ in range(ATTEMPTS):
            try:
                real = self.without_links(parts)
                refuse_hidden(real)
                return use(real)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                last = error
        raise last

    def without_links(self, parts: Parts) -> Parts:
        """Return the path that the kernel would come to. Names that do not exist stay as they are."""
        done: list[str] = []
        pending = list(reversed(parts))
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                if not done:
                    raise outside(joined(parts))
                done.pop()
                continue
            part = self._spelled(tuple(done), part)
            target = self._target(tuple(done), part)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise ToolError(f"{shown(joined(parts))} is a link that leads in circles.", code="not_allowed")
            if target.startswith("/"):
                raise ToolError(
                    f"{shown(joined((*done, part)))} is an absolute link: only relative links that stay in the "
                    "workspace are followed.",
                    code="outside_workspace",
                )
            pending.extend(reversed([name for name in target.split("/") if name not in {"", "."}]))
        return tuple(done)

    def _spelled(self, folder: Parts, name: str) -> str:
        """Return the name as it is in the folder, if only its accents are composed in another way (NFC, NFD)."""
        if name.isascii():
            return name
        with suppress(OSError):
            handle = self.open(folder, READ_DIRECTORY)
            try:
                with os.scandir(handle) as items:
                    names = [item.name for item in items if not item.name.isascii()]
            finally:
                os.close(handle)
            same = [found for found in names if composed(found) == composed(name)]
            if name not in same and len(same) == 1:
                return same[0]
        return name

    def _target(self, folder: Parts, name: str) -> str | None:
        """Return the target of a link; None if the name is not a link."""
        try:
            handle = self.open(folder, DIRECTORY)
            try:
                return os.readlink(name, dir_fd=handle)
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOENT}:
                return None
            raise
