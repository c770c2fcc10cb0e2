"""The question whether a tool may run, with its whole params, at a terminal."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from chat.client.rendering import Span
from chat.client.transport import Item, Verdict
from console.visible_text import visible_text
from tools.execution.taint import described

MAX_LINES: Final = 40
"""Lines of params that are shown at once. The user sees the others before a call can be approved."""

INDENT: Final = "   "
ANSWERS: Final[dict[str, Verdict]] = {"y": "approve", "yes": "approve", "n": "deny", "no": "deny"}


class ApprovalQuestion:
    """Asks the user. `ask` reads one answer, and raises `EOFError` if there is none."""

    def __init__(self, ask: Callable[[str], Awaitable[str]], show: Callable[[Span], None]) -> None:
        self._ask = ask
        self._show = show

    async def decide(self, execution: Item) -> Verdict | None:
        """Return the decision; None if the user leaves it open."""
        self._show(Span("warning", f"{visible_text(str(execution['tool']))} waits for your approval:\n"))
        if taint := described(execution.get("taint")):
            self._show(Span("warning", f"{INDENT}The conversation holds texts from outside: {visible_text(taint)}\n"))
        lines = iter(list(param_lines(execution["params"])))
        hidden = self._show_lines(lines)
        while True:
            choices = "[m]ore, [n]o" if hidden else "[y]es, [n]o"
            try:
                answer = (await self._ask(f"Run it? {choices}, or Ctrl-D to leave it open: ")).strip().lower()
            except EOFError:
                return None
            if hidden and answer in {"m", "more"}:
                hidden = self._show_lines(lines)
            elif answer in ANSWERS and not (hidden and ANSWERS[answer] == "approve"):
                return ANSWERS[answer]

    def _show_lines(self, lines: Iterator[str]) -> bool:
        """Show the next lines, and return whether there are more."""
        for _, line in zip(range(MAX_LINES), lines, strict=False):
            self._show(Span("dim", f"{INDENT}{line}\n"))
        following = next(lines, None)
        if following is None:
            return False
        self._show(Span("dim", f"{INDENT}{following}\n"))
        return True


def param_lines(params: Any) -> Iterator[str]:
    """Yield the lines of params. A text of several lines is shown as it is, indented below its name."""
    if not isinstance(params, dict):
        yield visible_text(json.dumps(params, ensure_ascii=False))
        return
    for name, value in params.items():
        shown = visible_text(str(name))
        if isinstance(value, str) and "\n" in value:
            yield f"{shown}:"
            yield from (f"{INDENT}{visible_text(line)}" for line in value.split("\n"))
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{shown}: {visible_text(text)}"
