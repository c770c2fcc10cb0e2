"""`terminal.exec`: run one program of the machine, without a shell, in the sandbox.

A table in `tools.commands` decides what may be requested; the kernel decides what a command can reach. It reads the
workspace except files with the name of a secret. Only git reads git's own folder.
"""

import asyncio
import os
import posixpath
import shlex
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from math import ceil
from typing import Annotated, Any, Final

import msgspec

from tools.base import Execution, Facets, Tool, ToolError, tool
from tools.commands import (
    Checked,
    Ground,
    Profile,
    check,
    check_line,
    commands_of,
    is_git_alone,
    normalised,
    split,
    visible_commands,
)
from tools.commands.operands import no_program
from tools.commands.words import check_words
from tools.sandbox import policy as sandboxing
from tools.sandbox.division import Division
from tools.sandbox.output.live_text import LiveText
from tools.sandbox.protection.quarantine import Watched
from tools.sandbox.refusals import CommandRefusedError, SandboxUnavailableError
from tools.sandbox.sandbox import Sandbox
from tools.terminal.limits import DEFAULT_LIMITS, Limits
from tools.terminal.preparation import WALK_SECONDS, PreparedCommand, parts, prepare, quarantine_of
from tools.terminal.project import Project, project_at
from tools.terminal.result import ExecResult, check_ended, exec_result
from tools.workspace import Deadline, Workspace, in_thread
from tools.workspace.confinement.names import is_git
from tools.workspace.naming import implied_paths

PLACE: Final = os.O_PATH | os.O_CLOEXEC

READS = (
    "Run one program in the workspace. Give either `command` or `argv`.\n\nThere is no shell. Quotes and backslashes "
    "work; pipes, redirections, globs, variables and several commands are refused. Call again for the next command, "
    "and use a program's own options."
)
DEVELOPS = (
    "Run one program in the workspace, such as `python -m pytest`, `npm test` or `make`. Give either `command` or "
    "`argv`.\n\nInterpreters, build, test and text programs take any option. A command has no pipes, redirections, "
    "globs or variables: use `bash -c` for them."
)
SHELLS = (
    "Run a line of a POSIX shell in the workspace, such as `npm test 2>&1 | tail -n 20`. Give either `command` or "
    "`argv`.\n\nPipes, redirections, globs, variables and several commands work. git works only as a command of "
    "its own."
)
ALWAYS = (
    "There is no network and no input. An exit code other than 0 is a result. When `truncated` is true the middle of "
    "the output is left out: narrow the command. Files with the name of a secret cannot be read, and only git reads "
    "git's own folder."
)
WRITABLE = (
    "Files of the workspace can be written, except git's own folder, secrets, and files with a second hard link. In a "
    "folder that directly holds one of those, files can only be written in place: nothing can be made, renamed or "
    "removed. Modes, times and owners cannot be changed."
)
READ_ONLY = "The workspace is read-only; programs can write to TMPDIR, which is removed afterwards."


class Terminal:
    """Runs the commands of a workspace. `places` bounds those of all workspaces that run at a time."""

    def __init__(self, workspace: Workspace, sandbox: Sandbox, limits: Limits, places: asyncio.Semaphore) -> None:
        self.workspace = workspace
        self.sandbox = sandbox
        self.limits = limits
        self.places = places
        with workspace.open_folder(".") as base:
            self.division = Division(base.fileno(), workspace.secret_names)
        self.quarantine = quarantine_of(workspace.base, limits.quarantine)

    @asynccontextmanager
    async def watching(self, prepared: PreparedCommand) -> AsyncIterator[Watched]:
        """Clear up after a command that may write. Raises `CommandRefusedError` if that is not possible."""
        if prepared.is_git or not self.limits.writable:
            yield Watched(plan="")
            return
        programs = prepared.programs or self.sandbox.programs
        async with self.quarantine.watching(self.workspace.secret_names.globs, programs.places) as watched:
            yield watched

    def project(self, cwd: tuple[str, ...]) -> Project | None:
        """Return the project in the folder `cwd`, if the profile lets its programs run. This blocks."""
        if self.limits.profile == "read":
            return None
        return project_at(self.workspace.base, cwd, self.sandbox.programs)

    def checked(self, words: Sequence[str] | str, ground: Ground) -> Checked:
        """Return the command as it is run. Raises `ToolError`."""
        if isinstance(words, str):
            return check_line(words, self.limits.table, ground)
        return check(words, self.limits.table, ground)

    def ground(self, cwd: tuple[str, ...], project: Project | None = None) -> Ground:
        """Return the rules for paths of a command in the folder `cwd`."""
        return Ground(
            roots=(str(self.workspace.base),),
            cwd=cwd,
            is_secret=lambda name: self.workspace.secret_names.cover((name,)),
            is_git=is_git,
            exists=lambda word: self._exists(word if word.startswith("/") else "/".join((*cwd, word))),
            secret_globs=self.limits.secret_globs,
            is_program=project.has if project else no_program,
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
    """Run a command in the workspace."""
    limits = terminal.limits
    words = _words(command, argv, limits.profile)
    seconds = limits.max_seconds if timeout is None else timeout
    if seconds > limits.max_seconds:
        raise ToolError(
            f"A timeout of {seconds:g} s is too long: the maximum is {limits.max_seconds:g} s (TERMINAL_MAX_SECONDS).",
            code="invalid_params",
        )
    with ExitStack() as opened:
        base = opened.enter_context(terminal.workspace.open_folder("."))
        folder = opened.enter_context(terminal.workspace.open_folder(cwd))
        project = await in_thread(lambda: terminal.project(folder.parts), Deadline(WALK_SECONDS))
        ground = terminal.ground(folder.parts, project)
        checked = terminal.checked(words, ground)
        prepared = await in_thread(
            lambda: prepare(checked, terminal.workspace, folder.parts, project), Deadline(WALK_SECONDS)
        )
        async with terminal.places:
            # Walked after a place is free, so that what other commands wrote meanwhile is seen.
            readable, writable = await parts(
                terminal.workspace, terminal.division, limits, base.fileno(), with_git=prepared.is_git
            )
            output = LiveText(execution.emit)
            system: list[int] = []
            for place in prepared.reads:
                system.append(os.open(place, PLACE))
                opened.callback(os.close, system[-1])
            try:
                async with terminal.watching(prepared) as watched:
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
                            tasks=limits.tasks,
                            open_files=limits.open_files,
                            addresses=limits.addresses,
                            output_bytes=limits.max_output_bytes,
                        ),
                        environment=prepared.environment,
                        programs=prepared.programs,
                        on_output=output.take,
                        plan=watched.plan,
                    )
                    watched.is_over = not outcome.warning
                    await output.end()
            except CommandRefusedError as error:
                raise ToolError(str(error), code="not_allowed") from error
            except SandboxUnavailableError as error:
                raise ToolError(f"The command could not be confined: {error}", code="failed") from error
    check_ended(outcome, seconds, limits, watched.moved)
    # The patterns that keep secrets out of git's answer were added here; the model did not write them.
    hidden = ground.without_secrets()
    shown = [word for word in checked.argv if word not in hidden]
    return exec_result(outcome, shown, readable, limits.profile, watched.moved, hides_git=not prepared.is_git)


async def would_run(
    terminal: Terminal, /, *, command: str | None, argv: Sequence[str] | None, cwd: str, **_: Any
) -> None:
    """Raise the `ToolError` of a command that the profile does not accept."""
    words = _words(command, argv, terminal.limits.profile)

    def work() -> None:
        with terminal.workspace.open_folder(cwd) as folder:
            terminal.checked(words, terminal.ground(folder.parts, terminal.project(folder.parts)))

    await in_thread(work, Deadline(WALK_SECONDS))


def tools(
    workspace: Workspace,
    sandbox: Sandbox,
    *,
    limits: Limits = DEFAULT_LIMITS,
    places: asyncio.Semaphore | None = None,
    confinement: str = "",
    disabled: str = "",
) -> tuple[Tool, ...]:
    """Return the terminal tool of a workspace.

    `places` is shared with the terminals of other workspaces; by default it has `limits.max_at_once` of them.
    `confinement` is the level that a trial of the sandbox showed. `disabled` is the reason why there is none.
    """

    def facets(params: Any) -> Facets:
        base = workspace.base
        folder = posixpath.relpath(posixpath.join(base, params.cwd), base)
        return {
            "command": _commands(params.command, params.argv, limits.profile),
            "cwd": list(dict.fromkeys((folder, workspace.named(params.cwd, follow=True)))),
        }

    def implied(params: Any) -> Facets:
        # The same command without what may precede git's own, and as it is run.
        folders = implied_paths(workspace, (params.cwd,))
        try:
            words = normalised(_words(params.command, params.argv))
            ran = check(words, limits.table, runner.ground(()))
        except ToolError:
            return {"cwd": folders}
        return {"command": [shlex.join(words), shlex.join(ran.argv)], "cwd": folders}

    runner = Terminal(workspace, sandbox, limits, places or asyncio.Semaphore(limits.max_at_once))
    if confinement and not disabled:
        # Visiting a large workspace takes a second, which the first command need not wait for.
        threading.Thread(target=lambda: runner.division.readable(with_git=False), daemon=True).start()
    made = tool(
        "terminal.exec",
        "execute",
        exec_,
        runner,
        confinement=confinement,
        disabled=disabled,
        facets=facets,
        implied=implied,
        precheck=would_run,
        # A command may read any file of the workspace.
        foreign=lambda _: workspace.foreign.overlaps((".",)),
    )
    # The table and the limits are settings, so they cannot stand in the docstring.
    properties = made.spec.parameters["properties"]
    # Services limit the description of a tool, but not those of its params, and the table may be long.
    parameters = {
        **made.spec.parameters,
        "properties": {**properties, "command": {**properties["command"], "description": _programs(limits)}},
    }
    spec = msgspec.structs.replace(made.spec, description=_description(limits), parameters=parameters)
    return (msgspec.structs.replace(made, spec=spec),)


def _description(limits: Limits) -> str:
    """Return what the model may do."""
    can = {"read": READS, "develop": DEVELOPS, "shell": SHELLS}[limits.profile]
    where = WRITABLE if limits.writable else READ_ONLY
    return f"{can} {ALWAYS}\n\n{where} At most {limits.max_seconds:g} s."


def _programs(limits: Limits) -> str:
    programs = [name for name in limits.table if not name.startswith("git ")]
    git = [name.removeprefix("git ") for name in limits.table if name.startswith("git ")]
    names = f"Programs: {', '.join(programs)}; git with {', '.join(git)}."
    if limits.profile == "read":
        return f"{names} python only shows its --version."
    return f"{names} Also programs of .venv/bin and node_modules/.bin, and files of the workspace by their path."


def _commands(command: str | None, argv: Sequence[str] | None, profile: Profile) -> list[str]:
    """Return a request's command, and each command that it is seen to run, in the form that rules match."""
    try:
        words = _words(command, argv, profile)
        if isinstance(words, str):
            return list(dict.fromkeys((words, *map(shlex.join, visible_commands(words)))))
        seen = commands_of(words) if profile != "read" else ()
        return list(dict.fromkeys((shlex.join(words), *map(shlex.join, seen))))
    except ToolError:
        # The call is refused in any case.
        return [command or shlex.join(argv or ())]


def _words(command: str | None, argv: Sequence[str] | None, profile: Profile = "read") -> tuple[str, ...] | str:
    """Return the words of a request, or the line that a shell gets. Raises `ToolError`."""
    if (command is None) == (argv is None):
        raise ToolError("Give exactly one of command (a text) and argv (a list of words).", code="invalid_params")
    if command is None:
        return check_words(argv or ())
    return command if profile == "shell" and not is_git_alone(command) else split(command)
