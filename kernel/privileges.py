"""Giving up rights beyond those of the process's user. Source: capabilities(7), prctl(2).

A process of root keeps the rights of an owner, and loses those that override permissions.
"""

import contextlib
import os
import struct

from kernel.syscalls import prctl, syscall

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 4, 24, 28
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
ROOT_IS_ORDINARY = 0b10101111
"""`SECBIT_NOROOT`, `NO_SETUID_FIXUP`, `KEEP_CAPS_LOCKED`, `NO_CAP_AMBIENT_RAISE`, and their locks."""

CAPSET = {"x86_64": 126, "aarch64": 91}
CAPABILITY_VERSION_3 = 0x20080522
MAX_CAPABILITIES = 64


def forgo_privileges() -> None:
    """Give up all capabilities and the ways to gain new ones, and deny others access to this process's memory."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    # Only a privileged process may do this, and only such a one needs it.
    with contextlib.suppress(PermissionError):
        prctl(PR_SET_SECUREBITS, ROOT_IS_ORDINARY)
    # EPERM as above; EINVAL after the last capability that the kernel has.
    with contextlib.suppress(OSError):
        for capability in range(MAX_CAPABILITIES):
            prctl(PR_CAPBSET_DROP, capability)
    syscall(CAPSET[os.uname().machine], struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24))


class OutOfMemoryScore:
    """The place of this process among those that the kernel ends if the machine runs out of memory.

    A child begins with the score that its parent has. Open it before `forgo_privileges`, which closes the file to
    ordinary users, and change it afterwards: a privileged process could not lower it again.

    Source: proc_pid_oom_score_adj(5).
    """

    def __init__(self) -> None:
        self._handle: int | None = None
        self._own = b"0"
        with contextlib.suppress(OSError):
            self._handle = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
            self._own = os.read(self._handle, 16)

    def be_first(self) -> None:
        """Make this process, and children from now on, the first that the kernel ends."""
        self._write(b"1000")

    def restore(self) -> None:
        """Return this process to its own place."""
        self._write(self._own)

    def _write(self, score: bytes) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._handle, score, 0)


def adopt_orphans() -> None:
    """Make descendants whose parent has ended children of this process."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(signal: int) -> None:
    """Send this process a signal when its parent ends."""
    prctl(PR_SET_PDEATHSIG, signal)
