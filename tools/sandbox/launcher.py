"""The runs of one command: a process of its own, on the standard library, that ends when the command has.

It reads its policy from its input, whose end is also the order to stop; so the command ends with the service, too. Its
output is the command's; one line with what came of it goes to the handle that it is started with.
"""

import contextlib
import os
import resource
import select
import signal
import time

from tools.sandbox.descendants import Descendants
from tools.sandbox.kernel import landlock
from tools.sandbox.kernel.privileges import adopt_orphans, end_with_parent, forgo_privileges, go_first_without_memory
from tools.sandbox.kernel.syscalls import syscall
from tools.sandbox.policy import Ended, Limits, Policy, Report
from tools.sandbox.program import CLOSE_RANGE, LAST_HANDLE, become

ORDERS = 0
BLOCK_BYTES = 64 * 1024
MAX_MESSAGE_BYTES = 4096
POLL_SECONDS = 0.02
NOT_STARTED = 127
SUPERVISOR_ENDED = signal.SIGUSR1


def main(report_handle: int) -> None:
    """Supervises the command of the policy that is read, and writes its report."""
    policy = Policy.decode(_first_line())
    os.setsid()
    go_first_without_memory()
    adopt_orphans()
    forgo_privileges()
    scoped = _scope_signals(policy.landlock_abi)
    os.set_inheritable(report_handle, False)
    guard = _start_guard() if scoped else None
    program, failures = _start(policy)
    family = Descendants(program, guard=guard)
    try:
        message = _until_started(failures)
        ended: Ended = "refused" if message else watch(program, family, policy.limits)
    finally:
        gone = family.end()
    if not gone:
        message = "Processes of the command could not be ended in time."
    with contextlib.suppress(BrokenPipeError):  # the service waits no more, or has ended
        os.write(report_handle, _report(ended, family.wait_status or 0, message).encode())
    while not gone:
        gone = family.end()


def watch(program: int, family: Descendants, limits: Limits) -> Ended:
    """Waits for the program's end, the order to stop, or the crossing of a limit, and says which it was."""
    poller = select.poll()
    poller.register(ORDERS, select.POLLIN)
    poller.register(os.pidfd_open(program), select.POLLIN)
    deadline = time.monotonic() + limits.wall_seconds
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return "timed_out"
        ready = {handle for handle, _ in poller.poll(min(POLL_SECONDS, left) * 1000)}
        if ready:
            return "cancelled" if ready == {ORDERS} else "exited"
        family.reap()
        tasks, memory_bytes = family.size(limits.tasks)
        if tasks > limits.tasks:
            return "too_many_tasks"
        if memory_bytes > limits.memory_bytes:
            return "too_much_memory"


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        block = os.read(ORDERS, BLOCK_BYTES)
        if not block:
            raise SystemExit(NOT_STARTED)
        line += block
    return line


def _scope_signals(abi: int) -> bool:
    """Makes this process unable to signal any but its descendants. Returns whether that was seen to hold."""
    if abi < landlock.SCOPES_ABI:
        return False
    landlock.signals_alone(abi).enforce()
    try:
        os.kill(os.getppid(), 0)
    except PermissionError:
        return True
    return False


def _start_guard() -> int:
    """A process that ends the whole command if the runs is killed. No command can reach it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {SUPERVISOR_ENDED})
    runs = os.getpid()
    process = os.fork()
    if process:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {SUPERVISOR_ENDED})
        return process
    try:
        syscall(CLOSE_RANGE, 0, LAST_HANDLE, 0)
        end_with_parent(SUPERVISOR_ENDED)
        if os.getppid() == runs:
            signal.sigwait({SUPERVISOR_ENDED})
        os.kill(-1, signal.SIGKILL)
    finally:
        os._exit(0)


def _start(policy: Policy) -> tuple[int, int]:
    """The new process, and where it tells why it could not become the program: nothing, if it could."""
    reading, writing = os.pipe()
    runs = os.getpid()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    message = "It could not be confined."
    try:
        become(policy, runs)
    except (OSError, ValueError) as error:
        message = str(error)
    finally:
        os.write(writing, message.encode(errors="backslashreplace")[:MAX_MESSAGE_BYTES])
        os._exit(NOT_STARTED)


def _until_started(failures: int) -> str:
    """Waits until the program runs. Returns why it does not, or nothing."""
    with contextlib.closing(os.fdopen(failures, "rb")) as pipe:
        return pipe.read(MAX_MESSAGE_BYTES).decode()


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
