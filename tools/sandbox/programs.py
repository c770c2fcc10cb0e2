"""Which programs a command can be, and which places of the system they read to start."""

import os
import sys
from pathlib import Path

import msgspec

from tools.sandbox.refusals import CommandRefusedError

SYSTEM_FOLDERS = (Path("/usr/local/bin"), Path("/usr/bin"), Path("/bin"))
SYSTEM_PLACES = (
    *SYSTEM_FOLDERS,
    *(Path("/usr", name) for name in ("lib", "lib32", "lib64", "libexec", "share", "local/lib")),
    *(Path("/", name) for name in ("lib", "lib32", "lib64")),
    Path("/etc/ld.so.cache"),
    Path("/etc/localtime"),
    Path("/etc/magic"),
)


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """Folders to find programs in, the first before the next, and the places that programs read and run from."""

    folders: tuple[Path, ...]
    places: tuple[Path, ...]

    def find(self, name: str) -> Path:
        """The program's path. Raises `CommandRefusedError`."""
        if name in {"", ".", ".."} or "/" in name:
            raise CommandRefusedError(f"{name!r} is not the name of a program: give one without a path.")
        for folder in self.folders:
            path = folder / name
            if path.is_file() and os.access(path, os.X_OK) and self._holds(path.resolve()):
                return path
        raise CommandRefusedError(f"There is no program {name!r} in {', '.join(map(str, self.folders))}.")

    def _holds(self, path: Path) -> bool:
        return any(path.is_relative_to(place.resolve()) for place in self.places)


def installed_programs() -> Programs:
    """The system's programs, and those of the running Python and its environment."""
    environment, base = Path(sys.prefix), Path(sys.base_prefix)
    python = (base / "bin", base / "lib", environment / "bin", environment / "lib", environment / "pyvenv.cfg")
    return Programs(folders=(environment / "bin", *SYSTEM_FOLDERS), places=(*SYSTEM_PLACES, *python))
