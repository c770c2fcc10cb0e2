"""The interactive conversation at a terminal. Each line is a question or a command."""

from asyncio import Runner
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from chat.client.conversation import Conversation
from chat.client.rendering import COLOURS, RESET, Span
from chat.client.transport import Call

with suppress(ImportError):
    import readline  # noqa: F401 - with it, `input` has line editing and a history

WELCOME: Final = "Ctrl-C stops an answer, Ctrl-D ends; /help lists the commands.\n"
HELP: Final = """\
  /session   show the session's id, and how to return to it
  /new       begin a new session
  /help      show this help
  /quit      end, like Ctrl-D
  //...      send a line that begins with /
  Ctrl-C     stop the answer; the text so far is kept
"""
PROMPT: Final = "> "


class Dialogue:
    """Reads lines until the user ends it. `tool_calls` are sent with the first question."""

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
        # readline counts the characters between \x01 and \x02 as without width.
        self._prompt = f"\x01{COLOURS['prompt']}\x02{PROMPT}\x01{RESET}\x02" if colour else PROMPT

    def run(self) -> None:
        self._print(WELCOME)
        for line in self._lines():
            if line in {"/quit", "/exit"}:
                break
            if line.startswith("/") and not line.startswith("//"):
                self._command(line)
            elif line:
                calls, self._tool_calls = self._tool_calls, ()
                self._runner.run(self._conversation.turn(line.removeprefix("/"), calls))
        if self._conversation.session_id:
            self._print(self._session())

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                line = input(self._prompt)
            except EOFError:
                self._print("\n")
                return
            except KeyboardInterrupt:
                self._print("\n(Ctrl-D ends)\n")
                continue
            yield sendable(line).strip()

    def _command(self, line: str) -> None:
        if line == "/help":
            self._print(HELP)
        elif line == "/session":
            self._print(self._session())
        elif line == "/new":
            self._conversation.session_id = None
            self._print("A new session begins with the next question.\n")
        else:
            self._show(Span("warning", "There is no such command. /help lists the commands.\n"))

    def _session(self) -> str:
        session = self._conversation.session_id
        return f"session {session} (come back with --session {session})\n" if session else "There is no session yet.\n"

    def _print(self, text: str) -> None:
        self._show(Span("dim", text))


def sendable(text: str) -> str:
    """Return the text with U+FFFD for everything that the service rejects: bytes that are not UTF-8, and NUL."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\x00", "\ufffd")
