"""The confinement level of this machine, as it is shown to people and stored with executions."""

import os
from pathlib import Path

import msgspec

from kernel import landlock, seccomp
from tools.sandbox.refusals import SandboxUnavailableError

HIDES = (
    (
        "the content of all files, except the workspace and the command's own temporary folder. Readable parts of the "
        "system: programs, libraries, the loader's cache, the local time zone, the table of file types, /dev/null, "
        "/dev/zero and random numbers"
    ),
    "sockets of every family, except unnamed pairs within the command",
    "the memory, environment and open files of every other process",
    "changes of the mode, owner, attributes and times of any file",
    "kernel interfaces: tracing, io_uring, mounts, namespaces, keys, modules, shared memory of other processes",
)
KEEPS_SIGNALS = "processes outside the command, from its signals"
DENIES_SIGNALS = "processes outside the command, by denying every signal, also within it"
CANNOT_HIDE = (
    (
        "files in a folder that a command may read, such as a .env file. Commands of terminal.exec get no file with a "
        "secret's name, and only git gets git's own folder"
    ),
    "the existence, size, times, extended attributes and link target of a file outside, if its name is known",
    "the process numbers in use, the machine's name, load and clock",
    (
        "the free space of the disk; the size of the temporary folder is limited as far as its files can be counted in "
        "10 ms"
    ),
    (
        "memory that the kernel holds for a command: buffers of its pipes and socket pairs, and its files if /tmp is "
        "in memory"
    ),
    "a secret that has a second, ordinary name by a hard link, made by another program",
)


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """A level: its name, the version of Landlock, and in words what it hides and cannot hide."""

    level: str
    landlock_abi: int
    hides: tuple[str, ...]
    cannot_hide: tuple[str, ...] = CANNOT_HIDE


def confinement(landlock_abi: int) -> Confinement:
    """Return the level of a version of Landlock together with seccomp."""
    signals = KEEPS_SIGNALS if landlock_abi >= landlock.SCOPES_ABI else DENIES_SIGNALS
    return Confinement(level=f"landlock{landlock_abi}+seccomp", landlock_abi=landlock_abi, hides=(*HIDES, signals))


def kernel_confinement() -> Confinement:
    """Return the level of this machine. Raises `SandboxUnavailableError` if it has none."""
    abi = landlock.landlock_abi()
    if abi < landlock.OLDEST_ABI:
        raise SandboxUnavailableError(
            f"Commands need Landlock {landlock.OLDEST_ABI} or later: it is {abi or 'missing'} here. Use Linux 6.2 or "
            "later with landlock in its `lsm=`, and a container profile that allows it."
        )
    if not seccomp.available():
        raise SandboxUnavailableError(
            f"Commands need seccomp filters on one of {', '.join(seccomp.MACHINES)}: they are missing here."
        )
    # The launcher finds the processes of a command there.
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        raise SandboxUnavailableError("Commands need a /proc that lists children (CONFIG_PROC_CHILDREN).")
    return confinement(abi)
