"""Which repository a path of the workspace belongs to.

git itself is not let look for one: it would follow what a repository says of itself, and climb out of the workspace.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

import msgspec

from tools.base import ToolError
from tools.workspace import Folder, Workspace
from tools.workspace.confinement.paths import Parts, joined, shown

GIT = ".git"


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """A folder with a `.git`, open, and what was asked for in it: names beneath it, none for all of it.

    `exists` says whether that is there now; git may know of what was.
    """

    folder: Folder
    names: Parts
    exists: bool

    @property
    def pathspec(self) -> tuple[str, ...]:
        """The path as an argument of git's, behind the `--`."""
        return ("/".join(self.names),) if self.names else ()

    @property
    def parts(self) -> Parts:
        """The names of its folder beneath the workspace."""
        return self.folder.parts

    @property
    def shown(self) -> str:
        """Its folder as a message may show it."""
        return shown(self.folder.path)


@contextmanager
def repository_of(workspace: Workspace, path: str) -> Iterator[Repository]:
    """The repository that the path lies in: the nearest folder upwards that has a `.git`, still in the workspace.

    The path may be a folder, a file, or what is there no more. Links among its folders are followed as everywhere in
    the workspace; a link at its end is meant itself.

    Raises `ToolError`: those of a workspace's paths, `not_found` where there is no repository, and `not_allowed` for a
    `.git` that is a link.
    """
    folder, missing = _nearest_folder(workspace, path)
    for count in range(len(folder), -1, -1):
        with workspace.open_folder(joined(folder[:count])) as candidate:
            if _has_git(candidate):
                names = (*folder[count:], *missing)
                yield Repository(folder=candidate, names=names, exists=_exists(candidate, names))
                return
    raise ToolError(
        f"{shown(path)} is not in a git repository: neither it nor a folder above it in the workspace has a `.git`.",
        code="not_found",
    )


def _nearest_folder(workspace: Workspace, path: str) -> tuple[Parts, Parts]:
    """The names of the last folder in the path, without links, and the names that follow it there."""
    place = PurePosixPath(path)
    missing: Parts = ()
    while True:
        try:
            with workspace.open_folder(path if not missing else str(place)) as folder:
                return folder.parts, missing
        except ToolError as error:
            if error.code != "not_found" or place.name in {"", ".."}:
                raise
        missing = (place.name, *missing)
        place = place.parent


def _has_git(folder: Folder) -> bool:
    try:
        mode = os.lstat(GIT, dir_fd=folder.fileno()).st_mode
    except OSError:
        return False
    if stat.S_ISLNK(mode):
        raise ToolError(
            f"The `.git` of {shown(folder.path)} is a link, which the git tools do not follow.", code="not_allowed"
        )
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)


def _exists(folder: Folder, names: Parts) -> bool:
    try:
        os.lstat("/".join(names) or ".", dir_fd=folder.fileno())
    except OSError:
        return False
    return True
