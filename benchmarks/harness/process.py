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
        return sum(time.clock_gettime(~pid << 3 | CPU_CLOCK) for pid in _family(self._running.pid))

    def memory_kb(self) -> float:
        """Return the memory of the process and its children; shared memory counts in parts (PSS)."""
        return sum(map(_pss_kb, _family(self._running.pid)))

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
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _children(task)]
    return [pid, *(member for child in children for member in _family(child))]


def _children(task: Path) -> list[str]:
    return (task / "children").read_text().split()


def _pss_kb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:"))
