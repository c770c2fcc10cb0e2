"""The line editor of the conversation: several lines, a history that is kept, and completion of commands."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from chat.client.rendering import COLOURS, RESET

PROMPT: Final = "> "
CONTINUATION: Final = ". "
HISTORY: Final = Path("orchestrator", "chat_history")


class LineEditor:
    """Reads questions and answers at a terminal. Enter sends, Alt-Enter or a backslash before Enter begins a new line.

    A pasted text keeps its line breaks.
    """

    def __init__(self, commands: Sequence[str], history: History, *, colour: bool) -> None:
        prompt = ANSI(f"{COLOURS['prompt']}{PROMPT}{RESET}") if colour else PROMPT
        completer = WordCompleter(commands, sentence=True)
        self._questions: PromptSession[str] = PromptSession(
            prompt,
            multiline=True,
            prompt_continuation=CONTINUATION,
            history=history,
            completer=completer,
            complete_while_typing=Condition(lambda: False),
            key_bindings=_bindings(),
        )
        self._answers: PromptSession[str] = PromptSession(history=InMemoryHistory())

    async def question(self) -> str:
        """Return what the user sends. Raise `EOFError` for Ctrl-D, and `KeyboardInterrupt` for Ctrl-C."""
        return await self._questions.prompt_async()

    async def answer(self, prompt: str) -> str:
        """Return one line. Raise `EOFError` for Ctrl-D, and `KeyboardInterrupt` for Ctrl-C."""
        # The conversation handles SIGINT itself while a run is followed.
        return await self._answers.prompt_async(prompt, handle_sigint=False)


def kept_history() -> History:
    """Return the history in the user's state folder (XDG Base Directory), readable only by the user."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = base / HISTORY
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        return FileHistory(str(path))
    return InMemoryHistory()


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return bindings
