"""The machine of the figures, and its settings for them: cores and file descriptors."""

import contextlib
import os
import platform
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CPU_INFO: Final = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the measured server, and the core of the upstream and the client."""

    server: int
    others: int

    @classmethod
    def chosen(cls) -> "Cores":
        allowed = sorted(os.sched_getaffinity(0))
        return cls(server=allowed[-1], others=allowed[0])

    @property
    def note(self) -> str:
        if self.server == self.others:
            return "One core for everything: times to the first token include waiting for the client and the upstream."
        return f"The server has core {self.server} to itself; the upstream and the client share core {self.others}."


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run everything that is started in this block on one core, with all threads."""
    # Threads and child processes inherit the affinity of the thread that creates them (sched_setaffinity(2)).
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def descriptors(wanted: int) -> int:
    """Raise the limit of open files as far as needed and allowed, and return it."""
    # Up to the hard limit this needs no privilege, and servers that start later inherit it (setrlimit(2)).
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return wanted if soft == resource.RLIM_INFINITY else soft


def described() -> str:
    cores = len(os.sched_getaffinity(0))
    # ARM kernels give no model name in this file.
    lines = CPU_INFO.read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{cpu}, {cores} core{'s' * (cores > 1)}, Linux {platform.release()}, Python {platform.python_version()}"
