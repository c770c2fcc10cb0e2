"""Landlock: restrict the files of a process and its descendants. Source: Documentation/userspace-api/landlock.rst."""

import os
import stat
import struct

from kernel.syscalls import syscall

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
"""The rights that a rule for a file may have; the kernel rejects others with EINVAL."""

FILES_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
BIND_TCP, CONNECT_TCP = 0b01, 0b10
ABSTRACT_UNIX_SOCKETS = 1
SIGNALS = 2

# Linux 6.2 is the first that restricts truncating: before it, a command could empty files that it may not write.
OLDEST_ABI = 3
TCP_ABI = 4
SCOPES_ABI = 6
NEWEST_ABI = 7


def landlock_abi() -> int:
    """Return the version of this kernel, at most the newest that is known here; 0 if there is no Landlock."""
    try:
        return min(syscall(CREATE_RULESET, None, 0, VERSION_FLAG), NEWEST_ABI)
    except OSError:
        return 0


class Ruleset:
    """The rights that stay allowed. `enforce` denies everything else that the version can restrict."""

    def __init__(self, files: int, tcp: int, scoped: int, abi: int) -> None:
        # An older kernel rejects a longer struct than it knows with E2BIG.
        attributes = struct.pack("=QQQ", files, tcp, scoped)[: 8 + 8 * (abi >= TCP_ABI) + 8 * (abi >= SCOPES_ABI)]
        self._files = files
        self._handle = syscall(CREATE_RULESET, attributes, len(attributes), 0)

    def allow(self, handle: int, rights: int, *, is_checked: bool = False) -> None:
        """Allow rights on the file of a handle, or on everything below its folder.

        With `is_checked`, the rights are known to be such that a file can have, if it is one.
        """
        rights &= self._files
        if not is_checked and not stat.S_ISDIR(os.fstat(handle).st_mode):
            rights &= OF_A_FILE
        syscall(ADD_RULE, self._handle, PATH_BENEATH, struct.pack("=Qi", rights, handle), 0)

    def allow_path(self, path: str, rights: int) -> None:
        """Allow rights on the file or folder at a path. A path that does not exist is skipped."""
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        self.allow(handle, rights)
        os.close(handle)

    def enforce(self) -> None:
        """Restrict the calling thread and everything that it starts, for good. Needs `no_new_privs`."""
        enforce(self._handle)
        self.close()

    def fileno(self) -> int:
        """Return the handle, which is valid until the ruleset is closed."""
        return self._handle

    def close(self) -> None:
        os.close(self._handle)


def enforce(handle: int) -> None:
    """Restrict the calling thread by the ruleset of a handle, beside its other restrictions."""
    syscall(RESTRICT_SELF, handle, 0)


def everything(abi: int, *, network: bool = False) -> Ruleset:
    """Return a ruleset that denies everything that the version can, except connections with `network`."""
    files = FILES_BY_ABI[max(known for known in FILES_BY_ABI if known <= abi)]
    tcp = BIND_TCP if network else BIND_TCP | CONNECT_TCP
    return Ruleset(files, tcp, ABSTRACT_UNIX_SOCKETS | SIGNALS, abi)


def only_signals(abi: int) -> Ruleset:
    """Return a ruleset that denies only signals to processes that are not descendants."""
    # Every ruleset denies moving files between folders, unless it allows that.
    rules = Ruleset(REFER, 0, SIGNALS, abi)
    rules.allow_path("/", REFER)
    return rules
