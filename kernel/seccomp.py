"""The filter of system calls. It denies calls that Landlock does not restrict and that commands do not need.

- Sockets are denied, except unnamed pairs of stream sockets, which event loops use to wake themselves. With `network`,
  TCP and UDP sockets can be made and connected; none can be bound to an address or listen.
- Changes of a file's mode, owner, attributes and times are denied: Landlock does not restrict them anywhere.
- Files in memory, shared memory without a file, and larger buffers of sockets and pipes are denied: they would not be
  counted.
- Files with a set-id bit cannot be made.
- Calls that are newer than the table fail as if the kernel did not have them.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

from kernel import bpf, landlock
from kernel.bpf import Code, answer, load_argument, unless_equal, when_any_bit, when_argument, when_at_least, when_equal
from kernel.syscall_numbers import AARCH64, X86_64
from kernel.syscalls import syscall

SET_MODE_FILTER, GET_ACTION_AVAILABLE = 1, 2
X32_BIT = 0x40000000
# mseal(2), of Linux 6.10.
NEWEST_KNOWN = 462

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10
SOCK_STREAM, SOCK_DGRAM, SOCK_TYPE_MASK = 1, 2, 0xF
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
CLONE_NAMESPACES = 0x7E020000
# F_SETOWN, F_SETSIG and F_SETOWN_EX send signals through a file; F_SETLEASE makes others wait; F_NOTIFY watches.
# F_SETPIPE_SZ enlarges a pipe.
DENIED_FCNTLS = (8, 10, 15, 1024, 1026, 1031)
# SO_SNDBUF, SO_RCVBUF, and both with FORCE.
SOL_SOCKET, BUFFER_SIZES = 1, (7, 8, 32, 33)
# The lowest bit is set in MAP_SHARED and in MAP_SHARED_VALIDATE.
SHARED, ANONYMOUS = 1, 0x20
SET_ID = 0o6000
# O_CREAT and O_TMPFILE: with others, the mode is not used and may be anything.
MAKES = 0x40 | 0x400000
# TCGETS, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2 and FS_IOC_GETFLAGS. Others can type
# into a terminal (TIOCSTI), or change attributes of a file that is open only for reading.
ALLOWED_IOCTLS = (0x5401, 0x540F, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A, 0x80086601)

DENIED = """
    bind connect listen accept accept4
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
    io_uring_setup io_uring_enter io_uring_register
    mount umount2 mount_setattr move_mount fsopen fsmount fsconfig fspick open_tree pivot_root chroot
    statmount listmount setns unshare memfd_create memfd_secret
    keyctl add_key request_key bpf perf_event_open userfaultfd
    kexec_load kexec_file_load reboot init_module finit_module delete_module create_module query_module get_kernel_syms
    open_by_handle_at name_to_handle_at personality swapon swapoff acct syslog sethostname setdomainname
    settimeofday clock_settime clock_adjtime adjtimex quotactl quotactl_fd nfsservctl lookup_dcookie
    iopl ioperm modify_ldt vhangup uselib ustat sysfs _sysctl fanotify_init fanotify_mark inotify_add_watch
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
    setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr
    shmget shmat shmctl msgget msgsnd msgrcv msgctl semget semop semtimedop semctl
    mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
    setpriority ioprio_set migrate_pages move_pages
""".split()  # noqa: SIM905  a list would be one name a line

# Their first argument names a process; 0 is the caller.
ONLY_ON_ITSELF = ["prlimit64", "sched_setaffinity", "sched_setparam", "sched_setscheduler", "sched_setattr"]

# Denied if Landlock cannot restrict signals. abort(3) then ends with a fault instead.
SIGNALS = ["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"]


MODES = {"creat": 1, "mkdir": 1, "mkdirat": 2, "mknod": 1, "mknodat": 2}
"""The calls that make a file, and the argument that is its mode."""


class Machine(NamedTuple):
    """A processor architecture: its name for seccomp (`AUDIT_ARCH_*`), and the numbers of its system calls."""

    audit: int
    numbers: Mapping[str, int]
    seccomp: int


MACHINES = {
    "x86_64": Machine(0xC000003E, X86_64, X86_64["seccomp"]),
    "aarch64": Machine(0xC00000B7, AARCH64, AARCH64["seccomp"]),
}


def available() -> bool:
    """Return whether this kernel has filters, and the numbers of this machine are known."""
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        return False
    try:
        syscall(machine.seccomp, GET_ACTION_AVAILABLE, 0, struct.pack("=I", bpf.KILL_PROCESS))
    except OSError:
        return False
    return True


def program(machine: Machine, landlock_abi: int, *, network: bool = False) -> Code:
    """Return the filter for a machine and a version of Landlock."""
    # A call through another architecture's entry (x32 or 32 bits) has other numbers, so it is killed.
    return b"".join(
        (
            bpf.step(bpf.LOAD, bpf.ARCHITECTURE),
            unless_equal(machine.audit, bpf.step(bpf.RETURN, bpf.KILL_PROCESS)),
            bpf.step(bpf.LOAD, bpf.NUMBER),
            when_at_least(X32_BIT, bpf.step(bpf.RETURN, bpf.KILL_PROCESS)),
            when_at_least(NEWEST_KNOWN + 1, answer(errno.ENOSYS)),
            *(
                when_equal(machine.numbers[name], then)
                for name, then in _rules(landlock_abi, network=network).items()
                if name in machine.numbers
            ),
            bpf.step(bpf.RETURN, bpf.ALLOW),
        )
    )


def enforce(landlock_abi: int, *, network: bool = False) -> None:
    """Filter the calling thread and everything that it starts, for good. Needs `no_new_privs`."""
    machine = MACHINES[os.uname().machine]
    code = program(machine, landlock_abi, network=network)
    buffer = ctypes.create_string_buffer(code, len(code))
    syscall(machine.seccomp, SET_MODE_FILTER, 0, struct.pack("@HP", bpf.length(code), ctypes.addressof(buffer)))


def _rules(landlock_abi: int, *, network: bool) -> dict[str, Code]:
    """Return the code for each call that is not simply allowed. Each ends the program."""
    refused = answer(errno.EPERM)
    no_family = answer(errno.EAFNOSUPPORT)
    allowed = bpf.step(bpf.RETURN, bpf.ALLOW)
    denied = DENIED + (SIGNALS if landlock_abi < landlock.SCOPES_ABI else [])
    # Only stream pairs of AF_UNIX: one of datagram sockets could still send to a named socket.
    is_unix = load_argument(0) + unless_equal(AF_UNIX, no_family)
    socket_type = load_argument(1) + bpf.step(bpf.AND, SOCK_TYPE_MASK)
    is_stream = socket_type + unless_equal(SOCK_STREAM, no_family)
    internet = socket_type + when_equal(SOCK_STREAM, allowed) + when_equal(SOCK_DGRAM, allowed) + no_family
    # Not AF_UNIX: a named socket of the machine, such as that of a database, is not the network.
    outward = load_argument(0) + when_equal(AF_INET, internet) + when_equal(AF_INET6, internet) + no_family
    rules = {
        **dict.fromkeys(denied, refused),
        **dict.fromkeys(ONLY_ON_ITSELF, load_argument(0) + unless_equal(0, refused) + allowed),
        "socket": outward if network else no_family,
        "socketpair": is_unix + is_stream + allowed,
        "clone": load_argument(0) + when_any_bit(CLONE_NAMESPACES, refused) + allowed,
        # Its flags are in memory, which a filter cannot read. The C library falls back to clone.
        "clone3": answer(errno.ENOSYS),
        "fcntl": _by(1, DENIED_FCNTLS, refused, allowed),
        "ioctl": _by(1, ALLOWED_IOCTLS, allowed, refused),
        "setsockopt": load_argument(1) + unless_equal(SOL_SOCKET, allowed) + _by(2, BUFFER_SIZES, refused, allowed),
        "mmap": when_argument(3, ANONYMOUS, when_argument(3, SHARED, refused)) + allowed,
        "open": when_argument(1, MAKES, when_argument(2, SET_ID, refused)) + allowed,
        "openat": when_argument(2, MAKES, when_argument(3, SET_ID, refused)) + allowed,
        # Its flags and mode are in memory. The C library falls back to openat.
        "openat2": answer(errno.ENOSYS),
        **{name: when_argument(index, SET_ID, refused) + allowed for name, index in MODES.items()},
    }
    if network:
        del rules["connect"]
    return rules


def _by(index: int, values: tuple[int, ...], then: Code, otherwise: Code) -> Code:
    """Return code that tests an argument, which is the number of a command."""
    return load_argument(index) + b"".join(when_equal(value, then) for value in values) + otherwise
