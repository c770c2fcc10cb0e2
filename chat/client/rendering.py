"""Events as text for a terminal. Pure: no clock, no terminal, no network.

Whatever a model, a tool or a service wrote is shown with nothing hidden in it: an escape sequence reaches the
terminal as letters.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec

from chat.client.events import Frame, Tokens
from chat.client.transport import Reconnecting
from console.visible_text import visible_text, visible_text_line

Style = Literal["answer", "dim", "warning", "error", "prompt"]

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
    """Text of one style. `answer` is the model's; all else tells about it, in whole lines."""

    style: Style
    text: str


def painted(span: Span) -> str:
    """The span in its colour (ECMA-48, SGR), which ends before its line does."""
    colour = COLOURS[span.style]
    if not colour:
        return span.text
    text = span.text.removesuffix("\n")
    return f"{colour}{text}{RESET}{span.text[len(text) :]}"


class Rendering:
    """Turns one run's events into spans, in their order."""

    def __init__(self) -> None:
        self._mid_line = False
        self._output: dict[str, int] = {}

    def show(self, item: Frame | Reconnecting) -> Sequence[Span]:
        """What an event adds to the terminal; nothing for one of a type that is not known."""
        if isinstance(item, Reconnecting):
            told = f"connection lost ({item.why}); again in {item.seconds:g} s ({item.attempt}/{item.most})"
            return self._note("warning", told)
        if item.type == "token":
            return self._answer(item.token)
        if item.type == "tool_output":
            return self._tool_output(item)
        tell = NOTES.get(item.type)
        return self._note(*tell(item)) if tell else ()

    def _answer(self, token: str) -> Sequence[Span]:
        text = visible_text(token)
        if not text:
            return ()
        self._mid_line = not text.endswith("\n")
        return (Span("answer", text),)

    def _tool_output(self, item: Frame) -> Sequence[Span]:
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
        return (Span("answer", "\n"),)


def _json(value: Any) -> str:
    return visible_text_line(json.dumps(value, ensure_ascii=False), SHORT)


def _end(item: Frame) -> tuple[Style, str]:
    used = _tokens(item.usage or Tokens())
    return ("dim", used) if item.reason == "completed" else ("warning", f"{item.reason} · {used}")


def _error(item: Frame) -> tuple[Style, str]:
    hint = " It may work if it is asked again." if item.retryable else ""
    return "error", f"{item.code}: {item.error}{hint}"


def _tokens(used: Tokens) -> str:
    about = "about " if used.estimated else ""
    cost = "" if used.cost_usd is None else f" · ${used.cost_usd:.6f}"
    return f"{about}{used.input_tokens:,} tokens in, {used.output_tokens:,} out{cost}"


def _waits(item: Frame) -> tuple[Style, str]:
    return "warning", f"{item.tool} waits for an approval: manage.py approve_tool {item.execution_id}, or deny_tool"


def _budget(item: Frame) -> tuple[Style, str]:
    span = "" if item.span in {"ever", item.scope} else f" for this {item.span}"
    return "warning", f"{item.spent:g} of {item.limit:g} {item.unit} of the {item.scope}'s budget{span} are spent"


NOTES: Final[dict[str, Callable[[Frame], tuple[Style, str]]]] = {
    "tool_call": lambda item: ("dim", f"-> {item.tool} {_json(item.params)}"),
    "approval_required": _waits,
    "approval_resolved": lambda item: ("dim", f"{item.decision}"),
    "tool_result": lambda item: ("dim", f"<- {item.tool} {_json(item.data)}"),
    "tool_error": lambda item: ("warning", f"<- {item.tool} failed ({item.code}): {item.error}"),
    "retry": lambda item: ("warning", f"{item.provider}: {item.error} Asking {item.next_provider} ..."),
    "budget": _budget,
    "end": _end,
    "error": _error,
}
"""What is told of an event in one line."""
