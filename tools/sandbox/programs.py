"""The programs that commands may be, and the files of the system that they need."""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from tools.sandbox.refusals import CommandRefusedError

OWNER_ONLY = 0o700
FUNCTIONS = "functions"
NAME_OF_FUNCTION = re.compile(r"[A-Za-z0-9_./+-]+")
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
    """The folders of programs, in the order of the search, and the places that programs may read and execute.

    `shims` are scripts that are run instead of the program with their path. With `beneath`, files of that folder are
    programs too, also by their path from `cwd`.
    """

    folders: tuple[Path, ...]
    places: tuple[Path, ...]
    shims: Mapping[Path, str] = {}
    beneath: Path | None = None
    cwd: Path | None = None

    def find(self, name: str) -> Path:
        """Return the path of a program. Raises `CommandRefusedError`."""
        if "/" in name and self.cwd:
            candidates = [self.cwd / name]
        elif name in {"", ".", ".."} or "/" in name:
            raise CommandRefusedError(f"{name!r} is not the name of a program: give one without a path.")
        else:
            candidates = [folder / name for folder in self.folders]
        allowed = self.places if self.beneath is None else (*self.places, self.beneath)
        for path in candidates:
            if path.is_file() and os.access(path, os.X_OK):
                # The target of a link must be in a place too, or the sandbox would not let it start.
                real = path.resolve()
                if any(real.is_relative_to(place.resolve()) for place in allowed):
                    return path
        raise CommandRefusedError(f"There is no program {name!r} in {', '.join(map(str, self.folders))}.")

    def has(self, name: str) -> bool:
        """Return whether there is a program."""
        try:
            self.find(name)
        except CommandRefusedError:
            return False
        return True


def installed_programs() -> Programs:
    """Return the programs of the system, and those of the running Python and its environment."""
    environment, base = Path(sys.prefix), Path(sys.base_prefix)
    python = (base / "bin", base / "lib", environment / "bin", environment / "lib", environment / "pyvenv.cfg")
    return Programs(folders=(environment / "bin", *SYSTEM_FOLDERS), places=(*SYSTEM_PLACES, *python))


def write_shims(folder: Path, programs: Programs) -> None:
    """Write the shims of programs into a new folder."""
    folder.mkdir(OWNER_ONLY)
    for program, text in programs.shims.items():
        path = folder / program.name
        path.write_text(text, errors="surrogateescape")
        path.chmod(OWNER_ONLY)
    # bash reads this file first. A function also replaces a program that is called by its path.
    (folder / FUNCTIONS).write_text("".join(_functions(folder, programs)), errors="surrogateescape")


def _functions(folder: Path, programs: Programs) -> Iterator[str]:
    """Yield a function of bash for each path of a program of the workspace that a shim stands for."""
    for program in programs.shims:
        if programs.beneath and programs.cwd and program.is_relative_to(programs.beneath):
            near = os.path.relpath(program, programs.cwd)
            for name in (str(program), near, f"./{near}"):
                if NAME_OF_FUNCTION.fullmatch(name):
                    yield f'function {name} {{ {shlex.quote(str(folder / program.name))} "$@"; }}\n'
