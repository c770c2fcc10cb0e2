"""The git of this machine, and the files of the system that it needs.

In the sandbox git may run itself and the loader of libraries, and read libraries: no shell, no helper, no hook.
"""

from pathlib import Path

import msgspec

from tools.sandbox.programs import SYSTEM_FOLDERS, SYSTEM_PLACES, Programs

LOADERS = ("lib64/ld-linux*.so.*", "lib/ld-linux*.so.*", "lib/ld-musl-*.so.*", "lib64/ld64.so.*")
"""The paths of the loader below the root folder, by the conventions of each architecture."""

LIBRARIES = tuple(
    Path(name) for name in ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
)


class InstalledGit(msgspec.Struct, frozen=True, kw_only=True):
    """The program, and the files that it may run and read."""

    program: Path
    runs: tuple[Path, ...]
    reads: tuple[Path, ...]


def installed_git() -> InstalledGit:
    """Return the git of the system. Raises `CommandRefusedError` if it is not installed."""
    program = Programs(folders=SYSTEM_FOLDERS, places=SYSTEM_PLACES).find("git")
    return InstalledGit(
        program=program,
        runs=(program, *(loader for pattern in LOADERS for loader in Path("/").glob(pattern))),
        reads=tuple(place for place in LIBRARIES if place.exists()),
    )
