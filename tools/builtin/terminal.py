"""`terminal.exec`: run one program of the machine, without a shell, in the sandbox.

A table in `tools.commands` decides what may be requested; the kernel decides what a command can reach. It reads the
workspace except files with the name of a secret. Only git reads git's own folder.
"""

import asyncio
import os
import posixpath
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from math import ceil
from typing import Annotated, Any, Final

import msgspec

from tools.base import Execution, Facets, Tool, ToolError, tool
from tools.commands import Ground, check, normalised, split
from tools.commands.words import check_words
from tools.sandbox import policy as sandboxing
from tools.sandbox.output.live_text import LiveText
from tools.sandbox.refusals import CommandRefusedError, SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox
from tools.terminal.limits import DEFAULT_LIMITS, Limits
from tools.terminal.preparation import WALK_SECONDS, parts, prepare
from tools.terminal.result import ExecResult, check_ended, exec_result
from tools.workspace import Deadline, Workspace, in_thread
from tools.workspace.confinement.names import is_git
from tools.workspace.naming import implied_paths

PLACE: Final = os.O_PATH | os.O_CLOEXEC

WRITABLE = (
    "Files of the workspace can be written, except git's own folder, secrets, and files that have a second name by a "
    "hard link. In a folder that directly holds one of those, files can only be written in place: nothing can be made, "
    "renamed or removed. Its other subfolders are not restricted. Modes, times and owners cannot be changed."
)
READ_ONLY = "The workspace is read-only; programs can write to TMPDIR, which is removed afterwards."


class Terminal:
    """Runs the commands of a workspace, at most `limits.max_at_once` at a time."""

    def __init__(self, workspace: Workspace, sandbox: Sandbox, limits: Limits) -> None:
        self.workspace = workspace
        self.sandbox = sandbox
        self.limits = limits
        self.places = asyncio.Semaphore(limits.max_at_once)

    def ground(self, cwd: tuple[str, ...]) -> Ground:
        """Return the rules for paths of a command in the folder `cwd`."""
        return Ground(
            roots=(str(self.workspace.base),),
            cwd=cwd,
            is_secret=lambda name: self.workspace.secret_names.cover((name,)),
            is_git=is_git,
            exists=lambda word: self._exists(word if word.startswith("/") else "/".join((*cwd, word))),
            secret_globs=self.limits.secret_globs,
        )

    def _exists(self, path: str) -> bool:
        try:
            self.workspace.entry(path)
        except ToolError as error:
            # Other errors are about a file that exists, such as a link that leads out.
            return error.code != "not_found"
        return True


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
    timeout: Annotated[float, msgspec.Meta(gt=0, description="Maximum time in seconds.")] | None = None,  # noqa: ASYNC109
) -> ExecResult:
    """Run one program in the workspace. Give either `command` or `argv`.

    There is no shell. Quotes and backslashes work; pipes, redirections, globs, variables and several commands are
    refused. Call again for the next command, and use a program's own options. There is no network and no input. An
    exit code other than 0 is a result. When `truncated` is true the middle of the output is left out: narrow the
    command. Files with the name of a secret cannot be read, and only git can read git's own folder.
    """
    words = _words(command, argv)
    limits = terminal.limits
    seconds = limits.max_seconds if timeout is None else timeout
    if seconds > limits.max_seconds:
        raise ToolError(
            f"A timeout of {seconds:g} s is too long: the maximum is {limits.max_seconds:g} s (TERMINAL_MAX_SECONDS).",
            code="invalid_params",
        )
    with ExitStack() as opened:
        base = opened.enter_context(terminal.workspace.open_folder("."))
        folder = opened.enter_context(terminal.workspace.open_folder(cwd))
        ground = terminal.ground(folder.parts)
        checked = check(words, limits.whitelist, ground)
        prepared = await in_thread(lambda: prepare(checked, terminal.workspace, folder.parts), Deadline(WALK_SECONDS))
        async with terminal.places:
            # Walked after a place is free, so that what other commands wrote meanwhile is seen.
            readable, writable = await parts(terminal.workspace, limits, base.fileno(), with_git=prepared.is_git)
            output = LiveText(execution.emit)
            system: list[int] = []
            for place in prepared.reads:
                system.append(os.open(place, PLACE))
                opened.callback(os.close, system[-1])
            try:
                outcome = await terminal.sandbox.run(
                    prepared.argv,
                    cwd_handle=folder.fileno(),
                    readable_handles=system,
                    listable_handles=(base.fileno(),),
                    readable_parts=readable.parts,
                    writable_parts=writable.parts,
                    limits=sandboxing.Limits(
                        wall_seconds=seconds,
                        cpu_seconds=ceil(seconds),
                        memory_bytes=limits.max_memory_bytes,
                        tasks=limits.max_tasks,
                        output_bytes=limits.max_output_bytes,
                    ),
                    environment=prepared.environment,
                    programs=prepared.programs,
                    on_output=output.take,
                )
                await output.end()
            except CommandRefusedError as error:
                raise ToolError(str(error), code="not_allowed") from error
            except SandboxUnavailableError as error:
                raise ToolError(f"The command could not be confined: {error}", code="failed") from error
    check_ended(outcome, seconds, limits)
    # The patterns that keep secrets out of git's answer were added here; the model did not write them.
    hidden = ground.without_secrets()
    return exec_result(outcome, [word for word in checked.argv if word not in hidden], readable)


def tools(
    workspace: Workspace,
    sandbox: Sandbox,
    *,
    limits: Limits = DEFAULT_LIMITS,
    confinement: str = "",
    disabled: str = "",
) -> tuple[Tool, ...]:
    """Return the terminal tool of a workspace.

    `confinement` is the level that a trial of the sandbox showed. `disabled` is the reason why there is none.
    """

    def facets(params: Any) -> Facets:
        # One form for a rule to match, whether the request has a command or an argv.
        try:
            text = shlex.join(_words(params.command, params.argv))
        except ToolError:
            # The call is refused in any case.
            text = params.command or shlex.join(params.argv or ())
        base = workspace.base
        folder = posixpath.relpath(posixpath.join(base, params.cwd), base)
        return {"command": [text], "cwd": list(dict.fromkeys((folder, workspace.named(params.cwd, follow=True))))}

    def implied(params: Any) -> Facets:
        # The same command without what may precede git's own, and as it is run.
        folders = implied_paths(workspace, (params.cwd,))
        try:
            words = normalised(_words(params.command, params.argv))
            ran = check(words, limits.whitelist, runner.ground(()))
        except ToolError:
            return {"cwd": folders}
        return {"command": [shlex.join(words), shlex.join(ran.argv)], "cwd": folders}

    runner = Terminal(workspace, sandbox, limits)
    made = tool(
        "terminal.exec",
        "execute",
        exec_,
        runner,
        confinement=confinement,
        disabled=disabled,
        facets=facets,
        implied=implied,
    )
    # The table and the limits are settings, so they cannot stand in the docstring.
    programs = [name for name in limits.whitelist if not name.startswith("git ")]
    git = [name.removeprefix("git ") for name in limits.whitelist if name.startswith("git ")]
    names = f"Programs: {', '.join(programs)}; git with {', '.join(git)}. python only shows its --version."
    rules = f"{WRITABLE if limits.writable else READ_ONLY} At most {limits.max_seconds:g} s."
    properties = made.spec.parameters["properties"]
    # Services limit the description of a tool, but not those of its params, and the table may be long.
    parameters = {
        **made.spec.parameters,
        "properties": {**properties, "command": {**properties["command"], "description": names}},
    }
    description = f"{made.spec.description}\n\n{rules}"
    spec = msgspec.structs.replace(made.spec, description=description, parameters=parameters)
    return (msgspec.structs.replace(made, spec=spec),)


def _words(command: str | None, argv: Sequence[str] | None) -> tuple[str, ...]:
    if (command is None) == (argv is None):
        raise ToolError("Give exactly one of command (a text) and argv (a list of words).", code="invalid_params")
    return split(command) if command is not None else check_words(argv or ())
