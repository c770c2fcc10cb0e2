"""The process of a server: pinned to its core, measured from outside, and ended by its id.

NotStarted           it ended, or did not listen in time
"""

import asyncio
import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.machine import pinned

START_SECONDS: Final = 60
STOP_SECONDS: Final = 15
CPU_CLOCK: Final = 2
"""CPUCLOCK_SCHED of `clock_getcpuclockid`: nanoseconds of all threads of a process, ended ones too."""


class NotStarted(Exception):
    """The process ended, or did not listen in time."""


class Process:
    """A running command. Its log is discarded unless shown. `user` is a user id; without one it is the current user."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int,
        folder: Path,
        environment: Mapping[str, str],
        show: bool,
        user: int | None = None,
    ) -> None:
        log = None if show else subprocess.DEVNULL
        self._command = command
        # The child inherits the affinity, so the server never runs on another core, not even while it starts.
        with pinned(core):
            self._running = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    async def listening(self, port: int) -> None:
        """Wait until the port accepts connections. Raise `NotStarted`."""
        deadline = time.monotonic() + START_SECONDS
        while self._running.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)
        raise NotStarted(f"It does not listen on port {port} (--show-logs shows why): {' '.join(self._command)}")

    def cpu_seconds(self) -> float:
        """Return the CPU time, user and system, of the process and its children."""
        # The id of another process's CPU clock is made from its pid, as `clock_getcpuclockid` makes it.
        return sum(time.clock_gettime(~pid << 3 | CPU_CLOCK) for pid in _family(self._running.pid))

    def memory_kb(self) -> float:
        """Return the memory of the process and its children; shared memory counts in parts (PSS)."""
        # Not RSS, which would count the pages that workers share once for each of them.
        rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in _family(self._running.pid)]
        lines = [line for rollup in rollups for line in rollup.splitlines() if line.startswith("Pss:")]
        return sum(float(line.split()[1]) for line in lines)

    def files(self) -> int:
        """Return the number of open files and sockets of the process and its children."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in _family(self._running.pid))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self._running.send_signal(how)
        try:
            self._running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _family(pid: int) -> list[int]:
    # The kernel lists children by the thread that created them (proc_pid_task_children(5)).
    lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [pid, *(member for children in lists for child in children.split() for member in _family(int(child)))]
