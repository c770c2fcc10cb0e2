"""The name of a process, by which others see whether it is alive. No other process ever has the same name."""

import os
import socket
from functools import cache
from pathlib import Path
from typing import Final

HOST: Final = socket.gethostname().replace(":", "-")[:64]
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE: Final = Path("/proc/self/ns/pid")


class LeaseHolder:
    """The `name` of this process while it holds a lease, without which others would take it for dead."""

    name: str | None = None


holder = LeaseHolder()


def name() -> str:
    """Return the name of this process: its host, namespace of process ids, process id and start time."""
    return _name(os.getpid())


def is_dead(process: str) -> bool:
    """Return whether a process of this name certainly no longer runs."""
    place, _, rest = process.rpartition("#")
    pid, _, started = rest.partition(":")
    # A process id means something only on the same host, since the same boot, in the same namespace.
    return place == _place() and pid.isdecimal() and bool(started) and _started(int(pid)) != started


# Cached by process id, because a forked child inherits the cache and is another process.
@cache
def _name(pid: int) -> str:
    return f"{_place()}#{pid}:{_started(pid)}"


@cache
def _place() -> str:
    try:
        boot = BOOT.read_text(encoding="ascii").strip()[:13]
        # A container has a namespace of process ids of its own.
        namespace = PID_NAMESPACE.stat().st_ino
    except OSError:
        return f"{HOST}:?"
    return f"{HOST}:{boot}:{namespace}"


def _started(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot; an empty string if it does not run.

    This is field 22 of `/proc/PID/stat`: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    # The second field is the command's name in parentheses, which may contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
