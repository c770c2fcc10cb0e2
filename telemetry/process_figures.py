"""Figures of this process, as Linux reports them: processor time, memory and open files."""

import resource
from pathlib import Path
from typing import Final

_PROCESS: Final = Path("/proc/self")


def cpu_seconds() -> float:
    """Return the processor time of this process, without its children."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_bytes() -> float:
    """Return the resident memory (`statm` in https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html)."""
    pages = (_PROCESS / "statm").read_bytes().split()[1]
    return float(int(pages) * resource.getpagesize())


def open_files() -> float:
    """Return the number of open file descriptors."""
    return float(sum(1 for _ in (_PROCESS / "fd").iterdir()))
