"""Opening beneath a folder, and never through a link: by the kernel, or name by name where the kernel cannot.

Both ways give a handle to exactly the names that were asked for, or `ELOOP` where one of them is a link, whatever is
renamed and swapped meanwhile. Links are followed above this, by `resolving`.

    WorkspaceUnavailableError    this machine offers no way to confine, or the base is no folder
"""

import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import Literal, Protocol

from tools.workspace.confinement.paths import Parts

Confinement = Literal["openat2", "walk"]

SYS_OPENAT2 = 437
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RETRIES = 128
"""How often an open that met a rename is tried anew; under constant swaps about 3 % of opens meet one."""

O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
"""A handle that only names a thing, where the system has such; elsewhere one that could also read it."""

DIRECTORY = O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
READ_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class WorkspaceUnavailableError(Exception):
    """No workspace can be opened here; the message says why."""


class Opener(Protocol):
    """A way of opening that never leaves a folder and never goes through a link."""

    @property
    def confinement(self) -> Confinement:
        """What it is called where the confinement level is told."""

    def open(self, base: int, parts: Parts, flags: int) -> int:
        """A new handle to what the names lead to from the folder `base`.

        Raises `OSError`: `ELOOP` for a link anywhere, also as the last name.
        """


class _OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class KernelOpener:
    """openat2(2) with `RESOLVE_BENEATH`: Linux 5.6 and later, unless a container's seccomp profile hides it."""

    confinement: Confinement = "openat2"

    def __init__(self) -> None:
        self._syscall = _libc_syscall()

    def open(self, base: int, parts: Parts, flags: int) -> int:
        path = os.fsencode("/".join(parts)) or b"."
        resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS
        how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=0, resolve=resolve)
        for _ in range(RETRIES):
            handle = self._syscall(SYS_OPENAT2, base, path, ctypes.byref(how), ctypes.sizeof(how))
            if handle >= 0:
                return handle
            number = ctypes.get_errno()
            if number not in {errno.EAGAIN, errno.EINTR}:
                break
        raise OSError(number, os.strerror(number))


class WalkOpener:
    """One name after the other, each from its parent's own handle and none through a link."""

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
    """Opens one name of a folder. Where a folder is wanted the system says `ENOTDIR` of a link: that is `ELOOP` too."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except NotADirectoryError:
        mode = os.lstat(name, dir_fd=folder).st_mode
        if stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
            raise link_met() from None
        raise


def link_met() -> OSError:
    """What opening says of a link."""
    return OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def choose_opener(base: int) -> Opener:
    """The best way that works here, tried on the folder `base`. Raises `WorkspaceUnavailableError` where none does."""
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
    """syscall(2) of the process's own C library, with its error number kept per thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    libc.syscall.restype = ctypes.c_long
    return libc.syscall
