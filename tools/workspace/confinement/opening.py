"""Opening files below a folder and never through a link: by the kernel, or name by name if the kernel cannot.

Both ways return a handle to exactly the requested names. If one of them is a link they fail with `ELOOP`, whatever is
renamed or swapped meanwhile. `resolving` follows links, on top of this.

    WorkspaceUnavailableError    this machine cannot confine paths, or the base is not a folder
"""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from functools import cache
from typing import Literal, Protocol

from tools.workspace.confinement.paths import Parts

Confinement = Literal["openat2", "walk"]

# openat2(2) has the same number on all architectures; the C library has no function for it.
SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
# openat2(2) fails with EAGAIN if a rename happens meanwhile: about 3 % of opens under constant renames.
RETRIES = 128
"""Attempts of one open."""

O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
"""The flag for a handle without access, on Linux; on other systems, for a handle that can read."""

# A FIFO would block an open without O_NONBLOCK until it has a writer.
DIRECTORY = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
READ_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# For one name of a folder that is open: a link fails with ELOOP.
READ_NAME = READ_FILE | os.O_NOFOLLOW


class WorkspaceUnavailableError(Exception):
    """The workspace cannot be opened; the message gives the reason."""


class Opener(Protocol):
    """A way of opening that never leaves a folder and never goes through a link."""

    @property
    def confinement(self) -> Confinement:
        """The name of the confinement level."""

    def open(self, base: int, parts: Parts, flags: int) -> int:
        """Return a new handle to the names below the folder `base`.

        Raises `OSError`: `ELOOP` for a link anywhere, also as the last name.
        """


class _OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


HOW_BYTES = ctypes.sizeof(_OpenHow)


@cache
def _how(flags: int) -> "ctypes._CArgObject":
    """Return a pointer to the struct for some flags. The kernel only reads it."""
    resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS
    return ctypes.byref(_OpenHow(flags=flags | os.O_CLOEXEC, mode=0, resolve=resolve))


class KernelOpener:
    """Opens with openat2(2) and `RESOLVE_BENEATH`: Linux 5.6 or later, unless a container's profile hides it."""

    confinement: Confinement = "openat2"

    def __init__(self) -> None:
        self._syscall = _libc_syscall()

    def open(self, base: int, parts: Parts, flags: int) -> int:
        path = os.fsencode("/".join(parts)) or b"."
        for _ in range(RETRIES):
            handle = self._syscall(SYS_OPENAT2, base, path, _how(flags), HOW_BYTES)
            if handle >= 0:
                return handle
            number = ctypes.get_errno()
            if number not in {errno.EAGAIN, errno.EINTR}:
                break
        raise OSError(number, os.strerror(number))


class WalkOpener:
    """Opens one name after the other, each from the handle of its parent, and none through a link."""

    confinement: Confinement = "walk"

    def open(self, base: int, parts: Parts, flags: int) -> int:
        if not parts:
            return os.open(".", flags | os.O_CLOEXEC, dir_fd=base)
        folder = os.open(".", DIRECTORY, dir_fd=base)
        try:
            for part in parts[:-1]:
                child = _open_name(folder, part, DIRECTORY)
                os.close(folder)
                folder = child
            return _open_name(folder, parts[-1], flags)
        finally:
            os.close(folder)


def _open_name(folder: int, name: str, flags: int) -> int:
    """Open one name of a folder."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except NotADirectoryError:
        # open(2): with O_DIRECTORY, a link fails with ENOTDIR and not with ELOOP. A folder here was a link just now.
        mode = os.lstat(name, dir_fd=folder).st_mode
        if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
            raise link_error() from None
        raise


def link_error() -> OSError:
    """Return the error of an open that meets a link."""
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def choose_opener(base: int) -> Opener:
    """Return the best way that works on the folder `base`. Raises `WorkspaceUnavailableError` if none does."""
    # Old containers answer a hidden system call with EPERM, others with ENOSYS: either means that it is missing.
    ways: tuple[Callable[[], Opener], ...] = (KernelOpener, WalkOpener) if sys.platform == "linux" else (WalkOpener,)
    for way in ways:
        opener = way()
        try:
            os.close(opener.open(base, (), DIRECTORY))
        except (OSError, NotImplementedError):
            continue
        return opener
    raise WorkspaceUnavailableError(
        "No confined way to open files works here: neither openat2(2) nor opening relative to a folder's handle."
    )


def _libc_syscall() -> Callable[..., int]:
    """Return syscall(2) of the process's own C library, with an error number for each thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    libc.syscall.restype = ctypes.c_long
    return libc.syscall
