"""`terminal.exec`: one program of the machine, without a shell, in the sandbox.

What may be asked is a table, in `tools.commands`; what a command can reach, the kernel decides. It reads the workspace
but for what has the name of a secret, and but for git's own folder, which git alone reads: as both were when it began.
"""

import asyncio
import os
import posixpath
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from math import ceil
from pathlib import Path
from typing import Annotated, Final

import msgspec

from tools.base import Execution, Facets, Tool, ToolError, tool
from tools.commands import Ground, check, split
from tools.commands.words import check_words
from tools.sandbox import policy as sandboxing
from tools.sandbox.output.live_text import LiveText
from tools.sandbox.refusals import CommandRefusedError, SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox
from tools.terminal.limits import DEFAULT_LIMITS, Limits
from tools.terminal.preparation import WALK_SECONDS, parts, ready
from tools.terminal.result import ExecResult, check_ended, told
from tools.workspace import Deadline, Workspace, in_thread
from tools.workspace.confinement.names import is_git

PLACE: Final = os.O_PATH | os.O_CLOEXEC

WRITABLE = (
    "Files of the workspace can be written, but for git's own folder, secrets, and files that have a second name by a "
    "hard link. Directly in a folder that holds one of those nothing can be made, renamed or removed, and the files in "
    "it can only be written in place; its other folders are free. Modes, times and owners cannot be changed."
)
READ_ONLY = "The workspace is read-only; what a program has to write goes into TMPDIR, and is gone afterwards."


class Terminal:
    """The commands of one workspace."""

    def __init__(self, workspace: Workspace, sandbox: Sandbox, limits: Limits) -> None:
        self.workspace = workspace
        self.sandbox = sandbox
        self.limits = limits
        self.places = asyncio.Semaphore(limits.max_at_once)

    def ground(self, cwd: tuple[str, ...]) -> Ground:
        """What paths mean to a command in that folder."""
        return Ground(
            roots=(str(self.workspace.base),),
            cwd=cwd,
            is_secret=lambda name: self.workspace.secret_names.cover((name,)),
            is_git=is_git,
            secret_globs=self.limits.secret_globs,
        )


async def exec_(
    terminal: Terminal,
    execution: Execution,
    /,
    *,
    command: Annotated[
        str, msgspec.Meta(min_length=1, description="The program and its arguments in one text, such as 'ls -l docs'.")
    ]
    | None = None,
    argv: Annotated[
        list[str], msgspec.Meta(min_length=1, description="The same as a list of words, which need no quotes.")
    ]
    | None = None,
    cwd: Annotated[str, msgspec.Meta(description="Folder of the workspace to run in.")] = ".",
    timeout: Annotated[float, msgspec.Meta(gt=0, description="The most seconds to wait.")] | None = None,  # noqa: ASYNC109
) -> ExecResult:
    """Runs one program in the workspace. Give either `command` or `argv`.

    There is no shell: quotes and backslashes work, but pipes, redirections, globs, variables and several commands are
    refused, so call again for the next command and use a program's own options. There is no network and no input. An
    exit code other than 0 is a result. When `truncated` is true the middle of the output is left out: narrow the
    command. Files with the name of a secret are not read, and git's own folder is read by git alone.
    """
    words = _words(command, argv)
    seconds = _seconds(timeout, terminal.limits)
    with ExitStack() as opened:
        base = opened.enter_context(terminal.workspace.open_folder("."))
        folder = opened.enter_context(terminal.workspace.open_folder(cwd))
        ground = terminal.ground(folder.parts)
        checked = check(words, terminal.limits.whitelist, ground)
        made = await in_thread(lambda: ready(checked, terminal.workspace, folder.parts), Deadline(WALK_SECONDS))
        async with terminal.places:
            readable, writable = await parts(terminal.workspace, terminal.limits, base.fileno(), with_git=made.is_git)
            output = LiveText(execution.emit)
            try:
                outcome = await terminal.sandbox.run(
                    made.argv,
                    cwd_handle=folder.fileno(),
                    readable_handles=[_open(place, opened) for place in made.reads],
                    listable_handles=(base.fileno(),),
                    readable_parts=readable.parts,
                    writable_parts=writable.parts,
                    limits=_limits(terminal.limits, seconds),
                    environment=made.environment,
                    programs=made.programs,
                    on_output=output.take,
                )
                await output.end()
            except CommandRefusedError as error:
                raise ToolError(str(error), code="not_allowed") from error
            except SandboxUnavailableError as error:
                raise ToolError(f"The command could not be held: {error}", code="failed") from error
    check_ended(outcome, seconds, terminal.limits)
    hidden = ground.without_secrets()
    return told(outcome, [word for word in checked.argv if word not in hidden], readable)


def tools(
    workspace: Workspace,
    sandbox: Sandbox,
    *,
    limits: Limits = DEFAULT_LIMITS,
    confinement: str = "",
    disabled: str = "",
) -> tuple[Tool, ...]:
    """The terminal of one workspace.

    `confinement` is the level that the sandbox was seen to have, `disabled` why there is none.
    """
    made = tool(
        "terminal.exec",
        "execute",
        exec_,
        Terminal(workspace, sandbox, limits),
        confinement=confinement,
        disabled=disabled,
        facets=partial(_facets, workspace.base),
    )
    description = "\n\n".join((made.spec.description, _offered(limits)))
    return (msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, description=description)),)


def _offered(limits: Limits) -> str:
    """What a model is told of the table and the limits."""
    programs = [name for name in limits.whitelist if not name.startswith("git ")]
    git = [name.removeprefix("git ") for name in limits.whitelist if name.startswith("git ")]
    named = f"Programs: {', '.join(programs)}; git with {', '.join(git)}. python tells its --version alone."
    return f"{named} {WRITABLE if limits.writable else READ_ONLY} At most {limits.max_seconds:g} s."


def _facets(base: Path, params: msgspec.Struct) -> Facets:
    """The command in one form, however it was given, and its folder. What cannot be split is refused in any case."""
    command, argv, cwd = (getattr(params, name) for name in ("command", "argv", "cwd"))
    try:
        text = shlex.join(_words(command, argv))
    except ToolError:
        text = command or shlex.join(argv or ())
    return {"command": [text], "cwd": [posixpath.relpath(posixpath.join(base, cwd), base)]}


def _words(command: str | None, argv: Sequence[str] | None) -> tuple[str, ...]:
    if (command is None) == (argv is None):
        raise ToolError("Give exactly one of command (a text) and argv (a list of words).", code="invalid_params")
    return split(command) if command is not None else check_words(argv or ())


def _seconds(timeout: float | None, limits: Limits) -> float:
    if timeout is not None and timeout > limits.max_seconds:
        raise ToolError(
            f"A timeout of {timeout:g} s is too long: at most {limits.max_seconds:g} s are possible "
            "(TERMINAL_MAX_SECONDS).",
            code="invalid_params",
        )
    return limits.max_seconds if timeout is None else timeout


def _open(place: Path, opened: ExitStack) -> int:
    handle = os.open(place, PLACE)
    opened.callback(os.close, handle)
    return handle


def _limits(limits: Limits, seconds: float) -> sandboxing.Limits:
    return sandboxing.Limits(
        wall_seconds=seconds,
        cpu_seconds=ceil(seconds),
        memory_bytes=limits.max_memory_bytes,
        tasks=limits.max_tasks,
        output_bytes=limits.max_output_bytes,
    )
