"""The lines of a patch's text, read one after the other."""

from tools.base import ToolError
from tools.patching.limits import Limits

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    """A cursor over lines, which it gives without their ends."""

    def __init__(self, text: bytes, limits: Limits) -> None:
        """Raises `ToolError` (`too_large`) for more text than the limits allow.

        The last line's end may be missing. Where every line ends with CRLF, that is how the patch travelled, not what
        it says: then the CRs are dropped.
        """
        if len(text) > limits.max_patch_bytes:
            raise ToolError(
                f"The patch is {len(text)} bytes long: at most {limits.max_patch_bytes} are taken.", code="too_large"
            )
        count = text.count(b"\n")
        if count > limits.max_patch_lines:
            raise ToolError(
                f"The patch is {count} lines long: at most {limits.max_patch_lines} are taken.", code="too_large"
            )
        end = b"\r\n" if count and text.count(b"\r\n") == count else b"\n"
        self._lines = text.removeprefix(BYTE_ORDER_MARK).removesuffix(end).split(end)
        self._next = 0

    @property
    def number(self) -> int:
        """The number, from 1, of the line that comes next."""
        return self._next + 1

    def peek(self, ahead: int = 0) -> bytes | None:
        """The line that comes next, or so many after it; None past the end."""
        position = self._next + ahead
        return self._lines[position] if position < len(self._lines) else None

    def starts(self, prefix: bytes, ahead: int = 0) -> bool:
        """Whether there is such a line, and it starts so."""
        line = self.peek(ahead)
        return line is not None and line.startswith(prefix)

    def take(self) -> bytes:
        """The next line, which must be there, and goes on to the one after it."""
        self._next += 1
        return self._lines[self._next - 1]
