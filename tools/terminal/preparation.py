"""Preparation of a checked command for the sandbox: git is hardened, and pytest gets the path of its settings."""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tools.base import ToolError
from tools.commands import Checked
from tools.commands.profiles import LINE
from tools.commands.pytest_settings import FILES, NONE, candidates, with_settings
from tools.git.hardening import ENVIRONMENT, hardened
from tools.git.installed import installed_git
from tools.sandbox.division import Division
from tools.sandbox.programs import Programs
from tools.sandbox.protection.carveouts import unwritten
from tools.sandbox.protection.quarantine import Quarantine
from tools.sandbox.refusals import CommandRefusedError
from tools.sandbox.subtrees import MAX_DEPTH, MAX_PARTS, MAX_WALKED, Parts, parts_without
from tools.terminal.limits import Limits
from tools.terminal.project import Project
from tools.workspace import Deadline, Workspace, in_thread

WALK_SECONDS: Final = 5.0
LITERAL: Final = "--literal-pathspecs"
# pytest itself expands the variable. By default it writes into the workspace. The folder exists already, since pytest
# changes the mode of one that it makes.
CACHE: Final = "-o 'cache_dir=$TMPDIR'"
NOTHING: Final = Parts([], complete=True)


class PreparedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that is ready for the sandbox. `reads` are paths of the system that it must be able to read."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    programs: Programs | None = None
    reads: tuple[Path, ...] = ()
    is_git: bool = False


def prepare(checked: Checked, workspace: Workspace, cwd: tuple[str, ...], project: Project | None) -> PreparedCommand:
    """Return the command for the sandbox. Raises `ToolError` if git is not installed."""
    if checked.name.startswith("git "):
        return _git(checked, workspace)
    if project:
        pytest = _pytest_options(workspace, cwd)
        # Models write for bash, which is a POSIX shell too.
        is_line = checked.name == LINE and project.programs.has("bash")
        return PreparedCommand(
            argv=("bash", *checked.argv[1:]) if is_line else checked.argv,
            environment={**project.environment, "PYTEST_ADDOPTS": pytest, **checked.environment},
            programs=project.programs,
        )
    if checked.name == "pytest":
        argv = with_settings(checked.argv, _settings_of_pytest(workspace, cwd))
        return PreparedCommand(argv=argv, environment=checked.environment)
    return PreparedCommand(argv=checked.argv, environment=checked.environment)


def _git(checked: Checked, workspace: Workspace) -> PreparedCommand:
    try:
        git = installed_git()
    except CommandRefusedError as error:
        raise ToolError(str(error), code="not_allowed") from error
    # An empty PATH, and Landlock on `programs`: git can run no program except itself.
    own = {"GIT_CEILING_DIRECTORIES": str(workspace.base.parent), "PATH": "", "GIT_LITERAL_PATHSPECS": "0"}
    # Patterns leave the secrets out; the hardened form would take them for names of files.
    argv = hardened(checked.argv[1:])
    literal = argv.index(LITERAL)
    return PreparedCommand(
        argv=(*argv[:literal], *argv[literal + 1 :]),
        environment={**ENVIRONMENT, **checked.environment, **own},
        programs=Programs(folders=(git.program.parent,), places=git.runs),
        reads=git.reads,
        is_git=True,
    )


def _pytest_options(workspace: Workspace, cwd: tuple[str, ...]) -> str:
    """Return the options for every pytest that a command runs, however it is started."""
    above = (parent / name for parent in workspace.base.parents for name in FILES)
    if _settings_of_pytest(workspace, cwd) != NONE or not any(map(os.path.exists, above)):
        return CACHE
    # It would take the settings above the workspace, which it may not read.
    base = str(workspace.base)
    return f"{CACHE} {shlex.join(('-c', NONE, f'--rootdir={base}', f'--confcutdir={base}'))}"


def _settings_of_pytest(workspace: Workspace, cwd: tuple[str, ...]) -> str:
    """Return the path, relative to `cwd`, of the file with pytest's settings."""
    # By itself pytest would also search the folders above the workspace, which it may not read.
    for path, from_cwd, section in candidates(cwd):
        with suppress(ToolError):
            if section.encode() in workspace.read_bytes(path):
                return from_cwd
    return NONE


def quarantine_of(base: Path, folder: Path | None) -> Quarantine:
    """Return the quarantine of a workspace, in the folder if that is on the same file system."""
    beside = base.parent / f".{base.name}-quarantine"
    return Quarantine(base, (folder, beside) if folder else (beside,))


async def parts(
    workspace: Workspace, division: Division, limits: Limits, base: int, *, with_git: bool
) -> tuple[Parts, Parts]:
    """Return the parts of the workspace that a command may read and write. Raises `ToolError` (`too_large`)."""
    deadline = Deadline(WALK_SECONDS)
    names = workspace.secret_names
    may_write = limits.writable and not with_git

    def divide() -> tuple[Parts, Parts]:
        readable = division.readable(with_git=with_git)
        writable = parts_without(base, unwritten(names), lambda: deadline.over) if may_write else NOTHING
        return readable, writable

    readable, writable = await in_thread(divide, deadline)
    # An incomplete list of readable parts only hides files. With one of writable parts, a command would fail halfway
    # at a place that it may write, so it does not start.
    if not writable.complete:
        raise ToolError(
            f"The workspace has more than {MAX_WALKED} entries, {MAX_PARTS} places beside protected files, or "
            f"{MAX_DEPTH} nested folders. The places that a command may write cannot be determined: move files out of "
            "the workspace, or unset TERMINAL_WRITABLE.",
            code="too_large",
        )
    return readable, writable
