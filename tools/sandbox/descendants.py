"""The processes that a command has started, also those that try to get away: they are found, counted and ended.

The calling process is a subreaper (prctl(2)): orphans become its children, and no process leaves the tree.
"""

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

PAUSE_SECONDS = 0.002
END_SECONDS = 1.5
BLOCK_BYTES = 64 * 1024
KILOBYTE = 1024
NOT_OF_A_FILE = {b"RssAnon:", b"RssShmem:"}


class Size(NamedTuple):
    """The threads and the memory in bytes of all processes. Shared memory counts for each process."""

    tasks: int
    memory_bytes: int


class Descendants:
    """The descendants of this process, and how the command's own `program` ended.

    `guard` is a child that does not belong to the command. If there is one, the kernel allows this process to signal
    only its descendants.
    """

    def __init__(self, program: int, *, guard: int | None) -> None:
        self._program = program
        self._guard = guard
        self.wait_status: int | None = None

    def reap(self) -> bool:
        """Collect processes that have ended. Return whether any is left."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if process == 0:
                return True
            if process == self._program:
                self.wait_status = status

    def size(self, max_tasks: int) -> Size:
        """Return the size of all processes. Counting stops beyond `max_tasks`."""
        tasks = memory = 0
        for process in _walk(os.getpid()):
            if process == self._guard:
                continue
            tasks += len(_threads(process))
            # Resident memory, except that of files, which the kernel can drop. Source: proc_pid_status(5).
            words = _words(f"/proc/{process}/status")
            memory += sum(int(value) for name, value in pairwise(words) if name in NOT_OF_A_FILE) * KILOBYTE
            if tasks > max_tasks:
                break
        return Size(tasks, memory)

    def end(self) -> bool:
        """Kill and collect all processes until none is left. Return whether that succeeded in time."""
        deadline = time.monotonic() + END_SECONDS
        while self.reap():
            if time.monotonic() > deadline:
                return False
            self._kill()
            time.sleep(PAUSE_SECONDS)
        return True

    def _kill(self) -> None:
        """Kill all processes that exist now."""
        # With scoped signals -1 means all descendants, in one call that no fork can escape.
        if self._guard:
            _send(-1)
            return
        for process in _walk(os.getpid()):
            try:
                is_in_group = os.getpgid(process) == self._program
            except ProcessLookupError:
                is_in_group = False
            if is_in_group:
                # The kernel fails a fork while a signal to the group is pending.
                _send(-self._program)
            _send(process)


def _send(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended meanwhile
        return


def _walk(root: int) -> Iterator[int]:
    """Yield the descendants of a process, each after its parent."""
    pending = [root]
    while pending:
        process = pending.pop()
        for task in _threads(process):
            for child in map(int, _words(f"/proc/{process}/task/{task}/children")):
                pending.append(child)
                yield child


def _threads(process: int) -> list[str]:
    try:
        with os.scandir(f"/proc/{process}/task") as threads:
            return [thread.name for thread in threads]
    except OSError:  # the process has ended meanwhile
        return []


def _words(path: str) -> list[bytes]:
    """Return the words of a file of /proc."""
    # One read may not return all of a long list of children: the next round finds the rest.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # the process has ended meanwhile
        return []
    try:
        return os.read(handle, BLOCK_BYTES).split()
    except OSError:
        return []
    finally:
        os.close(handle)
