"""A conversation with a person at a terminal: a line is a question, or a command."""

from asyncio import Runner
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from chat.client.conversation import Conversation
from chat.client.rendering import COLOURS, RESET, Span
from chat.client.transport import Call

with suppress(ImportError):
    import readline  # noqa: F401 - `input` edits lines and remembers them once it is there

WELCOME: Final = "Ctrl-C stops an answer, Ctrl-D ends; /help lists the commands.\n"
HELP: Final = """\
/session   tells the session's id, and how to come back to it
/new       begins a new session
/help      tells this
/quit      ends; so does Ctrl-D
//...      says a line that begins with /
Ctrl-C     stops the answer; what was said until then is kept
"""
PROMPT: Final = "> "


class Dialogue:
    """Reads lines until the person has had enough. `tool_calls` go with the first question."""

    def __init__(
        self,
        runner: Runner,
        conversation: Conversation,
        show: Callable[[Span], None],
        *,
        colour: bool,
        tool_calls: tuple[Call, ...] = (),
    ) -> None:
        self._runner = runner
        self._conversation = conversation
        self._show = show
        self._tool_calls = tool_calls
        # readline counts what is between these two as of no width
        self._prompt = f"\x01{COLOURS['prompt']}\x02{PROMPT}\x01{RESET}\x02" if colour else PROMPT

    def run(self) -> None:
        self._tell(WELCOME)
        for line in self._lines():
            if line in {"/quit", "/exit"}:
                break
            if line.startswith("/") and not line.startswith("//"):
                self._command(line)
            elif line:
                calls, self._tool_calls = self._tool_calls, ()
                self._runner.run(self._conversation.turn(line.removeprefix("/"), calls))
        if self._conversation.session_id:
            self._tell(self._where())

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                line = input(self._prompt)
            except EOFError:
                self._tell("\n")
                return
            except KeyboardInterrupt:
                self._tell("\n(Ctrl-D ends)\n")
                continue
            yield sendable(line).strip()

    def _command(self, line: str) -> None:
        if line == "/help":
            self._tell(HELP)
        elif line == "/session":
            self._tell(self._where())
        elif line == "/new":
            self._conversation.session_id = None
            self._tell("A new session begins with the next question.\n")
        else:
            self._show(Span("warning", "There is no such command; /help lists those that there are.\n"))

    def _where(self) -> str:
        session = self._conversation.session_id
        return f"session {session} (come back with --session {session})\n" if session else "There is no session yet.\n"

    def _tell(self, text: str) -> None:
        self._show(Span("dim", text))


def sendable(text: str) -> str:
    """The text without what no service takes: bytes that are no UTF-8, and NUL, each as U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\x00", "\ufffd")
