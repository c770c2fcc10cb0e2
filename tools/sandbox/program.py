"""The process that becomes the command: it restricts itself, step by step, and runs the program."""

import os
import resource
import signal
import stat
from typing import NoReturn

from tools.sandbox.kernel import landlock, seccomp
from tools.sandbox.kernel.privileges import end_with_parent
from tools.sandbox.kernel.syscalls import syscall
from tools.sandbox.policy import Limits, Part, Policy
from tools.sandbox.subtrees import open_part

CLOSE_RANGE, CLOSE_ON_EXEC_FLAG = 436, 4
FIRST_OTHER_HANDLE = 3
LAST_HANDLE = 0xFFFFFFFF
NICENESS = 10
"""The runs and the service go first, also beside a fork bomb."""
UMASK = 0o077
ROOM_TASKS = 16
"""Of commands: how many times one's own tasks its user may start beside what runs on the machine."""


def become(policy: Policy, runs: int) -> NoReturn:
    """Runs the program of the policy in place of this process. Raises `OSError`."""
    os.setsid()
    end_with_parent(signal.SIGKILL)
    if os.getppid() != runs:
        raise ProcessLookupError("The runs has ended.")
    os.nice(NICENESS)
    os.umask(UMASK)
    os.fchdir(policy.cwd_handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    limit(policy.limits)
    confine(policy)
    syscall(CLOSE_RANGE, FIRST_OTHER_HANDLE, LAST_HANDLE, CLOSE_ON_EXEC_FLAG)
    seccomp.enforce(policy.landlock_abi)
    os.execve(policy.program, policy.argv, policy.environment)  # noqa: S606  without a shell is the point


def limit(limits: Limits) -> None:
    """Sets each process's own limits. A second after SIGXCPU comes SIGKILL. Source: getrlimit(2).

    The runs counts a command's tasks; the kernel's number, which holds all of the user's, is for one that forks
    faster than it is counted. Root has none.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
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
    """Threads of all processes. Source: proc_loadavg(5)."""
    with open("/proc/loadavg", "rb") as load:  # noqa: PTH123  slow
        return int(load.read().split()[3].partition(b"/")[2])


def confine(policy: Policy) -> None:
    """Leaves the folders and devices of the policy, each with its rights, and nothing else."""
    rules = landlock.everything(policy.landlock_abi)
    for place in policy.places:
        rules.allow_path(place, landlock.RUN)
    rules.allow_path(os.devnull, landlock.READ_FILE | landlock.WRITE_FILE)
    for device in ("/dev/zero", "/dev/random", "/dev/urandom"):
        rules.allow_path(device, landlock.READ_FILE)
    for handle in policy.listable_handles:
        rules.allow(handle, landlock.READ_DIR)
    for handle in policy.readable_handles:
        rules.allow(handle, landlock.READ)
    for handle in policy.writable_handles:
        rules.allow(handle, landlock.WRITE)
    for parts, rights in ((policy.readable_parts, landlock.READ), (policy.writable_parts, landlock.WRITE)):
        for part in parts:
            _allow_part(rules, part, rights)
    rules.allow_path(policy.temporary, landlock.WRITE)
    rules.enforce()


def _allow_part(rules: landlock.Ruleset, part: Part, rights: int) -> None:
    """Nothing happens where the part is gone, or a link by now."""
    try:
        handle = open_part(part, os.O_PATH)
    except OSError:
        return
    if not stat.S_ISLNK(os.fstat(handle).st_mode):
        rules.allow(handle, rights)
    os.close(handle)
