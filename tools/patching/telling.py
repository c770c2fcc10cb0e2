"""How a message shows what stood in a patch or in a file, and the refusal of a patch's line."""

from tools.base import ToolError, ToolErrorCode

SHOWN_CHARS = 120


def quoted(text: bytes) -> str:
    """The text in quotes: printable, short, and with its line's end only where that is no plain LF."""
    shown = text.removesuffix(b"\n").decode("utf-8", "backslashreplace")
    cut = shown if len(shown) <= SHOWN_CHARS else f"{shown[:SHOWN_CHARS]}…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut) + "'"


def refusal(number: int, sentence: str, code: ToolErrorCode = "invalid_params") -> ToolError:
    """The refusal of a patch for what is on one of its lines, counted from 1."""
    return ToolError(f"Patch line {number}: {sentence}", code=code)


def expected(number: int, wanted: str, found: bytes | None) -> ToolError:
    """The refusal of a line that is not what the format has there."""
    return refusal(number, f"expected {wanted}, found {'the end of the patch' if found is None else quoted(found)}.")
