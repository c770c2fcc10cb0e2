"""All that a command has started, whatever it did to get away: found, counted, and ended.

The calling process is subreaper, so what is orphaned becomes its child and nothing leaves the tree.
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
    """How much is alive: threads of all processes, and their memory in bytes, what they share counted for each."""

    tasks: int
    memory_bytes: int


class Descendants:
    """The children of this process and theirs, and how `program`, the command's own, ended.

    `guard` is one more child, which is not the command's. Where there is one, the kernel lets this process signal
    nothing but its descendants.
    """

    def __init__(self, program: int, *, guard: int | None) -> None:
        self._program = program
        self._guard = guard
        self.wait_status: int | None = None

    def reap(self) -> bool:
        """Collects those that have ended. Returns whether any has not."""
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
        """What is alive now; the counting stops where it is over `max_tasks`."""
        tasks = memory = 0
        for process in _walk(os.getpid()):
            if process == self._guard:
                continue
            tasks += len(_threads(process))
            memory += _private_bytes(process)
            if tasks > max_tasks:
                break
        return Size(tasks, memory)

    def end(self) -> bool:
        """Kills and collects all of them, again and again until none is left. Returns whether none is."""
        deadline = time.monotonic() + END_SECONDS
        while self.reap():
            if time.monotonic() > deadline:
                return False
            self._kill()
            time.sleep(PAUSE_SECONDS)
        return True

    def _kill(self) -> None:
        """At once where signals are scoped: no fork can slip through. Elsewhere one by one."""
        if self._guard:
            _send(-1)
            return
        for process in _walk(os.getpid()):
            if _group(process) == self._program:
                _send(-self._program)  # the kernel lets nobody of a group fork past this
            _send(process)


def _send(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # ended meanwhile
        return


def _group(process: int) -> int:
    try:
        return os.getpgid(process)
    except ProcessLookupError:
        return 0


def _walk(root: int) -> Iterator[int]:
    """The descendants of a process, each after its parent."""
    pending = [root]
    while pending:
        for child in _children(pending.pop()):
            pending.append(child)
            yield child


def _children(process: int) -> list[int]:
    return [int(child) for task in _threads(process) for child in _words(f"/proc/{process}/task/{task}/children")]


def _threads(process: int) -> list[str]:
    try:
        with os.scandir(f"/proc/{process}/task") as threads:
            return [thread.name for thread in threads]
    except OSError:  # ended meanwhile
        return []


def _private_bytes(process: int) -> int:
    """Resident memory that is not a file's. Source: proc_pid_status(5)."""
    words = _words(f"/proc/{process}/status")
    return sum(int(value) for name, value in pairwise(words) if name in NOT_OF_A_FILE) * KILOBYTE


def _words(path: str) -> list[bytes]:
    """What a file of /proc has, as far as one read gives it: the next round finds the rest."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # ended meanwhile
        return []
    try:
        return os.read(handle, BLOCK_BYTES).split()
    except OSError:
        return []
    finally:
        os.close(handle)
