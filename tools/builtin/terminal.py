"""`terminal.exec`: one program of the machine, without a shell, in the sandbox.

What may be asked is a table, in `tools.commands`; what a command can reach, the kernel decides. It reads the workspace
but for what has the name of a secret, and but for git's own folder, which git alone reads: as both were when it began.
"""

import asyncio
import os
import posixpath
import shlex
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from math import ceil
from pathlib import Path
from typing import Annotated, Final

import msgspec

from tools.base import Execution, Facets, Tool, ToolError, tool
from tools.commands import WHITELIST, Checked, Ground, Program, check, split
from tools.commands.output import shares, shortened
from tools.commands.pytest_settings import NONE, candidates, with_settings
from tools.commands.words import check_words
from tools.git.hardening import ENVIRONMENT, hardened
from tools.git.installed import installed_git
from tools.sandbox import policy as sandboxing
from tools.sandbox.capture import Captured
from tools.sandbox.live_text import LiveText
from tools.sandbox.parts import MOST_DEPTH, MOST_PARTS, MOST_WALKED, Parts, parts_without
from tools.sandbox.programs import Programs
from tools.sandbox.reach import unread, unwritten
from tools.sandbox.refusals import CommandRefusedError, SandboxUnavailableError
from tools.sandbox.sandbox import Outcome, Sandbox
from tools.workspace import Deadline, Workspace, in_thread
from tools.workspace.names import SECRETS, is_git

MOST_AT_ONCE: Final = 4
"""Commands of one workspace that run at a time; more wait."""

LAST_LINES: Final = 10
MOST_LAST_CHARS: Final = 1_500
WALK_SECONDS: Final = 5.0
PLACE: Final = os.O_PATH | os.O_CLOEXEC
LITERAL: Final = "--literal-pathspecs"
NOTHING: Final = Parts([], complete=True)

WRITABLE = (
    "Files of the workspace can be written, but for git's own folder, secrets, and files that have a second name by a "
    "hard link. Directly in a folder that holds one of those nothing can be made, renamed or removed, and the files in "
    "it can only be written in place; its other folders are free. Modes, times and owners cannot be changed."
)
READ_ONLY = "The workspace is read-only; what a program has to write goes into TMPDIR, and is gone afterwards."


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What commands may cost: seconds of wall time, bytes of output and of memory, processes with their threads.

    `writable`: whether they may write the workspace. `whitelist`: what may be run at all. `secret_globs`: what git
    leaves out, which are the names of the workspace's secrets. `most_at_once`: how many of a workspace run together.

    Raises `ValueError` for a limit that no command can keep to.
    """

    max_seconds: float = 30.0
    max_output_bytes: int = 64 * 1024 * 1024
    max_memory_bytes: int = 1024 * 1024 * 1024
    max_tasks: int = 64
    writable: bool = False
    whitelist: Mapping[str, Program] = WHITELIST
    secret_globs: tuple[str, ...] = SECRETS
    most_at_once: int = MOST_AT_ONCE

    def __post_init__(self) -> None:
        if self.max_seconds <= 0:
            raise ValueError("max_seconds is more than 0.")
        if min(self.max_output_bytes, self.max_memory_bytes, self.max_tasks, self.most_at_once) < 1:
            raise ValueError("Each number among a terminal's limits is at least 1.")


DEFAULT_LIMITS = Limits()


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a command: `exit_code`, or null and the `signal` that ended it. `notes` say what is to be known."""

    argv: list[str]
    exit_code: int | None
    signal: int | None
    stdout: str
    stderr: str
    truncated: bool
    duration_ms: int
    confinement: str
    notes: list[str]


class Terminal:
    """The commands of one workspace."""

    def __init__(self, workspace: Workspace, sandbox: Sandbox, limits: Limits) -> None:
        self.workspace = workspace
        self.sandbox = sandbox
        self.limits = limits
        self.places = asyncio.Semaphore(limits.most_at_once)

    def ground(self, cwd: tuple[str, ...]) -> Ground:
        """What paths mean to a command in that folder."""
        return Ground(
            roots=(str(self.workspace.base),),
            cwd=cwd,
            is_secret=lambda name: self.workspace.secret_names.cover((name,)),
            is_git=is_git,
            secret_globs=self.limits.secret_globs,
        )


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    """A checked command, ready for the sandbox. `reads` are places of the system that it has to read besides."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    programs: Programs | None = None
    reads: tuple[Path, ...] = ()
    is_git: bool = False


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
        ready = await in_thread(lambda: _ready(checked, terminal.workspace, folder.parts), Deadline(WALK_SECONDS))
        async with terminal.places:
            readable, writable = await _parts(terminal, base.fileno(), with_git=ready.is_git)
            output = LiveText(execution.emit)
            try:
                outcome = await terminal.sandbox.run(
                    ready.argv,
                    cwd_handle=folder.fileno(),
                    readable_handles=[_open(place, opened) for place in ready.reads],
                    listable_handles=(base.fileno(),),
                    readable_parts=readable.parts,
                    writable_parts=writable.parts,
                    limits=_limits(terminal.limits, seconds),
                    environment=ready.environment,
                    programs=ready.programs,
                    on_output=output.take,
                )
                await output.end()
            except CommandRefusedError as error:
                raise ToolError(str(error), code="not_allowed") from error
            except SandboxUnavailableError as error:
                raise ToolError(f"The command could not be held: {error}", code="failed") from error
    _check(outcome, seconds, terminal.limits)
    hidden = ground.without_secrets()
    return _result(outcome, [word for word in checked.argv if word not in hidden], readable)


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


def _ready(checked: Checked, workspace: Workspace, cwd: tuple[str, ...]) -> _Command:
    """The command for the sandbox: git hardened, and able to run nothing but itself."""
    if checked.name == "pytest":
        argv = with_settings(checked.argv, _settings_of_pytest(workspace, cwd))
        return _Command(argv=argv, environment=checked.environment)
    if not checked.name.startswith("git "):
        return _Command(argv=checked.argv, environment=checked.environment)
    try:
        git = installed_git()
    except CommandRefusedError as error:
        raise ToolError(str(error), code="not_allowed") from error
    own = {"GIT_CEILING_DIRECTORIES": str(workspace.base.parent), "PATH": "", "GIT_LITERAL_PATHSPECS": "0"}
    return _Command(
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


def _open(place: Path, opened: ExitStack) -> int:
    handle = os.open(place, PLACE)
    opened.callback(os.close, handle)
    return handle


async def _parts(terminal: Terminal, base: int, *, with_git: bool) -> tuple[Parts, Parts]:
    """What of the workspace a command reads, and what it writes. Raises `ToolError` (`too_large`)."""
    deadline = Deadline(WALK_SECONDS)
    names = terminal.workspace.secret_names
    may_write = terminal.limits.writable and not with_git

    def divide() -> tuple[Parts, Parts]:
        readable = parts_without(base, unread(names, with_git=with_git), lambda: deadline.over, whole=is_git)
        writable = parts_without(base, unwritten(names), lambda: deadline.over) if may_write else NOTHING
        return readable, writable

    readable, writable = await in_thread(divide, deadline)
    if not writable.complete:
        raise ToolError(
            f"The workspace has more than {MOST_WALKED} entries, {MOST_PARTS} places beside what is never written, or "
            f"{MOST_DEPTH} folders within each other, so what a command may write cannot be told. Move what is not "
            "needed out of it, or unset TERMINAL_WRITABLE.",
            code="too_large",
        )
    return readable, writable


def _limits(limits: Limits, seconds: float) -> sandboxing.Limits:
    return sandboxing.Limits(
        wall_seconds=seconds,
        cpu_seconds=ceil(seconds),
        memory_bytes=limits.max_memory_bytes,
        tasks=limits.max_tasks,
        output_bytes=limits.max_output_bytes,
    )


def _check(outcome: Outcome, seconds: float, limits: Limits) -> None:
    """Raises `ToolError` for a command that did not come to its own end."""
    last = _last_lines(outcome)
    if outcome.ended == "timed_out":
        raise ToolError(
            f"The command was ended after {seconds:g} s, with all that it had started: ask for less at a time"
            f"{_up_to(seconds, limits)}.{last}",
            code="timed_out",
        )
    if outcome.ended == "too_much_output":
        raise ToolError(
            f"The command wrote more than {limits.max_output_bytes} bytes (TERMINAL_MAX_OUTPUT_BYTES) and was ended: "
            f"narrow it.{last}",
            code="too_large",
        )
    if outcome.ended == "too_many_tasks":
        raise ToolError(
            f"The command had more than {limits.max_tasks} processes and threads at once, a limit without a setting, "
            f"and was ended: have it do less at a time.{last}",
            code="failed",
        )
    if outcome.ended == "too_much_memory":
        raise ToolError(
            f"The command needed more than {limits.max_memory_bytes} bytes of memory, a limit without a setting, and "
            f"was ended: have it do less at a time.{last}",
            code="failed",
        )
    if outcome.ended != "exited":
        raise ToolError(f"The command was ended before it was over: {outcome.warning or outcome.ended}.", code="failed")


def _up_to(seconds: float, limits: Limits) -> str:
    if seconds >= limits.max_seconds:
        return " (TERMINAL_MAX_SECONDS)"
    return f", or give a timeout of up to {limits.max_seconds:g} s"


def _last_lines(outcome: Outcome) -> str:
    """The end of what was written last, for a message."""
    text = "".join(_text(captured, MOST_LAST_CHARS) for captured in (outcome.stdout, outcome.stderr))
    lines = "\n".join(text.splitlines()[-LAST_LINES:])[-MOST_LAST_CHARS:]
    return f" Its last lines:\n{lines}" if lines else " It wrote nothing."


def _result(outcome: Outcome, argv: Sequence[str], readable: Parts) -> ExecResult:
    sizes = [captured.size for captured in (outcome.stdout, outcome.stderr)]
    shown = shares(sizes[0], sizes[1])
    return ExecResult(
        argv=list(argv),
        exit_code=outcome.exit_code,
        signal=outcome.signal,
        stdout=_text(outcome.stdout, shown[0]),
        stderr=_text(outcome.stderr, shown[1]),
        truncated=any(size > share for size, share in zip(sizes, shown, strict=True)),
        duration_ms=outcome.duration_ms,
        confinement=outcome.confinement,
        notes=list(_notes(outcome, readable)),
    )


def _notes(outcome: Outcome, readable: Parts) -> Iterator[str]:
    if not readable.complete:
        yield (
            f"The workspace has more than {MOST_WALKED} entries, {MOST_PARTS} places beside what is never read, or "
            f"{MOST_DEPTH} folders within each other: the files in the deepest folders could not be read."
        )
    if outcome.signal == signal.SIGXCPU:
        yield "It was ended because it used up its processor time."
    if outcome.warning:
        yield outcome.warning


def _text(captured: Captured, most_bytes: int) -> str:
    return shortened(captured.head, captured.tail, captured.size, most_bytes)
