"""The git of this machine, and all of the system that it needs.

In the sandbox it may run itself and the loader of libraries, and read libraries: no shell, no helper, no hook.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tools.sandbox.programs import SYSTEM_FOLDERS, SYSTEM_PLACES, Programs

LOADERS = ("lib64/ld-linux*.so.*", "lib/ld-linux*.so.*", "lib/ld-musl-*.so.*", "lib64/ld64.so.*")
"""Where each architecture's convention for programs has the loader, beneath the root folder."""

LIBRARIES = tuple(
    Path(name) for name in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
)


class InstalledGit(msgspec.Struct, frozen=True, kw_only=True):
    """The program, what it may run, and what it may only read."""

    program: Path
    runs: tuple[Path, ...]
    reads: tuple[Path, ...]


def installed_git() -> InstalledGit:
    """The git among the system's programs. Raises `CommandRefusedError` where there is none."""
    program = Programs(folders=SYSTEM_FOLDERS, places=SYSTEM_PLACES).find("git")
    return InstalledGit(
        program=program,
        runs=(program, *_loaders()),
        reads=tuple(place for place in LIBRARIES if place.exists()),
    )


def _loaders() -> Iterator[Path]:
    for pattern in LOADERS:
        yield from Path("/").glob(pattern)
