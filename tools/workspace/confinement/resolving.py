"""Following the links of a path by hand, so that the names of what is opened are known for certain.

A path is first opened as it stands, without links. Where one is met, every link is read from the handle of the folder
that it lies in, and the path without links is opened in turn. A link that is swapped in between the two only costs
another attempt: what is opened in the end has exactly the names that were checked.
"""

import errno
import os
from collections.abc import Callable
from typing import TypeVar

from tools.base import ToolError
from tools.workspace.confinement.names import refuse_git
from tools.workspace.confinement.opening import DIRECTORY, Opener
from tools.workspace.confinement.paths import Parts, joined, outside, shown

MAX_LINKS = 40
"""As many as Linux itself follows in one path, see path_resolution(7)."""

ATTEMPTS = 64
"""How often a path that changes while it is opened is tried."""

Result = TypeVar("Result")


class Resolver:
    """Finds what a path means beneath one folder."""

    def __init__(self, base: int, opener: Opener) -> None:
        self._base = base
        self._opener = opener

    def open(self, parts: Parts, flags: int) -> int:
        """A handle to exactly these names. Raises `OSError`, with `ELOOP` for a link."""
        return self._opener.open(self._base, parts, flags)

    def follow(self, parts: Parts, use: Callable[[Parts], Result]) -> Result:
        """What `use` makes of the path without links that `parts` leads to.

        `use` raises `ELOOP` where it meets a link after all, and is then called again.
        Raises its other errors, and `ToolError` for a path that leads out, in circles, or to git's own folder.
        """
        refuse_git(parts)
        if ".." not in parts:
            try:
                return use(parts)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
        for _ in range(ATTEMPTS):
            try:
                real = self._without_links(parts)
                refuse_git(real)
                return use(real)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                last = error
        raise last

    def _without_links(self, parts: Parts) -> Parts:
        """The path that the kernel would come to; names that do not exist stay as they are."""
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
            target = self._target(tuple(done), part)
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise ToolError(f"{shown(joined(parts))} is a link that leads in circles.", code="not_allowed")
            pending.extend(reversed(_names(target, (*done, part))))
        return tuple(done)

    def _target(self, folder: Parts, name: str) -> str | None:
        """Where the link of that name leads; None where it is none."""
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


def _names(target: str, link: Parts) -> list[str]:
    """The names in a link's target. Raises `ToolError` for one that is absolute."""
    if target.startswith("/"):
        raise ToolError(
            f"{shown(joined(link))} is an absolute link: only relative links that stay in the workspace are followed.",
            code="outside_workspace",
        )
    return [name for name in target.split("/") if name not in {"", "."}]
