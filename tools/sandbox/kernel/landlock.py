"""Landlock: which files a process and its descendants may reach. Source: Documentation/userspace-api/landlock.rst."""

import os
import stat
import struct

from tools.sandbox.kernel.syscalls import syscall

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_FLAG = 1
PATH_BENEATH = 1

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_FIFO = 1 << 10
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
CHANGE = REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_FIFO | MAKE_SYM | REFER
WRITE = READ | WRITE_FILE | TRUNCATE | CHANGE
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule on something other than a folder may name."""

FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP = 0b11
ABSTRACT_UNIX_SOCKETS = 1
SIGNALS = 2

OLDEST_ABI = 3
"""Linux 6.2. Before it any file that can be opened at all could be emptied."""
TCP_ABI = 4
SCOPES_ABI = 6
NEWEST_ABI = 7


def landlock_abi() -> int:
    """The version that this kernel speaks, at most the newest that is known here; 0 where there is none."""
    try:
        return min(syscall(CREATE_RULESET, None, 0, VERSION_FLAG), NEWEST_ABI)
    except OSError:
        return 0


class Ruleset:
    """What stays allowed; everything else that the version can restrict is denied once `enforce` was called."""

    def __init__(self, files: int, tcp: int, scoped: int, abi: int) -> None:
        attributes = struct.pack("=QQQ", files, tcp, scoped)[: 8 + 8 * (abi >= TCP_ABI) + 8 * (abi >= SCOPES_ABI)]
        self._files = files
        self._handle = syscall(CREATE_RULESET, attributes, len(attributes), 0)

    def allow(self, handle: int, rights: int) -> None:
        """Gives rights on the file, or on all beneath the folder, that the handle is open to."""
        rights &= self._files
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= OF_A_FILE
        syscall(ADD_RULE, self._handle, PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)

    def allow_path(self, path: str, rights: int) -> None:
        """Gives rights on what the path leads to; nothing happens where there is none."""
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self.allow(handle, rights)
        os.close(handle)

    def enforce(self) -> None:
        """Restricts the calling thread and all that it starts, for good. Needs `no_new_privs`."""
        syscall(RESTRICT_SELF, self._handle, 0)
        os.close(self._handle)


def everything(abi: int) -> Ruleset:
    """Denies all that the version can."""
    files = FILES_BY_ABI[max(known for known in FILES_BY_ABI if known <= abi)]
    return Ruleset(files, TCP, ABSTRACT_UNIX_SOCKETS | SIGNALS, abi)


def signals_alone(abi: int) -> Ruleset:
    """Denies signals to whoever is not a descendant, and nothing else.

    Every ruleset denies moving files between folders unless it says otherwise, so this one does.
    """
    rules = Ruleset(REFER, 0, SIGNALS, abi)
    rules.allow_path("/", REFER)
    return rules
