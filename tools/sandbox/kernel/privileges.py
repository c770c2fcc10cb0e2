"""Giving up what a process may do beyond its user's own rights. Source: capabilities(7), prctl(2).

A file's owner who is root keeps the owner's rights, and loses the ones that override them.
"""

import contextlib
import os
import struct

from tools.sandbox.kernel.syscalls import prctl, syscall

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECUREBITS = 1, 4, 24, 28
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
ROOT_IS_ORDINARY = 0b10101111
"""`SECBIT_NOROOT`, `NO_SETUID_FIXUP`, `KEEP_CAPS_LOCKED`, `NO_CAP_AMBIENT_RAISE`, and their locks."""

CAPSET = {"x86_64": 126, "aarch64": 91}
CAPABILITY_VERSION_3 = 0x20080522
MAX_CAPABILITIES = 64


def forgo_privileges() -> None:
    """No new privileges by any program, no capability, and no look from outside into this process's memory."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_DUMPABLE, 0)
    with contextlib.suppress(PermissionError):  # only the privileged may, and need to
        prctl(PR_SET_SECUREBITS, ROOT_IS_ORDINARY)
    with contextlib.suppress(OSError):  # EPERM as above; EINVAL past the last one that the kernel has
        for capability in range(MAX_CAPABILITIES):
            prctl(PR_CAPBSET_DROP, capability)
    syscall(CAPSET[os.uname().machine], struct.pack("=Ii", CAPABILITY_VERSION_3, 0), bytes(24))


def go_first_without_memory() -> None:
    """Where the machine runs out of memory, this process and what it starts are ended before any other.

    Source: proc_pid_oom_score_adj(5).
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as adjustment:  # noqa: PTH123  slow
        adjustment.write(b"1000")


def adopt_orphans() -> None:
    """Descendants whose parent ended become this process's children."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(signal: int) -> None:
    """The signal comes to this process when its parent ends."""
    prctl(PR_SET_PDEATHSIG, signal)
