"""The repository that a path of the workspace belongs to.

git itself must not search for it: it would follow a repository's own settings, and leave the workspace.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

import msgspec

from tools.base import ToolError
from tools.workspace import Folder, Workspace
from tools.workspace.confinement.paths import Parts, joined, shown

GIT = ".git"


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """An open folder with a `.git`, and the requested names below it; no names mean all of the repository.

    `exists` is false if the requested file is deleted; git may still know it.
    """

    folder: Folder
    names: Parts
    exists: bool

    @property
    def pathspec(self) -> tuple[str, ...]:
        """The path as an argument of git, after `--`."""
        return ("/".join(self.names),) if self.names else ()

    @property
    def parts(self) -> Parts:
        """The names of the repository's folder in the workspace."""
        return self.folder.parts

    @property
    def shown(self) -> str:
        """The repository's folder as a message may show it."""
        return shown(self.folder.path)


@contextmanager
def repository_of(workspace: Workspace, path: str) -> Iterator[Repository]:
    """Open the repository of a path: the nearest folder upwards in the workspace that has a `.git`.

    The path may be a folder, a file, or deleted. Links in its folders are followed; a link at its end is not.

    Raises `ToolError`: the errors of a workspace's paths, `not_found` if there is no repository, and `not_allowed` for
    a `.git` that is a link.
    """
    folder, missing = _nearest_folder(workspace, path)
    for count in range(len(folder), -1, -1):
        with workspace.open_folder(joined(folder[:count])) as candidate:
            if _has_git(candidate):
                names = (*folder[count:], *missing)
                exists = False
                with suppress(OSError):
                    os.lstat("/".join(names) or ".", dir_fd=candidate.fileno())
                    exists = True
                yield Repository(folder=candidate, names=names, exists=exists)
                return
    raise ToolError(
        f"{shown(path)} is not in a git repository: neither it nor a folder above it in the workspace has a `.git`.",
        code="not_found",
    )


def _nearest_folder(workspace: Workspace, path: str) -> tuple[Parts, Parts]:
    """Return the last existing folder of the path, without links, and the names after it."""
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
    # In a worktree or a submodule it is a file that names the folder.
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)
