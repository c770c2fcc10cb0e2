"""The supervisor of one command: a separate process that uses only the standard library, and ends with the command.

It reads its policy from its input. The end of the input is the order to stop, so the command also ends with the
service. Its output is the command's. It writes one line, its report, to the handle that it is started with.
"""

import contextlib
import os
import resource
import select
import signal
import time
from collections import deque
from itertools import islice

from kernel import landlock
from kernel.privileges import OutOfMemoryScore, adopt_orphans, end_with_parent, forgo_privileges
from kernel.syscalls import syscall
from tools.sandbox.descendants import Descendants
from tools.sandbox.policy import Ended, Policy, Report
from tools.sandbox.program import CLOSE_RANGE, LAST_HANDLE, become
from tools.sandbox.protection.planted import clear

ORDERS = 0
BLOCK_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 4096
SPACE_SECONDS = 0.25
COUNTING_SECONDS = 0.01
MAX_COUNTED = 2_000
BLOCK_OF_A_FILE = 512
NOT_STARTED = 127
SUPERVISOR_ENDED = signal.SIGUSR1


def main(report_handle: int) -> None:
    """Run and supervise a command, and write its report."""
    policy = Policy.decode(_first_line())
    os.setsid()
    score = OutOfMemoryScore()
    adopt_orphans()
    forgo_privileges()
    scoped = _scope_signals(policy.landlock_abi)
    os.set_inheritable(report_handle, False)
    guard = _start_guard() if scoped else None
    # Only the command: without launcher and guard, its processes would be left.
    score.be_first()
    program, failures = _start(policy)
    score.restore()
    family = Descendants(program, guard=guard)
    try:
        # The end of this pipe is the exec: see `become`, which makes all handles close then.
        with contextlib.closing(os.fdopen(failures, "rb")) as pipe:
            message = pipe.read(MAX_MESSAGE_BYTES).decode()
        ended: Ended = "refused" if message else watch(program, family, policy)
    finally:
        gone = family.end()
    if not gone:
        message = "Processes of the command could not be ended in time."
    with contextlib.suppress(BrokenPipeError):  # the service no longer waits, or has ended
        os.write(report_handle, _report(ended, family.wait_status or 0, message).encode())
    is_late = not gone
    while not gone:
        gone = family.end()
    if policy.plan and (is_late or os.getppid() != policy.service):
        clear(policy.plan)


def watch(program: int, family: Descendants, policy: Policy) -> Ended:
    """Wait for the program's end, the order to stop, or a limit, and return which it was."""
    limits = policy.limits
    space_counted = time.monotonic()
    poller = select.poll()
    poller.register(ORDERS, select.POLLIN)
    poller.register(os.pidfd_open(program), select.POLLIN)
    deadline = time.monotonic() + limits.wall_seconds
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return "timed_out"
        ready = {handle for handle, _ in poller.poll(min(limits.count_seconds, left) * 1000)}
        if ready:
            return "cancelled" if ready == {ORDERS} else "exited"
        family.reap()
        tasks, memory_bytes = family.size(limits.tasks)
        if tasks > limits.tasks:
            return "too_many_tasks"
        if memory_bytes > limits.memory_bytes:
            return "too_much_memory"
        if time.monotonic() - space_counted > SPACE_SECONDS:
            if disk_bytes(policy.temporary) > limits.temporary_bytes:
                return "too_much_space"
            space_counted = time.monotonic()


def disk_bytes(root: str) -> int:
    """Return the bytes that files below a folder take on the disk. Counting stops after `COUNTING_SECONDS`."""
    total = 0
    pending = deque([root])
    # The nearest folders first. A command must not delay its own end by what it makes.
    until = time.monotonic() + COUNTING_SECONDS
    while pending and time.monotonic() < until:
        # The command may remove anything meanwhile.
        with contextlib.suppress(OSError), os.scandir(pending.popleft()) as entries:
            for entry in islice(entries, MAX_COUNTED):
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * BLOCK_OF_A_FILE
    return total


def _first_line() -> bytes:
    """Return the policy's line. The process ends if the input ends before it."""
    line = b""
    while not line.endswith(b"\n"):
        block = os.read(ORDERS, BLOCK_BYTES)
        if not block:
            raise SystemExit(NOT_STARTED)
        line += block
    return line


def _scope_signals(abi: int) -> bool:
    """Restrict signals of this process to its descendants. Return whether the kernel was seen to enforce it."""
    if abi < landlock.SCOPES_ABI:
        return False
    landlock.only_signals(abi).enforce()
    # If this did not hold, `Descendants` would kill every process of the user.
    try:
        os.kill(os.getppid(), 0)
    except PermissionError:
        return True
    return False


def _start_guard() -> int:
    """Start a process that ends the whole command if the supervisor is killed. No command can reach it."""
    # Blocked before the fork: the supervisor may end before the guard waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {SUPERVISOR_ENDED})
    supervisor = os.getpid()
    process = os.fork()
    if process:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SUPERVISOR_ENDED})
        return process
    try:
        syscall(CLOSE_RANGE, 0, LAST_HANDLE, 0)
        end_with_parent(SUPERVISOR_ENDED)
        # If it has ended before that call, no signal will come.
        if os.getppid() == supervisor:
            signal.sigwait({SUPERVISOR_ENDED})
        os.kill(-1, signal.SIGKILL)
    finally:
        os._exit(0)


def _start(policy: Policy) -> tuple[int, int]:
    """Start the program. Return its process, and a pipe with the error message if it could not start."""
    reading, writing = os.pipe()
    supervisor = os.getpid()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    message = "It could not be confined."
    try:
        become(policy, supervisor)
    except (OSError, ValueError) as error:
        message = str(error)
    finally:
        os.write(writing, message.encode(errors="backslashreplace")[:MAX_MESSAGE_BYTES])
        os._exit(NOT_STARTED)


def _report(ended: Ended, wait_status: int, message: str) -> Report:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = os.waitstatus_to_exitcode(wait_status)
    of_its_own = ended == "exited"
    return Report(
        ended=ended,
        exit_code=code if of_its_own and code >= 0 else None,
        signal=-code if code < 0 else None,
        cpu_ms=round(1000 * (usage.ru_utime + usage.ru_stime)),
        peak_bytes=usage.ru_maxrss * 1024,
        message=message,
    )
