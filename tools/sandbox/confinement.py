"""What this machine's kernel can hold a command to, as it is told to people and stored with executions."""

import os
from pathlib import Path

import msgspec

from tools.sandbox.kernel import landlock, seccomp
from tools.sandbox.refusals import SandboxUnavailableError

HIDES = (
    (
        "the content of every file and folder but the workspace, the command's own temporary folder, programs and what "
        "they start from: libraries, the loader's cache, the local time zone, the table of file types, /dev/null, "
        "/dev/zero and random numbers"
    ),
    "sockets of every family, but for unnamed pairs within the command",
    "the memory, environment and open files of every other process",
    "changes of the mode, owner, attributes and times of any file",
    "kernel interfaces: tracing, io_uring, mounts, namespaces, keys, modules, shared memory of other processes",
)
KEEPS_SIGNALS = "processes outside the command, from its signals"
DENIES_SIGNALS = "processes outside the command, by denying every signal, also within it"
CANNOT_HIDE = (
    (
        "what lies in a folder that a command is given, such as a .env file, from a program that may read it; "
        "terminal.exec gives no file with a secret's name, and git's own folder to git alone"
    ),
    "that a file outside exists, its size, times, extended attributes and where a link leads, if its name is known",
    "which process numbers are in use, the machine's name, load and clock",
    "how full the disk is; the temporary folder bounds the size of a file, not the number of files",
    "memory that the kernel holds for a command: buffers of its pipes, and its files where /tmp is memory",
    "a file of another name that is the same by a hard link, which somebody outside has made",
)


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """A level: its name, Landlock's version, and in words what it keeps away and what it cannot."""

    level: str
    landlock_abi: int
    hides: tuple[str, ...]
    cannot_hide: tuple[str, ...] = CANNOT_HIDE


def confinement(landlock_abi: int) -> Confinement:
    """The level that a version of Landlock gives, with seccomp beside it."""
    signals = KEEPS_SIGNALS if landlock_abi >= landlock.SCOPES_ABI else DENIES_SIGNALS
    return Confinement(level=f"landlock{landlock_abi}+seccomp", landlock_abi=landlock_abi, hides=(*HIDES, signals))


def kernel_confinement() -> Confinement:
    """The level of this machine. Raises `SandboxUnavailableError` where it has none."""
    abi = landlock.landlock_abi()
    if abi < landlock.OLDEST_ABI:
        raise SandboxUnavailableError(
            f"Commands need Landlock {landlock.OLDEST_ABI} or later (Linux 6.2, named in the kernel's `lsm=`), "
            f"and not hidden by a container's profile: here it is {abi or 'missing'}."
        )
    if not seccomp.available():
        raise SandboxUnavailableError(
            f"Commands need seccomp filters on one of {', '.join(seccomp.MACHINES)}: here they are missing."
        )
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        raise SandboxUnavailableError("Commands need a /proc that lists children (CONFIG_PROC_CHILDREN).")
    return confinement(abi)
