"""The programs that commands may be, and the files of the system that they need."""

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
    """The folders of programs, in the order of the search, and the places that programs may read and execute."""

    folders: tuple[Path, ...]
    places: tuple[Path, ...]

    def find(self, name: str) -> Path:
        """Return the path of a program. Raises `CommandRefusedError`."""
        if name in {"", ".", ".."} or "/" in name:
            raise CommandRefusedError(f"{name!r} is not the name of a program: give one without a path.")
        for folder in self.folders:
            path = folder / name
            if path.is_file() and os.access(path, os.X_OK):
                # The target of a link must be in a place too, or the sandbox would not let it start.
                real = path.resolve()
                if any(real.is_relative_to(place.resolve()) for place in self.places):
                    return path
        raise CommandRefusedError(f"There is no program {name!r} in {', '.join(map(str, self.folders))}.")


def installed_programs() -> Programs:
    """Return the programs of the system, and those of the running Python and its environment."""
    environment, base = Path(sys.prefix), Path(sys.base_prefix)
    python = (base / "bin", base / "lib", environment / "bin", environment / "lib", environment / "pyvenv.cfg")
    return Programs(folders=(environment / "bin", *SYSTEM_FOLDERS), places=(*SYSTEM_PLACES, *python))
