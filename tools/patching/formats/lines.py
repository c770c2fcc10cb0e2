"""The lines of a patch, read one after the other."""

from collections.abc import Sequence

from tools.base import ToolError
from tools.patching.limits import Limits

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    """A cursor over lines, which are returned without their line ends."""

    def __init__(self, text: bytes, limits: Limits, roots: Sequence[str] = ()) -> None:
        """Split the text into lines. Raises `ToolError` (`too_large`) beyond the limits.

        `roots` are the absolute paths of the workspace.
        """
        if len(text) > limits.max_patch_bytes:
            raise ToolError(
                f"The patch has {len(text)} bytes: at most {limits.max_patch_bytes} are allowed.", code="too_large"
            )
        count = text.count(b"\n")
        if count > limits.max_patch_lines:
            raise ToolError(
                f"The patch has {count} lines: at most {limits.max_patch_lines} are allowed.", code="too_large"
            )
        # CRLF in every line comes from the transport, not from the files. The last line may have no newline.
        end = b"\r\n" if count and text.count(b"\r\n") == count else b"\n"
        self._lines = text.removeprefix(BYTE_ORDER_MARK).removesuffix(end).split(end)
        self._next = 0
        self.roots = tuple(root.encode(errors="surrogateescape") for root in roots)

    @property
    def number(self) -> int:
        """The number of the next line, from 1."""
        return self._next + 1

    def peek(self, ahead: int = 0) -> bytes | None:
        """Return the next line, or a line further `ahead`; None after the end."""
        position = self._next + ahead
        return self._lines[position] if position < len(self._lines) else None

    def starts(self, prefix: bytes, ahead: int = 0) -> bool:
        """Return whether the next line, or one further `ahead`, has a prefix."""
        line = self.peek(ahead)
        return line is not None and line.startswith(prefix)

    def find(self, whole: bytes) -> int | None:
        """Return how far ahead the next line with this text is, apart from white space around it."""
        ahead = (index for index in range(self._next, len(self._lines)) if self._lines[index].strip() == whole)
        found = next(ahead, None)
        return None if found is None else found - self._next

    def take(self) -> bytes:
        """Return the next line, which must exist, and move to the one after it."""
        self._next += 1
        return self._lines[self._next - 1]
