"""The kernel's confinement of a worker: no network, no capabilities, and no files except its own code and models.

A recording or a document from outside is decoded by large libraries. A fault in one of them must not reach the
database, the settings or the network. Where the kernel has no Landlock or seccomp, the rest still holds.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kernel import landlock, seccomp
from kernel.privileges import forgo_privileges

KERNEL: Final = Path(__file__).parent
LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/localtime")
# What the libraries of the models read to find the number of processors and the memory.
MACHINE: Final = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system", "/sys/fs/cgroup")


def confine_worker(package: Path) -> None:
    """Restrict this process for good, to the code of one package of the project.

    It must have only one thread, because Landlock restricts the calling one.
    """
    forgo_privileges()
    abi = landlock.landlock_abi()
    if abi >= landlock.OLDEST_ABI:
        rules = landlock.everything(abi)
        for path in {*_code(package), *LIBRARIES, *MACHINE}:
            rules.allow_path(path, landlock.READ)
        rules.allow_path(os.devnull, landlock.READ_FILE | landlock.WRITE_FILE)
        for device in ("/dev/zero", "/dev/random", "/dev/urandom"):
            rules.allow_path(device, landlock.READ_FILE)
        rules.enforce()
    if seccomp.available():
        seccomp.enforce(abi)


def _code(package: Path) -> Iterator[str]:
    """Yield the folders of Python, of the installed packages with the models, and of the worker's own package."""
    project = KERNEL.parent
    yield from (str(package), str(KERNEL))
    yield from (sys.prefix, sys.base_prefix)
    # The project's own folder has the settings and, by default, the database.
    yield from (entry for entry in sys.path if entry and Path(entry).resolve() != project)
    yield from filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":"))
