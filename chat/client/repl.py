"""The interactive conversation at a terminal. Each entry is a question or a command."""

from collections.abc import Callable
from typing import Final

from orchestrator_client import Call

from chat.client.conversation import Conversation
from chat.client.line_editor import LineEditor
from chat.client.rendering import Span
from chat.client.slash_commands import SlashCommands

WELCOME: Final = "Ctrl-C stops an answer, Ctrl-D ends; /help lists the commands.\n"


class Dialogue:
    """Reads entries until the user ends it. `tool_calls` are sent with the first question."""

    def __init__(
        self,
        conversation: Conversation,
        editor: LineEditor,
        show: Callable[[Span], None],
        tool_calls: tuple[Call, ...] = (),
    ) -> None:
        self._conversation = conversation
        self._editor = editor
        self._show = show
        self._commands = SlashCommands(conversation, show)
        self._tool_calls = tool_calls

    async def run(self) -> None:
        self._print(WELCOME)
        while True:
            try:
                entry = sendable(await self._editor.question()).strip()
            except EOFError:
                break
            except KeyboardInterrupt:
                self._print("(Ctrl-D ends)\n")
                continue
            if entry in {"/quit", "/exit"}:
                break
            if entry.startswith("/") and not entry.startswith("//"):
                await self._commands.run(entry)
            elif entry:
                calls, self._tool_calls = self._tool_calls, ()
                await self._conversation.turn(entry.removeprefix("/"), calls)
        if self._conversation.session_id:
            self._print(f"{self._commands.session()}\n")

    def _print(self, text: str) -> None:
        self._show(Span("dim", text))


def sendable(text: str) -> str:
    """Return the text with U+FFFD for everything that the service rejects: bytes that are not UTF-8, and NUL."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\x00", "\ufffd")
