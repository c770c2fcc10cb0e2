"""Which process owns a run, by a name that no later process has: host, process id, and when that process started."""

import os
import socket
from pathlib import Path
from typing import Final

HOST: Final = socket.gethostname().replace(":", "-")


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot (proc(5), field 22 of `stat`); empty where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def name() -> str:
    """The name of this process."""
    return f"{HOST}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """Whether a process of this name certainly runs no more. Of another machine's nothing is certain."""
    host, _, rest = process.partition(":")
    pid, _, started = rest.partition(":")
    return host == HOST and pid.isdecimal() and bool(started) and _started(int(pid)) != started
