"""Errors of the kernel as errors of a tool."""

import errno
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from tools.base import ToolError, ToolErrorCode
from tools.workspace.confinement.paths import shown

KEPT = "Nothing was changed."

REFUSALS: dict[int, tuple[ToolErrorCode, str]] = {
    errno.ENOENT: ("not_found", "does not exist in the workspace."),
    errno.ENOTDIR: ("not_found", "does not exist: a part of it is not a folder."),
    errno.EISDIR: ("not_allowed", "is a folder: give the path of a regular file."),
    errno.ELOOP: ("conflict", "kept changing into a link while it was opened: try again."),
    errno.EAGAIN: ("conflict", "kept changing while it was opened: try again."),
    errno.EXDEV: ("outside_workspace", "leads outside the workspace: only files in it can be reached."),
    errno.ENXIO: ("not_allowed", "is not a regular file: only those can be read and written."),
    errno.EACCES: ("not_allowed", "may not be opened: the service has no permission for it."),
    errno.EPERM: ("not_allowed", "may not be changed: the system does not permit it."),
    errno.EROFS: ("not_allowed", f"is on a filesystem that is read-only. {KEPT}"),
    errno.ENAMETOOLONG: ("invalid_params", "is too long for the filesystem: use shorter names."),
    errno.EEXIST: ("conflict", "exists already."),
    errno.ENOSPC: ("failed", f"does not fit: the disk is full. {KEPT}"),
    errno.EDQUOT: ("failed", f"does not fit: the disk quota is used up. {KEPT}"),
    errno.EFBIG: ("failed", f"does not fit: the system allows no file of that size. {KEPT}"),
}


@contextmanager
def tool_errors(path: str) -> Iterator[None]:
    """Turn an `OSError` of the block into a `ToolError` about the path."""
    try:
        yield
    except OSError as error:
        raise tool_error(error, path) from error


def tool_error(error: OSError, path: str) -> ToolError:
    """Return the error of the kernel as the error of a tool."""
    unforeseen: tuple[ToolErrorCode, str] = ("failed", f"could not be used: {error.strerror}.")
    code, sentence = REFUSALS.get(error.errno or 0, unforeseen)
    return ToolError(f"{shown(path)} {sentence}", code=code)


def refuse_folder_path(path: str) -> None:
    """Raise `ToolError` (`not_allowed`) if the path has the form of a folder's path."""
    # The names of a parsed path no longer show a slash at the end.
    if path.endswith(("/", "/.")):
        raise ToolError(f"{shown(path)} names a folder: give the path of a regular file.", code="not_allowed")


def kind_of(mode: int) -> str:
    """Return the name of a kind of file that is not regular."""
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), "something else")


def not_regular(mode: int, path: str) -> ToolError:
    """Return the error for a folder, a FIFO, a socket or a device in the place of a file."""
    return ToolError(f"{shown(path)} is {kind_of(mode)}: give the path of a regular file.", code="not_allowed")
