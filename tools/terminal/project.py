"""The programs of the project in a workspace: its virtual environment, `node_modules/.bin`, and what they need.

A virtual environment links to an installation of Python that may lie anywhere. Its scripts name their interpreter by a
path, which is wrong once the environment was moved.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tools.sandbox.programs import Programs
from tools.sandbox.refusals import CommandRefusedError

ENVIRONMENTS: Final = (".venv", "venv")
SYSTEM_PYTHON: Final = Path("/usr")
MAX_SCRIPTS: Final = 500
HEAD_BYTES: Final = 512
MAX_SETTINGS_BYTES: Final = 16_384
# Headers, and settings without which programs do not start.
NEEDED: Final = tuple(
    map(Path, ("/usr/include", "/usr/local/include", "/usr/local/share", "/usr/local/go", "/etc/ssl/openssl.cnf"))
)
VARIABLES: Final = {"PYTHONDONTWRITEBYTECODE": "1", "NO_UPDATE_NOTIFIER": "1", "npm_config_update_notifier": "false"}
GREP: Final = '#!/bin/sh\nexec {grep} --exclude-dir=.git "$@"\n'
SCRIPT: Final = '#!/bin/sh\nexec {python} {script} "$@"\n'


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """The programs that a command in a folder of the workspace can run, and the variables that they need."""

    programs: Programs
    environment: Mapping[str, str]

    def has(self, word: str) -> bool:
        """Return whether a word names a program of the project."""
        try:
            found = self.programs.find(word)
        except CommandRefusedError:
            return False
        return self.programs.beneath is not None and found.is_relative_to(self.programs.beneath)


def project_at(base: Path, cwd: tuple[str, ...], system: Programs) -> Project:
    """Return the project that a folder of the workspace `base` belongs to. This blocks."""
    folder = base.joinpath(*cwd)
    above = [folder, *folder.parents][: len(cwd) + 1]
    environment = next(_environments(above, base), None)
    modules = [path for place in above if _is_inside(path := place / "node_modules" / ".bin", base)]
    folders = (*((environment / "bin",) if environment else ()), *modules, *system.folders)
    grep = next((path for place in system.folders if (path := place / "grep").is_file()), None)
    # A recursive search would report an error for each file of git's own folder, which the sandbox hides.
    shims = {grep: GREP.format(grep=_quoted(grep))} if grep else {}
    places = (*system.places, *NEEDED)
    if environment:
        shims.update(_shims(environment))
        places = (*places, *_installations(environment, base))
    return Project(
        programs=Programs(folders=folders, places=places, shims=shims, beneath=base, cwd=folder),
        environment={**VARIABLES, **({"VIRTUAL_ENV": str(environment)} if environment else {})},
    )


def _environments(above: list[Path], base: Path) -> Iterator[Path]:
    for place in above:
        for name in ENVIRONMENTS:
            path = place / name
            if (path / "pyvenv.cfg").is_file() and _is_inside(path, base):
                yield path


def _is_inside(path: Path, base: Path) -> bool:
    return path.is_dir() and path.resolve().is_relative_to(base)


def _installations(environment: Path, base: Path) -> Iterator[Path]:
    """Yield the folders of the installations of Python that an environment links to."""
    homes = [(environment / "bin" / name).resolve().parent for name in ("python", "python3")]
    with suppress(OSError), (environment / "pyvenv.cfg").open(errors="replace") as settings:
        for line in settings.read(MAX_SETTINGS_BYTES).splitlines():
            name, _, value = line.partition("=")
            if name.strip().lower() == "home":
                homes.append(Path(value.strip()).resolve())
    for root in dict.fromkeys(home.parent for home in homes):
        if root != SYSTEM_PYTHON and not root.is_relative_to(base) and _is_installation(root):
            yield from (root / "bin", root / "lib", root / "include")


def _is_installation(root: Path) -> bool:
    """Return whether a folder is the prefix of a Python: a link in the workspace may lead anywhere."""
    try:
        standard = any(path.is_file() for path in (root / "lib").glob("python3*/os.py"))
        return standard and any(path.is_file() for path in (root / "bin").glob("python3*"))
    except OSError:
        return False


def _shims(environment: Path) -> Iterator[tuple[Path, str]]:
    """Yield the scripts of a moved environment with what runs each by the environment's own Python."""
    python = environment / "bin" / "python"
    if not python.exists():
        return
    for number, script in enumerate(sorted((environment / "bin").iterdir())):
        if number >= MAX_SCRIPTS:
            return
        with suppress(OSError), script.open("rb") as file:
            head = file.read(HEAD_BYTES)
            interpreter = _interpreter(head)
            if interpreter and not Path(interpreter).exists():
                yield script, SCRIPT.format(python=_quoted(python), script=_quoted(script))


def _interpreter(head: bytes) -> str:
    """Return the Python that a script names in its first lines; empty if it names none."""
    first, _, rest = head.decode("utf-8", "surrogateescape").partition("\n")
    # A long path stands in the second line: `'''exec' "/path/python" "$0" "$@"`.
    line = (
        rest.partition("\n")[0].partition(" ")[2].lstrip('"').partition('"')[0] if first == "#!/bin/sh" else first[2:]
    )
    path = line.strip().partition(" ")[0] if first != "#!/bin/sh" else line
    return path if first.startswith("#!") and "python" in path.rpartition("/")[2] else ""


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"
