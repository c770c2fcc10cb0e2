"""Which process owns a run, by a name that no other process ever has."""

import os
import socket
from functools import cache
from pathlib import Path
from typing import Final

HOST: Final = socket.gethostname().replace(":", "-")[:64]
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE: Final = Path("/proc/self/ns/pid")


def name() -> str:
    """The name of this process: its host, where its process ids mean something, its id, and when it started."""
    return _name(os.getpid())


def is_dead(process: str) -> bool:
    """Whether a process of this name certainly runs no more. Of where its id means nothing here nothing is certain."""
    place, _, rest = process.rpartition("#")
    pid, _, started = rest.partition(":")
    return place == _place() and pid.isdecimal() and bool(started) and _started(int(pid)) != started


@cache
def _name(pid: int) -> str:
    """By process id: a forked child is another process."""
    return f"{_place()}#{pid}:{_started(pid)}"


@cache
def _place() -> str:
    """The host since its last boot, and the namespace of process ids, of which a container has its own."""
    try:
        boot = BOOT.read_text(encoding="ascii").strip()[:13]
        namespace = PID_NAMESPACE.stat().st_ino
    except OSError:
        return f"{HOST}:?"
    return f"{HOST}:{boot}:{namespace}"


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot (proc(5), field 22 of `stat`); empty where it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
