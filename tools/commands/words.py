"""The words of a command: their limits, and how a message shows them."""

from collections.abc import Sequence

from tools.base import ToolError
from tools.commands.limits import MAX_ARGUMENT_BYTES, MAX_ARGUMENTS, SHOWN_CHARS


def shown(word: str) -> str:
    """Return a word as a message may show it: quoted, printable, and short."""
    short = word if len(word) <= SHOWN_CHARS else f"{word[:SHOWN_CHARS]}…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short) + "'"


def check_text(text: str) -> None:
    """Check that a text can be an argument. Raises `ToolError` (`invalid_params`)."""
    # execve(2) ends an argument at the first NUL.
    if "\0" in text:
        raise ToolError(f"{shown(text)} holds a NUL, which no argument can: remove it.", code="invalid_params")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ToolError(f"{shown(text)} holds a lone surrogate: give valid Unicode.", code="invalid_params") from None


def check_words(argv: Sequence[str]) -> tuple[str, ...]:
    """Check that words can be a command, and return them. Raises `ToolError` (`invalid_params`)."""
    if not argv or not argv[0]:
        raise ToolError(
            "The command is empty: give a program and its arguments, such as 'ls -l docs'.", code="invalid_params"
        )
    if len(argv) > MAX_ARGUMENTS:
        raise ToolError(f"The command has {len(argv)} words: the maximum is {MAX_ARGUMENTS}.", code="invalid_params")
    for word in argv:
        check_text(word)
        if len(word.encode()) > MAX_ARGUMENT_BYTES:
            raise ToolError(
                f"The argument {shown(word)} has {len(word.encode())} bytes: the maximum is {MAX_ARGUMENT_BYTES}.",
                code="invalid_params",
            )
    return tuple(argv)
