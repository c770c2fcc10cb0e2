"""A checked command, made ready for the sandbox: git hardened, pytest told of its settings, and what each reaches."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from tools.base import ToolError
from tools.commands import Checked
from tools.commands.pytest_settings import NONE, candidates, with_settings
from tools.git.hardening import ENVIRONMENT, hardened
from tools.git.installed import installed_git
from tools.sandbox.carveouts import unread, unwritten
from tools.sandbox.programs import Programs
from tools.sandbox.refusals import CommandRefusedError
from tools.sandbox.subtrees import MAX_DEPTH, MAX_PARTS, MAX_WALKED, Parts, parts_without
from tools.terminal.limits import Limits
from tools.workspace import Deadline, Workspace, in_thread
from tools.workspace.confinement.names import is_git

WALK_SECONDS: Final = 5.0
LITERAL: Final = "--literal-pathspecs"
NOTHING: Final = Parts([], complete=True)


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A checked command, ready for the sandbox. `reads` are places of the system that it has to read besides."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    programs: Programs | None = None
    reads: tuple[Path, ...] = ()
    is_git: bool = False


def ready(checked: Checked, workspace: Workspace, cwd: tuple[str, ...]) -> Ready:
    """The command for the sandbox: git hardened, and able to run nothing but itself."""
    if checked.name == "pytest":
        argv = with_settings(checked.argv, _settings_of_pytest(workspace, cwd))
        return Ready(argv=argv, environment=checked.environment)
    if not checked.name.startswith("git "):
        return Ready(argv=checked.argv, environment=checked.environment)
    try:
        git = installed_git()
    except CommandRefusedError as error:
        raise ToolError(str(error), code="not_allowed") from error
    own = {"GIT_CEILING_DIRECTORIES": str(workspace.base.parent), "PATH": "", "GIT_LITERAL_PATHSPECS": "0"}
    return Ready(
        argv=_with_patterns(hardened(checked.argv[1:])),
        environment={**ENVIRONMENT, **checked.environment, **own},
        programs=Programs(folders=(git.program.parent,), places=git.runs),
        reads=git.reads,
        is_git=True,
    )


def _settings_of_pytest(workspace: Workspace, cwd: tuple[str, ...]) -> str:
    """The path, from the folder, of the file that has pytest's settings."""
    for path, from_cwd, section in candidates(cwd):
        with suppress(ToolError):
            if section.encode() in workspace.read_bytes(path):
                return from_cwd
    return NONE


def _with_patterns(argv: Sequence[str]) -> tuple[str, ...]:
    """The argv of git with patterns for paths: secrets are left out by them, and hardened it takes them for names."""
    literal = argv.index(LITERAL)
    return (*argv[:literal], *argv[literal + 1 :])


async def parts(workspace: Workspace, limits: Limits, base: int, *, with_git: bool) -> tuple[Parts, Parts]:
    """What of the workspace a command reads, and what it writes. Raises `ToolError` (`too_large`)."""
    deadline = Deadline(WALK_SECONDS)
    names = workspace.secret_names
    may_write = limits.writable and not with_git

    def divide() -> tuple[Parts, Parts]:
        readable = parts_without(base, unread(names, with_git=with_git), lambda: deadline.over, whole=is_git)
        writable = parts_without(base, unwritten(names), lambda: deadline.over) if may_write else NOTHING
        return readable, writable

    readable, writable = await in_thread(divide, deadline)
    if not writable.complete:
        raise ToolError(
            f"The workspace has more than {MAX_WALKED} entries, {MAX_PARTS} places beside what is never written, or "
            f"{MAX_DEPTH} folders within each other, so what a command may write cannot be told. Move what is not "
            "needed out of it, or unset TERMINAL_WRITABLE.",
            code="too_large",
        )
    return readable, writable
