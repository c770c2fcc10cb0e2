"""The conversion of events into text for a terminal. Pure: no clock, no terminal, no network."""

# Whatever a model, a tool or a service wrote goes through `visible_text`. An escape sequence becomes visible text, so
# that no output can hide or fake anything on the terminal.

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
from orchestrator_client import (
    ApprovalRequired,
    ApprovalResolved,
    Budget,
    ClientToolCall,
    Compaction,
    End,
    Error,
    Event,
    Reasoning,
    Reconnecting,
    Retry,
    Token,
    ToolCall,
    ToolError,
    ToolOutput,
    ToolResult,
    TotalUsage,
)

from command_line.program import PROGRAM
from console.visible_text import visible_text, visible_text_line
from web.plurals import counted

Style = Literal["answer", "dim", "warning", "error", "prompt"]
Note = tuple[Style, str]

SHORT: Final = 160
"""Characters of a tool's params, result or error."""

OUTPUT: Final = 2_000
"""Characters of one tool's live output."""

COLOURS: Final[dict[Style, str]] = {
    "answer": "",
    "dim": "\x1b[2m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "prompt": "\x1b[1;36m",
}
RESET: Final = "\x1b[0m"


class Span(msgspec.Struct, frozen=True):
    """Text of one style. The style `answer` is the model's text; the others have whole lines, except reasoning."""

    style: Style
    text: str


def painted(span: Span) -> str:
    """Return the span in its colour (ECMA-48, SGR), which ends before the line does."""
    colour = COLOURS[span.style]
    if not colour:
        return span.text
    text = span.text.removesuffix("\n")
    return f"{colour}{text}{RESET}{span.text[len(text) :]}" if text else span.text


class Rendering:
    """Converts the events of one run into spans, in order."""

    def __init__(self) -> None:
        self._mid_line = False
        self._style: Style = "answer"
        self._output: dict[str, int] = {}

    def show(self, item: Event | Reconnecting) -> Sequence[Span]:
        """Return the spans that an event adds to the terminal; none for an unknown type."""
        if isinstance(item, Reconnecting):
            attempts = f"{item.attempt}/{item.max_attempts}"
            return self._note("warning", f"connection lost ({item.why}); again in {item.seconds:g} s ({attempts})")
        if isinstance(item, Token):
            return self._piece("answer", visible_text(item.token))
        if isinstance(item, Reasoning):
            return self._piece("dim", visible_text(item.text))
        if isinstance(item, ToolOutput):
            return self._tool_output(item)
        note = NOTES.get(type(item))
        return self._note(*note(item)) if note else ()

    def _piece(self, style: Style, text: str) -> Sequence[Span]:
        """Return a piece of a text that arrives in pieces, on a line of its own if it follows one of another style."""
        if not text:
            return ()
        fresh = () if style == self._style else self._fresh_line()
        self._style, self._mid_line = style, not text.endswith("\n")
        return (*fresh, Span(style, text))

    def _tool_output(self, item: ToolOutput) -> Sequence[Span]:
        shown = self._output.get(item.execution_id, 0)
        self._output[item.execution_id] = shown + len(item.text)
        if shown >= OUTPUT:
            return ()
        text = visible_text(item.text[: OUTPUT - shown]).rstrip("\n").replace("\n", "\n   ")
        more = " …" if shown + len(item.text) > OUTPUT else ""
        return (*self._fresh_line(), Span("dim", f"   {text}{more}\n"))

    def _note(self, style: Style, text: str) -> Sequence[Span]:
        return (*self._fresh_line(), Span(style, f"{visible_text_line(text, 2 * SHORT)}\n"))

    def _fresh_line(self) -> Sequence[Span]:
        if not self._mid_line:
            return ()
        self._mid_line = False
        return (Span(self._style, "\n"),)


def _json(value: Any) -> str:
    return visible_text_line(json.dumps(value, ensure_ascii=False), SHORT)


def cost_of(usage: TotalUsage) -> str:
    """Return the cost behind a count of tokens; nothing if it is unknown."""
    return "" if usage.cost_usd is None else f" · ${usage.cost_usd:.6f}"


def _end(item: End) -> Note:
    usage = item.usage
    about = "about " if usage.estimated else ""
    used = f"{about}{counted(usage.input_tokens, 'token')} in, {usage.output_tokens:,} out{cost_of(usage)}"
    return ("dim", used) if item.reason == "completed" else ("warning", f"{item.reason} · {used}")


def _budget(item: Budget) -> Note:
    span = "" if item.span in {"ever", item.scope} else f" for this {item.span}"
    return "warning", f"{item.spent:g} of {item.limit:g} {item.unit} of the {item.scope}'s budget{span} are spent"


def _compaction(item: Compaction) -> Note:
    summary = f"; a summary stands for {counted(item.summarized, 'message')}" if item.summarized else ""
    return "dim", f"conversation shortened from {item.before:,} to {item.after:,} tokens{summary}"


NOTES: Final[dict[type, Callable[[Any], Note]]] = {
    ToolCall: lambda item: ("dim", f"-> {item.tool} {_json(item.params)}"),
    ApprovalRequired: lambda item: (
        "warning",
        f"{item.tool} waits for an approval: {PROGRAM} approve_tool {item.execution_id}, or deny_tool",
    ),
    ClientToolCall: lambda item: (
        "warning",
        f"{item.tool} waits for the client that declared it: POST /tools/executions/{item.execution_id}/result",
    ),
    ApprovalResolved: lambda item: ("dim", f"{item.decision}"),
    ToolResult: lambda item: ("dim", f"<- {item.tool} {_json(item.data)}"),
    ToolError: lambda item: ("warning", f"<- {item.tool} failed ({item.code}): {item.error}"),
    Compaction: _compaction,
    Retry: lambda item: ("warning", f"{item.provider}: {item.error} Asking {item.next_provider} ..."),
    Budget: _budget,
    End: _end,
    Error: lambda item: (
        "error",
        f"{item.code}: {item.error}{' It may succeed if you try again.' if item.retryable else ''}",
    ),
}
"""The line that is shown for an event, by its type."""
