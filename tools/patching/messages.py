"""Messages about lines of a patch or a file."""

from tools.base import ToolError, ToolErrorCode

SHOWN_CHARS = 120


def quoted(text: bytes) -> str:
    """Return the text in quotes: printable and short. A plain LF at its end is left out."""
    shown = text.removesuffix(b"\n").decode("utf-8", "backslashreplace")
    cut = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut) + "'"


def refusal(number: int, sentence: str, code: ToolErrorCode = "invalid_params") -> ToolError:
    """Return the error for a line of the patch; lines are counted from 1."""
    return ToolError(f"Patch line {number}: {sentence}", code=code)


def expected(number: int, what: str, found: bytes | None) -> ToolError:
    """Return the error for a line that the format does not have at this place."""
    return refusal(number, f"expected {what}, found {'the end of the patch' if found is None else quoted(found)}.")
