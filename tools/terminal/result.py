"""What is told of a command that is over: its result, or why it was ended."""

import signal
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from tools.base import ToolError
from tools.commands.output import shares, shortened
from tools.sandbox.output.capture import Captured
from tools.sandbox.sandbox import Outcome
from tools.sandbox.subtrees import MAX_DEPTH, MAX_PARTS, MAX_WALKED, Parts
from tools.terminal.limits import Limits

LAST_LINES: Final = 10
MAX_LAST_CHARS: Final = 1_500


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


def check_ended(outcome: Outcome, seconds: float, limits: Limits) -> None:
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
    text = "".join(_text(captured, MAX_LAST_CHARS) for captured in (outcome.stdout, outcome.stderr))
    lines = "\n".join(text.splitlines()[-LAST_LINES:])[-MAX_LAST_CHARS:]
    return f" Its last lines:\n{lines}" if lines else " It wrote nothing."


def told(outcome: Outcome, argv: Sequence[str], readable: Parts) -> ExecResult:
    """What the caller gets of a command that came to its own end."""
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
            f"The workspace has more than {MAX_WALKED} entries, {MAX_PARTS} places beside what is never read, or "
            f"{MAX_DEPTH} folders within each other: the files in the deepest folders could not be read."
        )
    if outcome.signal == signal.SIGXCPU:
        yield "It was ended because it used up its processor time."
    if outcome.warning:
        yield outcome.warning


def _text(captured: Captured, max_bytes: int) -> str:
    return shortened(captured.head, captured.tail, captured.size, max_bytes)
