"""The process that becomes the command: it restricts itself step by step, then executes the program."""

import os
import resource
import signal
import stat
from collections.abc import Sequence
from itertools import groupby
from typing import NoReturn

from kernel import landlock, seccomp
from kernel.privileges import end_with_parent
from kernel.syscalls import syscall
from tools.sandbox.policy import Limits, Part, Policy
from tools.sandbox.subtrees import open_part

CLOSE_RANGE, CLOSE_ON_EXEC_FLAG = 436, 4
FIRST_OTHER_HANDLE = 3
LAST_HANDLE = 0xFFFFFFFF
# The supervisor and the service get the processor first, even during a fork bomb.
NICENESS = 10
UMASK = 0o077
ROOM_TASKS = 16
"""The tasks that the user may start beyond those of the machine, as a multiple of a command's limit."""


def become(policy: Policy, supervisor: int) -> NoReturn:
    """Replace this process by the program of the policy. Raises `OSError`."""
    os.setsid()
    end_with_parent(signal.SIGKILL)
    # If it has ended before that call, no signal will come.
    if os.getppid() != supervisor:
        raise ProcessLookupError("The supervisor has ended.")
    os.nice(NICENESS)
    os.umask(UMASK)
    os.chdir(policy.temporary if policy.cwd_handle is None else policy.cwd_handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY) if policy.input_handle is None else policy.input_handle, 0)
    limit(policy.limits)
    confine(policy)
    # Closed at the exec and not now: the pipe for errors is still needed.
    syscall(CLOSE_RANGE, FIRST_OTHER_HANDLE, LAST_HANDLE, CLOSE_ON_EXEC_FLAG)
    # Last, since the filter denies calls that the steps before it need.
    seccomp.enforce(policy.landlock_abi, network=policy.network)
    os.execve(policy.program, policy.argv, policy.environment)  # noqa: S606  without a shell is the point


def limit(limits: Limits) -> None:
    """Set the limits of each process. Source: getrlimit(2)."""
    # A program that ignores SIGXCPU gets SIGKILL a second later.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    bounds = {
        resource.RLIMIT_DATA: limits.memory_bytes,
        resource.RLIMIT_AS: limits.memory_bytes * limits.addresses,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        # The supervisor counts the tasks of a command. This is for a command that forks faster than it is counted:
        # the kernel counts all tasks of the user, and does not limit root.
        resource.RLIMIT_NPROC: _tasks_of_the_machine() + ROOM_TASKS * limits.tasks,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_RTPRIO: 0,
    }
    for name, value in bounds.items():
        _, hard = resource.getrlimit(name)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (bound, bound))


def _tasks_of_the_machine() -> int:
    """Return the number of threads of all processes. Source: proc_loadavg(5)."""
    with open("/proc/loadavg", "rb") as load:  # noqa: PTH123  slow
        return int(load.read().split()[3].partition(b"/")[2])


def confine(policy: Policy) -> None:
    """Restrict file access to the folders and devices of the policy, each with its rights."""
    rules = landlock.everything(policy.landlock_abi, network=policy.network)
    allow_common(rules, policy)
    allow_parts(rules, policy.readable_parts, read_rights(policy))
    allow_parts(rules, policy.writable_parts, write_rights(policy))
    rules.enforce()
    if policy.rules_handle is not None:
        landlock.enforce(policy.rules_handle)


def read_rights(policy: Policy) -> int:
    return landlock.READ | landlock.EXECUTE * policy.runs_files


def write_rights(policy: Policy) -> int:
    return landlock.WRITE | landlock.EXECUTE * policy.runs_files


def allow_common(rules: landlock.Ruleset, policy: Policy) -> None:
    """Allow everything except parts of folders."""
    for place in policy.places:
        rules.allow_path(place, landlock.RUN)
    rules.allow_path(os.devnull, landlock.READ_FILE | landlock.WRITE_FILE)
    for device in ("/dev/zero", "/dev/random", "/dev/urandom"):
        rules.allow_path(device, landlock.READ_FILE)
    for handle in policy.listable_handles:
        rules.allow(handle, landlock.READ_DIR)
    for handle in policy.readable_handles:
        rules.allow(handle, read_rights(policy))
    for handle in policy.writable_handles:
        rules.allow(handle, write_rights(policy))
    rules.allow_path(policy.temporary, write_rights(policy))


def allow_parts(rules: landlock.Ruleset, parts: Sequence[Part], rights: int) -> None:
    """Allow rights on parts. There may be tens of thousands in one folder, which is opened once."""
    for (handle, folder), together in groupby(parts, lambda part: (part.handle, part.names[:-1])):
        try:
            opened = open_part(Part(handle, folder), os.O_PATH | os.O_DIRECTORY)
        except OSError:  # it was removed meanwhile
            continue
        for part in together:
            _allow_entry(rules, opened, part.names[-1] if part.names else ".", rights)
        os.close(opened)


def _allow_entry(rules: landlock.Ruleset, folder: int, name: str, rights: int) -> None:
    try:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return
    mode = os.fstat(handle).st_mode
    # A link may have replaced it: rights on that could reach a withheld file.
    if not stat.S_ISLNK(mode):
        rules.allow(handle, rights if stat.S_ISDIR(mode) else rights & landlock.OF_A_FILE, is_checked=True)
    os.close(handle)
