"""The result of a command that has ended, or the reason why it was ended."""

import signal
from collections.abc import Sequence
from typing import Final

import msgspec

from tools.base import ToolError
from tools.commands import Profile, commands_of
from tools.commands.output import shares, shortened
from tools.commands.words import shown
from tools.sandbox.output.capture import Captured
from tools.sandbox.sandbox import Outcome
from tools.sandbox.subtrees import MAX_DEPTH, MAX_PARTS, MAX_WALKED, Parts
from tools.terminal.limits import Limits

LAST_LINES: Final = 10
MAX_LAST_CHARS: Final = 1_500
MAX_MOVED_SHOWN: Final = 20


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a command: its `exit_code`, or null and the `signal` that ended it. `notes` are for the model."""

    argv: list[str]
    exit_code: int | None
    signal: int | None
    stdout: str
    stderr: str
    truncated: bool
    duration_ms: int
    confinement: str
    profile: Profile
    notes: list[str]


def moved_note(moved: Sequence[str]) -> str:
    """Return the note about entries that a command may not leave behind; empty if there are none."""
    if not moved:
        return ""
    more = f" and {len(moved) - MAX_MOVED_SHOWN} more" if len(moved) > MAX_MOVED_SHOWN else ""
    return (
        f"Moved out of the workspace: {', '.join(map(shown, moved[:MAX_MOVED_SHOWN]))}{more}. A command may not make "
        "git's own folder, a secret's name, a link that leads out, or a folder that cannot be read."
    )


def check_ended(outcome: Outcome, seconds: float, limits: Limits, moved: Sequence[str] = ()) -> None:
    """Check that a command ended by itself. Raises `ToolError` if it did not."""
    # The last lines often show why a command did not end.
    text = "".join(_text(captured, MAX_LAST_CHARS) for captured in (outcome.stdout, outcome.stderr))
    lines = "\n".join(text.splitlines()[-LAST_LINES:])[-MAX_LAST_CHARS:]
    note = f" {moved_note(moved)}" if moved else ""
    last = f"{note} Its last lines:\n{lines}" if lines else f"{note} It printed nothing."
    if outcome.ended == "timed_out":
        longer = f", or give a timeout of up to {limits.max_seconds:g} s"
        raise ToolError(
            f"The command and its child processes were ended after {seconds:g} s: ask for less at a time"
            f"{longer if seconds < limits.max_seconds else ' (TERMINAL_MAX_SECONDS)'}.{last}",
            code="timed_out",
        )
    if outcome.ended == "too_much_output":
        raise ToolError(
            f"The command printed more than {limits.max_output_bytes} bytes (TERMINAL_MAX_OUTPUT_BYTES) and was ended: "
            f"narrow it.{last}",
            code="too_large",
        )
    if outcome.ended == "too_many_tasks":
        raise ToolError(
            f"The command was ended at more than {limits.max_tasks} processes and threads (a fixed limit): have it do "
            f"less at a time.{last}",
            code="failed",
        )
    if outcome.ended == "too_much_memory":
        raise ToolError(
            f"The command was ended at more than {limits.max_memory_bytes} bytes of memory (a fixed limit): have it do "
            f"less at a time.{last}",
            code="failed",
        )
    if outcome.ended == "too_much_space":
        raise ToolError(
            f"The command was ended because TMPDIR held too much (a fixed limit): have it keep less.{last}",
            code="failed",
        )
    if outcome.ended != "exited":
        raise ToolError(f"The command was ended before it was over: {outcome.warning or outcome.ended}.", code="failed")


def exec_result(
    outcome: Outcome, argv: Sequence[str], readable: Parts, profile: Profile, moved: Sequence[str], *, hides_git: bool
) -> ExecResult:
    """Return the result of a command that ended by itself."""
    notes = [moved_note(moved)] if moved else []
    if not readable.complete:
        notes.append(
            f"The workspace has more than {MAX_WALKED} entries, {MAX_PARTS} places beside protected files, or "
            f"{MAX_DEPTH} nested folders. The files in the deepest folders could not be read."
        )
    if hides_git and any(words[0] == "git" for words in _seen(argv)):
        notes.append(
            "git could not read the repository in this command: call it as a command of its own, without a shell."
        )
    if outcome.signal == signal.SIGXCPU:
        notes.append("It was ended because it used up its processor time.")
    if outcome.warning:
        notes.append(outcome.warning)
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
        profile=profile,
        notes=notes,
    )


def _seen(argv: Sequence[str]) -> Sequence[Sequence[str]]:
    """Return the commands that an argv is seen to run."""
    try:
        return commands_of(argv)
    except ToolError:  # there are too many to name
        return ()


def _text(captured: Captured, max_bytes: int) -> str:
    return shortened(captured.head, captured.tail, captured.size, max_bytes)
